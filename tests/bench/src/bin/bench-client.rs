//! The bench's client on rgrpc. `--help` lists the flags.

#![allow(clippy::print_stdout, reason = "a program's output")]

use anyhow::Result;
use clap::Parser;
use rgrpc_bench::channel::ChannelFlags;
use rgrpc_bench::flags::{ClientFlags, ThreadFlags};
use rgrpc_bench::{closed_loop, rgrpc_client};

/// Calls grpc.testing.BenchmarkService with rgrpc, in a closed loop.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    channels: ChannelFlags,
    #[command(flatten)]
    threads: ThreadFlags,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    flags.client.check()?;
    let runtime = flags.threads.runtime()?;
    let last = runtime.block_on(async {
        let loops = rgrpc_client::loops(&flags.client, flags.channels).await?;
        closed_loop::run(&flags.client, flags.threads.threads, loops).await
    })?;
    if let Some(last) = last {
        println!("{last}");
    }
    Ok(())
}
