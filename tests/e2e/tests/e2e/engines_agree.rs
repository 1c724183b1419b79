//! The same calls on every pair of engines: both sides see the same messages, the same metadata and
//! the same ends.
//!
//! A seed determines a random workload. Both sides record what they see of each call, apart from
//! times, and the records of the two engines are compared. A failure names its seed;
//! `RGRPC_SEED` runs that seed alone.

mod client;
mod server;
mod told;
mod workload;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rgrpc::{Transport, credentials};
use rgrpc_e2e::{StubClient, channel_builder, new_server, serve_with};
use tokio::time::timeout;

use client::make;
use server::{Seen, service};
use workload::{Planned, Random, workload};

/// The number of workloads of a run.
const WORKLOADS: u64 = 20;

/// The timeout of a workload. Virtual time reaches it only when nothing else can happen.
const LIMIT: Duration = Duration::from_secs(30);

/// Client and server; the others are compared with the first.
const PAIRS: [(Transport, Transport); 4] = [
    (Transport::Native, Transport::Native),
    (Transport::Native, Transport::H2),
    (Transport::H2, Transport::Native),
    (Transport::H2, Transport::H2),
];

/// The key that tells the handler which call it has.
const CALL: &str = "x-call";

#[tokio::test(start_paused = true)]
async fn a_workload_has_the_same_results_on_every_pair_of_engines() {
    let seeds = match env::var("RGRPC_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("RGRPC_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..WORKLOADS,
    };
    for seed in seeds {
        let calls: Arc<[Planned]> = workload(&mut Random(seed)).into();
        let mut first = None;
        for (client, server) in PAIRS {
            let Ok(transcript) = timeout(LIMIT, run(calls.clone(), client, server)).await else {
                panic!("RGRPC_SEED={seed}: {client:?} to {server:?} hangs in one of {calls:#?}");
            };
            let first = first.get_or_insert_with(|| transcript.clone());
            for (call, (seen, expected)) in calls.iter().zip(transcript.iter().zip(&*first)) {
                assert_eq!(
                    seen, expected,
                    "RGRPC_SEED={seed}: {client:?} to {server:?} differs from {:?} in {call:?}",
                    PAIRS[0]
                );
            }
        }
    }
}

/// The events of each call, on the client and on the server.
type Transcript = Vec<(Vec<String>, Vec<String>)>;

/// Makes all calls at the same time, on one connection.
async fn run(calls: Arc<[Planned]>, client: Transport, server: Transport) -> Transcript {
    let seen = Seen::default();
    let service = service(calls.clone(), seen.clone());
    let server = serve_with(new_server().transport(server), service);
    let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(server.connector())
        .transport(client)
        .build()
        .expect("a valid channel");
    let client = StubClient::new(conn);
    let made = join_all(calls.iter().map(|call| make(&client, call))).await;
    let mut seen = std::mem::take(&mut *seen.lock().expect("no handler panics"));
    let both = |(call, made): (&Planned, Vec<String>)| {
        let mut seen = seen.remove(&call.number).unwrap_or_default();
        if call.is_cut_short() {
            // The handler may have got anywhere.
            seen.clear();
        }
        (made, seen)
    };
    calls.iter().zip(made).map(both).collect()
}
