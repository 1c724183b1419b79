//! The process of the plugin `protoc-gen-rgrpc`. [`protoc_gen_rgrpc::plugin`] does the work.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use protoc_gen_rgrpc::plugin;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        None => answer(),
        Some("--version") => print(&format!("protoc-gen-rgrpc {}\n", env!("CARGO_PKG_VERSION"))),
        Some("--help" | "-h") => print(&plugin::help()),
        Some(flag) => {
            let text = format!("protoc-gen-rgrpc: unknown argument `{flag}`; try --help\n");
            // A failure to write to standard error cannot be reported.
            let _ = io::stderr().write_all(text.as_bytes());
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "protoc-gen-rgrpc: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> io::Result<()> {
    let mut request = Vec::new();
    io::stdin().lock().read_to_end(&mut request)?;
    io::stdout().lock().write_all(&plugin::respond(&request))
}

fn print(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}
