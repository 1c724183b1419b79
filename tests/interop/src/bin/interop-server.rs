//! gRPC's interop server on rgrpc. `--help` lists the flags.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program's output"
)]

use std::error::Error;
use std::process::ExitCode;

use rgrpc_interop::flags::Command;
use rgrpc_interop::server::{Options, listen, server};

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Help(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("interop-server: {error}");
            return ExitCode::from(2);
        }
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("interop-server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    let server = server(&options.tls)?;
    let listener = listen(options.port)
        .await
        .map_err(|error| format!("cannot listen on port {}: {error}", options.port))?;
    println!("interop server listening on {}", listener.local_addr()?);
    server.serve_listener(listener).await?;
    Ok(())
}
