//! The keepalive program on rgrpc: `keepalive server|workers|hang|download [--flag=value ...]`.
//! `tests/interop/keepalive` crosses it with that of grpc-go.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program's output"
)]

use std::process::ExitCode;

use rgrpc_interop::flags::Command;
use rgrpc_interop::keepalive::{Options, run};

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let options = match Options::parse(arguments) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Help(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("keepalive: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&command, options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keepalive: {error}");
            ExitCode::FAILURE
        }
    }
}
