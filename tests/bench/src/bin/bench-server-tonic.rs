//! The bench's server on tonic. `--help` lists the flags.

use anyhow::Result;
use clap::Parser;
use rgrpc_bench::flags::{ServerFlags, ThreadFlags};
use rgrpc_bench::proto::tonic_service::benchmark_service_server::BenchmarkServiceServer;
use rgrpc_bench::serve::{announce, listen};
use rgrpc_bench::tonic_server::Benchmark;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// Serves grpc.testing.BenchmarkService on tonic.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    server: ServerFlags,
    #[command(flatten)]
    threads: ThreadFlags,
}

/// hyper's default of 200 would make 1,000 open streams wait for each other; rgrpc has no limit.
const MAX_CONCURRENT_STREAMS: u32 = 1 << 20;

fn main() -> Result<()> {
    let flags = Flags::parse();
    let listener = listen(flags.server.port)?;
    announce(&listener)?;
    flags.threads.runtime()?.block_on(async {
        let connections =
            TcpIncoming::from(TcpListener::from_std(listener)?).with_nodelay(Some(true));
        let push = flags.server.push;
        let serving = Server::builder()
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .add_service(BenchmarkServiceServer::new(Benchmark { push }))
            .serve_with_incoming(connections);
        Ok(tokio::spawn(serving).await??)
    })
}
