//! The client of the server that echoes on a bare socket. `--help` lists the flags.

#![allow(clippy::print_stdout, reason = "a program's output")]

use anyhow::{Result, ensure};
use clap::Parser;
use rgrpc_bench::echo::run;
use rgrpc_bench::flags::ClientFlags;

/// Sends messages of --req bytes and reads each back, without any protocol.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    client: ClientFlags,
}

fn main() -> Result<()> {
    let flags = Flags::parse().client;
    flags.check()?;
    ensure!(
        flags.conns == 1 && flags.streams == 1 && flags.req == flags.resp && !flags.hold,
        "a bare socket has one connection, no streams, and echoes what it gets"
    );
    let size = usize::try_from(flags.req)?;
    let report = run(flags.port, size, flags.warmup, flags.secs, flags.server_pid)?;
    println!("{}", report.to_line()?);
    Ok(())
}
