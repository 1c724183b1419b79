//! The core against the h2 crate: whichever of them either end is, each end hears what the other
//! has said, in content, header lists, ends and resets.
//!
//! What is said is a script made of random numbers: many streams at a time, both directions,
//! lengths around the edges of frames and windows, small windows, trailers, resets in either
//! direction, and a graceful end by either side. That h2 gets the same out of the same scripts when
//! it talks to itself says that they are valid.
//!
//! A script is named by its seed, which a failure tells. `RGRPC_SEED` runs that one alone, or one
//! that has never been run.

mod content;
mod generate;
mod heard;
mod script;
mod socket;
mod with_core;
mod with_h2;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::runtime;
use tokio::time::timeout;

use crate::Role;
use heard::{Transcript, check};
use script::Exchange;

/// How many exchanges a test runs.
const EXCHANGES: u64 = 60;

/// How long one may take at the most; usually it is milliseconds.
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn an_h2_server_and_a_client_on_the_core_hear_what_the_other_says() {
    for_each_seed(Role::Client, |exchange| {
        play(exchange, with_core::client, with_h2::server)
    });
}

#[test]
fn an_h2_client_and_a_server_on_the_core_hear_what_the_other_says() {
    for_each_seed(Role::Server, |exchange| {
        play(exchange, with_h2::client, with_core::server)
    });
}

#[test]
fn two_ends_on_the_core_hear_what_the_other_says() {
    for_each_seed(Role::Client, |exchange| {
        play(exchange, with_core::client, with_core::server)
    });
}

#[test]
fn two_ends_on_h2_hear_what_the_other_says() {
    for_each_seed(Role::Server, |exchange| {
        play(exchange, with_h2::client, with_h2::server)
    });
}

/// Runs the exchanges one after another, and says which one fails.
fn for_each_seed<F>(last_word: Role, play: impl Fn(Arc<Exchange>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let seeds = match env::var("RGRPC_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("RGRPC_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..EXCHANGES,
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    for seed in seeds {
        let exchange = Arc::new(Exchange::of(seed, last_word));
        let played = runtime.block_on(async {
            let played = tokio::spawn(play(exchange.clone()));
            timeout(LIMIT, played).await
        });
        match played {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("the exchange with RGRPC_SEED={seed} fails: {error}"),
            Err(_) => panic!("the exchange with RGRPC_SEED={seed} hangs: {exchange:?}"),
        }
    }
}

/// Has both ends do what the script says, and checks what they have heard.
async fn play<C, S>(
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
