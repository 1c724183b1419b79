//! Generates every schema of `schemas` the `build.rs` way: the real ones into `OUT_DIR/real`, the
//! difficult ones into `OUT_DIR/difficult`, and these once more with the options that change the
//! code's shape into `OUT_DIR/options`. One has a client alone, in `OUT_DIR/client`. Two calls share the folder `OUT_DIR/twice`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use protoc_gen_rgrpc::Builder;

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = here.join("../..");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=schemas");
    let schemas = fs::read_to_string(here.join("schemas"))?;

    let real = files(&schemas, "tests/proto");
    Builder::new()
        .out_dir(out.join("real"))
        .file_descriptor_set_path("real.binpb")
        .compile_protos(&real, &[root.join("tests/proto")])?;

    let difficult = files(&schemas, "tests/codegen/proto");
    let include = [root.join("tests/codegen/proto")];
    Builder::new()
        .out_dir(out.join("difficult"))
        .compile_protos(&difficult, &include)?;

    Builder::new()
        .out_dir(out.join("options"))
        .runtime_path("crate::runtime")
        .require_methods(true)
        .file_descriptor_set(false)
        .type_names(true)
        .extern_path(".torture.imported", "crate::difficult::torture::imported")
        .extern_path(
            ".torture.type.Struct",
            "crate::difficult::torture::r#type::Struct",
        )
        .bytes(".")
        .boxed(".torture.FooClient.left")
        .type_attribute(".torture.Foo", "#[derive(PartialOrd)]")
        .field_attribute("FooClient.type", "#[doc(alias = \"kind\")]")
        .compile_protos(&["torture/second.proto", "torture/names.proto"], &include)?;

    // A program that only calls.
    Builder::new()
        .out_dir(out.join("client"))
        .server(false)
        .compile_protos(
            &["grpc/health/v1/health.proto"],
            &[root.join("tests/proto")],
        )?;

    // Two calls for one folder: a package of which each call has one file, and imports.
    for file in [
        "spread/orders/v1/orders.proto",
        "spread/more/orders_admin.proto",
    ] {
        Builder::new()
            .out_dir(out.join("twice"))
            .compile_protos(&[file], &include)?;
    }

    // One package on its own, where `include_proto!` looks for it.
    let health = [Path::new("grpc/health/v1/health.proto")];
    protoc_gen_rgrpc::compile_protos(&health, &[root.join("tests/proto")])?;
    Ok(())
}

/// The files listed under an include folder.
fn files(schemas: &str, include: &str) -> Vec<String> {
    let listed = schemas.lines().filter_map(|line| line.split_once(' '));
    listed
        .filter(|(folder, _)| *folder == include)
        .map(|(_, file)| file.to_owned())
        .collect()
}
