//! Counts the allocations of a unary call, both sides together.
//!
//! Server and client are in one process, on one thread, so that one counting allocator sees both.
//! Timing is elsewhere, because counting costs time.

use std::future::Future;

use anyhow::{Context, Result};
use rgrpc::Server;
use tokio::net::TcpListener;

use crate::channel::ChannelFlags;
use crate::closed_loop::Operation;
use crate::engine::EngineFlags;
use crate::flags::{ClientFlags, Mode, ServerFlags};
use crate::proto::grpc::testing::register_benchmark_service;
use crate::proto::tonic_service::benchmark_service_server::BenchmarkServiceServer;
use crate::serve::listen;
use crate::{rgrpc_client, rgrpc_server, tonic_client, tonic_server};

/// Calls before counting begins: connections, tables and buffers are there then.
const UNCOUNTED: u64 = 1_000;
/// Calls that are counted.
const COUNTED: u64 = 10_000;

/// Allocations for each call of rgrpc on an engine. `count` returns how many the process has made.
///
/// # Errors
/// A call fails.
pub async fn of_rgrpc(engine: EngineFlags, count: impl Fn() -> u64) -> Result<f64> {
    let mut server: Server = engine.server(None);
    register_benchmark_service(&mut server, rgrpc_server::Benchmark { push: 0 })?;
    let (listener, port) = loopback()?;
    let serving = server.serve_listener(listener);
    while_serving(serving, async {
        let channels = ChannelFlags::plain(engine);
        per_call(rgrpc_client::loops(&one_loop(port), channels).await?, count).await
    })
    .await
}

/// Allocations for each call of tonic.
///
/// # Errors
/// A call fails.
pub async fn of_tonic(count: impl Fn() -> u64) -> Result<f64> {
    let (listener, port) = loopback()?;
    let service = BenchmarkServiceServer::new(tonic_server::Benchmark { push: 0 });
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(incoming);
    while_serving(serving, async {
        per_call(tonic_client::loops(&one_loop(port)).await?, count).await
    })
    .await
}

async fn while_serving<E: Send + 'static>(
    serving: impl Future<Output = Result<(), E>> + Send + 'static,
    calls: impl Future<Output = Result<f64>>,
) -> Result<f64> {
    let serving = tokio::spawn(serving);
    let counted = calls.await;
    serving.abort();
    counted
}

async fn per_call<O: Operation>(loops: Vec<O>, count: impl Fn() -> u64) -> Result<f64> {
    let mut only = loops.into_iter().next().context("there is no loop")?;
    for _ in 0..UNCOUNTED {
        only.run().await?;
    }
    let before = count();
    for _ in 0..COUNTED {
        only.run().await?;
    }
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    Ok((count() - before) as f64 / COUNTED as f64)
}

fn loopback() -> Result<(TcpListener, u16)> {
    let listener = listen(ServerFlags::ANY_PORT)?;
    let port = listener.local_addr()?.port();
    Ok((TcpListener::from_std(listener)?, port))
}

fn one_loop(port: u16) -> ClientFlags {
    ClientFlags::one_loop(port, Mode::Unary)
}
