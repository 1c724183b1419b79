//! The core against the h2 crate: each end receives the content, header lists, ends and resets that
//! the other end sent, for every combination of the two implementations.
//!
//! The ends follow a random script. It has concurrent streams, content in both directions, lengths
//! around the limits of frames and windows, small windows, trailers, resets by either end, and a
//! graceful close by either end. A run of h2 against itself proves that the scripts are valid.
//!
//! A script is identified by its seed, which is printed with a failure. To debug one, let [`SEEDS`]
//! hold it alone.

mod content;
mod generate;
mod received;
mod script;
mod socket;
mod with_core;
mod with_h2;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::runtime;
use tokio::time::timeout;

use crate::Role;
use received::{Transcript, check};
use script::Exchange;

/// The seeds of a test's exchanges.
const SEEDS: Range<u64> = 0..60;

/// The maximum duration of an exchange, which usually takes milliseconds.
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn an_h2_server_and_a_core_client_receive_everything() {
    for_each_seed(Role::Client, |exchange| {
        run(exchange, with_core::client, with_h2::server)
    });
}

#[test]
fn an_h2_client_and_a_core_server_receive_everything() {
    for_each_seed(Role::Server, |exchange| {
        run(exchange, with_h2::client, with_core::server)
    });
}

#[test]
fn two_core_ends_receive_everything() {
    for_each_seed(Role::Client, |exchange| {
        run(exchange, with_core::client, with_core::server)
    });
}

#[test]
fn two_h2_ends_receive_everything() {
    for_each_seed(Role::Server, |exchange| {
        run(exchange, with_h2::client, with_h2::server)
    });
}

/// Runs the exchanges one after another. Panics with the seed of the one that fails.
fn for_each_seed<F>(last_sender: Role, run: impl Fn(Arc<Exchange>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    for seed in SEEDS {
        let exchange = Arc::new(Exchange::of(seed, last_sender));
        let finished = runtime.block_on(async {
            let finished = tokio::spawn(run(exchange.clone()));
            timeout(LIMIT, finished).await
        });
        match finished {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("the exchange with the seed {seed} fails: {error}"),
            Err(_) => panic!("the exchange with the seed {seed} hangs: {exchange:?}"),
        }
    }
}

/// Runs both ends of an exchange and checks what they received.
async fn run<C, S>(
    exchange: Arc<Exchange>,
    client: fn(Arc<Exchange>, DuplexStream) -> C,
    server: fn(Arc<Exchange>, DuplexStream) -> S,
) where
    C: Future<Output = Transcript> + Send + 'static,
    S: Future<Output = Transcript> + Send + 'static,
{
    let (near, far) = tokio::io::duplex(exchange.pipe);
    let client = tokio::spawn(client(exchange.clone(), near));
    let server = tokio::spawn(server(exchange.clone(), far));
    let (client, server) = tokio::try_join!(client, server).expect("no end panics");
    check(&exchange, Role::Client, client);
    check(&exchange, Role::Server, server);
}
