//! Generates code with each of the compilers: `protoc`, `buf`, the embedded one, or none for an
//! existing descriptor set.
//!
//! ```text
//! cargo run -p protoc-gen-rgrpc --example compilers -- protoc /usr/bin/protoc OUT_DIR INCLUDE FILES…
//! cargo run -p protoc-gen-rgrpc --example compilers -- buf /usr/bin/buf OUT_DIR INPUT FILES…
//! cargo run -p protoc-gen-rgrpc --example compilers -- set descriptors.binpb OUT_DIR INCLUDE FILES…
//! cargo run -p protoc-gen-rgrpc --example compilers -- embedded - OUT_DIR INCLUDE FILES…
//! ```

use std::error::Error;
use std::{env, fs};

use protoc_gen_rgrpc::Builder;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kind, path, out, include, files @ ..] = &arguments[..] else {
        return Err("expected: protoc|buf|set|embedded PATH OUT_DIR INCLUDE FILES…".into());
    };
    let builder = Builder::new().out_dir(out);
    match kind.as_str() {
        "embedded" => builder.compile_protos(files, &[include])?,
        "protoc" => builder.protoc(path).compile_protos(files, &[include])?,
        "buf" => builder.buf(path).compile_protos(files, &[include])?,
        // Names in a set are relative to the include folders.
        "set" => builder.compile_fds(&fs::read(path)?, files)?,
        other => return Err(format!("unknown compiler `{other}`").into()),
    }
    Ok(())
}
