//! The floor's server. `--help` lists the flags.

use anyhow::Result;
use clap::Parser;
use rgrpc_bench::floor::server::serve;
use rgrpc_bench::serve::{announce, listen};

/// Answers grpc.testing.BenchmarkService with frames written by hand, on one thread.
#[derive(Debug, Parser)]
struct Flags {
    /// The port on 127.0.0.1; with 0 the system chooses one. The first line of output names it.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The number of responses to each request. Paths are not read, so only this option
    /// distinguishes StreamingFromServer from the other methods.
    #[arg(long, default_value_t = 1, value_name = "MESSAGES")]
    push: u32,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let listener = listen(flags.port)?;
    announce(&listener)?;
    serve(listener, flags.push)
}
