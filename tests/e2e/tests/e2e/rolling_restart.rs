//! Backends that are restarted one after the other while calls go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rgrpc::{Code, Response, Status};
use rgrpc_e2e::{StubClient, StubService, msg, settle};
use tokio::time::sleep;

use crate::cluster::Cluster;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// The number of restarts of each backend.
const ROUNDS: usize = 3;

/// The number of concurrent calls.
const CALLERS: usize = 8;

const ROUND_ROBIN: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

/// With calls that are retried.
const WITH_RETRIES: &str = r#"{
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [{"name": [{}], "waitForReady": true, "retryPolicy": {
        "maxAttempts": 5, "initialBackoff": "0.01s", "maxBackoff": "0.1s",
        "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]
    }}]
}"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Calls that have begun end well.
    Graceful,
    /// Connections are closed under them.
    Abrupt,
}

/// The outcomes of the calls made meanwhile.
#[derive(Debug, Default)]
struct Outcome {
    calls: usize,
    failures: Vec<Status>,
}

/// A slow service, so that some calls are always under way.
fn service(served: &Arc<AtomicUsize>) -> StubService {
    let served = Arc::clone(served);
    StubService::new().unary(move |_| {
        let served = Arc::clone(&served);
        async move {
            sleep(Duration::from_millis(5)).await;
            served.fetch_add(1, Ordering::Relaxed);
            Ok(Response::new(msg("")))
        }
    })
}

/// Makes calls until it is stopped.
async fn call(client: StubClient, stop: Arc<AtomicBool>) -> Outcome {
    let mut outcome = Outcome::default();
    while !stop.load(Ordering::Relaxed) {
        outcome.calls += 1;
        if let Err(status) = client.unary(msg("")).await {
            outcome.failures.push(status);
        }
        sleep(Duration::from_millis(10)).await;
    }
    outcome
}

/// Restarts the backends, each for some rounds, under load.
async fn restart_all(config: &str, stop: Stop) -> Outcome {
    let served = Arc::default();
    let mut cluster = Cluster::new();
    for name in NAMES {
        cluster.start(name, service(&served));
    }
    cluster.found(&NAMES);
    let conn = cluster.builder().default_service_config(config).build();
    let client = StubClient::new(conn.expect("a valid channel"));
    client.unary(msg("")).await.expect("all are there");
    settle().await;

    let enough = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| tokio::spawn(call(client.clone(), Arc::clone(&enough))))
        .collect();
    for name in NAMES.repeat(ROUNDS) {
        let old = cluster.take(name);
        match stop {
            Stop::Graceful => old.handle().graceful_stop().await,
            Stop::Abrupt => old.handle().stop(),
        }
        sleep(Duration::from_millis(300)).await;
        cluster.start(name, service(&served));
        // For longer than the backoff after the attempt that has failed.
        sleep(Duration::from_secs(2)).await;
    }
    enough.store(true, Ordering::Relaxed);
    let mut all = Outcome::default();
    for caller in callers {
        let outcome = caller.await.expect("no panic");
        all.calls += outcome.calls;
        all.failures.extend(outcome.failures);
    }
    let answered = all.calls - all.failures.len() + 1;
    let served = served.load(Ordering::Relaxed);
    assert!(served >= answered, "{served} served, {answered} answered");
    assert!(all.calls > 5_000, "{} calls are no load", all.calls);
    all
}

fn assert_all_unavailable(outcome: &Outcome) {
    let mut failures = outcome.failures.iter();
    let other = failures.find(|status| status.code() != Code::Unavailable);
    assert!(other.is_none(), "{other:?}");
}

#[tokio::test(start_paused = true)]
async fn with_retries_no_call_fails_while_backends_are_restarted_gracefully() {
    let outcome = restart_all(WITH_RETRIES, Stop::Graceful).await;
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
}

#[tokio::test(start_paused = true)]
async fn with_retries_no_call_fails_while_backends_are_restarted_abruptly() {
    let outcome = restart_all(WITH_RETRIES, Stop::Abrupt).await;
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
}

#[tokio::test(start_paused = true)]
async fn without_retries_graceful_restarts_fail_calls_with_unavailable_alone() {
    assert_all_unavailable(&restart_all(ROUND_ROBIN, Stop::Graceful).await);
}

#[tokio::test(start_paused = true)]
async fn without_retries_abrupt_restarts_fail_calls_with_unavailable_alone() {
    let outcome = restart_all(ROUND_ROBIN, Stop::Abrupt).await;
    assert_all_unavailable(&outcome);
    // Those that the backends had begun are known to be lost.
    assert!(!outcome.failures.is_empty());
    // Each is lost with one backend's connection: most calls never notice.
    assert!(outcome.failures.len() <= CALLERS * NAMES.len() * ROUNDS);
}
