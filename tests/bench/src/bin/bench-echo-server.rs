//! The server that echoes on a bare socket. `--help` lists the flags.

use anyhow::Result;
use clap::Parser;
use rgrpc_bench::echo::serve;
use rgrpc_bench::serve::{announce, listen};

/// Sends each message back when it has arrived, without any protocol.
#[derive(Debug, Parser)]
struct Flags {
    /// The port on 127.0.0.1; with 0 the system chooses one. The first line of output names it.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The size of a message.
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES")]
    size: usize,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let listener = listen(flags.port)?;
    announce(&listener)?;
    serve(&listener, flags.size)
}
