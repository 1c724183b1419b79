//! The bench's server on rgrpc. `--help` lists the flags.

use std::num::NonZeroUsize;

use anyhow::Result;
use clap::Parser;
use rgrpc::{IncomingCall, ServerNext, ServerReply, Status};
use rgrpc_bench::counting_handler::CountingHandler;
use rgrpc_bench::engine::EngineFlags;
use rgrpc_bench::flags::{ServerFlags, ThreadFlags};
use rgrpc_bench::proto::grpc::testing::register_benchmark_service;
use rgrpc_bench::rgrpc_server::Benchmark;
use rgrpc_bench::serve::{announce, listen};
use tokio::net::TcpListener;

/// Serves grpc.testing.BenchmarkService on rgrpc.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    server: ServerFlags,
    #[command(flatten)]
    engine: EngineFlags,
    #[command(flatten)]
    threads: ThreadFlags,
    /// Threads of the server's own, each with the connections that are dealt to it; the runtime of
    /// --threads only accepts them then. Without it the calls run on that.
    #[arg(long)]
    workers: Option<NonZeroUsize>,
    /// The number of pass-through interceptors.
    #[arg(long, default_value_t = 0)]
    interceptors: usize,
    /// The number of stats handlers, which count the events of calls.
    #[arg(long, default_value_t = 0)]
    stats: usize,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let mut server = flags.engine.server(flags.workers);
    for _ in 0..flags.interceptors {
        server = server.interceptor(pass_through);
    }
    for _ in 0..flags.stats {
        server = server.stats_handler(CountingHandler::default());
    }
    let push = flags.server.push;
    register_benchmark_service(&mut server, Benchmark { push })?;
    let listener = listen(flags.server.port)?;
    announce(&listener)?;
    flags.threads.runtime()?.block_on(async {
        // A task of its own, so that it runs on the runtime's threads and not on this one.
        let serving = server.serve_listener(TcpListener::from_std(listener)?);
        Ok(tokio::spawn(serving).await??)
    })
}

/// An interceptor that changes nothing.
async fn pass_through(call: IncomingCall, next: ServerNext) -> Result<ServerReply, Status> {
    next.run(call).await
}
