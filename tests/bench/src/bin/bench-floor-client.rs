//! The floor's client. `--help` lists the flags.

#![allow(clippy::print_stdout, reason = "a program's output")]

use anyhow::{Result, ensure};
use clap::Parser;
use rgrpc_bench::flags::ClientFlags;
use rgrpc_bench::floor::client::run;

/// Calls grpc.testing.BenchmarkService with frames written by hand, in a closed loop on one thread.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    client: ClientFlags,
}

fn main() -> Result<()> {
    let flags = Flags::parse().client;
    flags.check()?;
    ensure!(!flags.hold, "--hold: the floor's client does not hold");
    println!("{}", run(&flags)?.to_line()?);
    Ok(())
}
