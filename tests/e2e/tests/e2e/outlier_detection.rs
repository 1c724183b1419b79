//! `outlier_detection_experimental`: a backend that fails its calls gets none for a while. Source:
//! gRFC A50.

use std::sync::Arc;
use std::time::Duration;

use rgrpc::ClientConn;
use rgrpc::balancer::{
    FailurePercentageEjection, OutlierDetectionBuilder, OutlierDetectionConfig, PolicyConfig,
    RoundRobinBuilder,
};
use rgrpc_e2e::{StubClient, msg, soon, text};

use crate::backends::Backends;

/// The backends are those of a ring; calls without a session go to any that is ready.
const CONFIG: &str = r#"[{"outlier_detection_experimental": {
    "interval": "10s",
    "baseEjectionTime": "30s",
    "maxEjectionPercent": 50,
    "failurePercentageEjection":
        {"threshold": 50, "enforcementPercentage": 100, "minimumHosts": 2, "requestVolume": 5},
    "childPolicy": [{"ring_hash_experimental": {"requestHashHeader": "session"}}]
}}]"#;

/// The backends that answer `count` calls, each once and in order, and the number of failures.
async fn calls(conn: &ClientConn, count: usize) -> (Vec<String>, usize) {
    let client = StubClient::new(conn.clone());
    let (mut backends, mut failures) = (Vec::new(), 0);
    for _ in 0..count {
        match soon(async { client.unary(msg("")).await }).await {
            Ok(response) => backends.push(text(response.message()).to_owned()),
            Err(_) => failures += 1,
        }
    }
    backends.sort();
    backends.dedup();
    (backends, failures)
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_fails_its_calls_is_left_out_until_its_time_is_over() {
    let backends = Backends::serve(2);
    let conn = backends.connect(OutlierDetectionBuilder, CONFIG);
    // Enough for both to be connected to.
    let (all, failures) = calls(&conn, 200).await;
    assert_eq!((all, failures), (vec!["0".to_owned(), "1".to_owned()], 0));

    backends.set_failing(1, true);
    // The calls above are of another interval.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let (_, failures) = calls(&conn, 100).await;
    assert!(failures > 5, "{failures}");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(calls(&conn, 100).await, (vec!["0".to_owned()], 0));

    backends.set_failing(1, false);
    tokio::time::sleep(Duration::from_secs(40)).await;
    let (all, failures) = calls(&conn, 200).await;
    assert_eq!((all, failures), (vec!["0".to_owned(), "1".to_owned()], 0));
}

#[tokio::test(start_paused = true)]
async fn a_resolver_gives_the_policy_with_its_config_without_json() {
    let backends = Backends::serve(2);
    let failures = FailurePercentageEjection::new()
        .with_minimum_hosts(2)
        .with_request_volume(5)
        .with_threshold(50)
        .and_then(|failures| failures.with_enforcement_percentage(100));
    let child = PolicyConfig::new(Arc::new(RoundRobinBuilder), Arc::new(()));
    let config = OutlierDetectionConfig::new(child)
        .with_interval(Duration::from_secs(10))
        .with_base_ejection_time(Duration::from_secs(30))
        .with_failure_percentage(failures.expect("valid"))
        .with_max_ejection_percent(50)
        .expect("valid");
    let policy = PolicyConfig::new(Arc::new(OutlierDetectionBuilder), Arc::new(config));
    let conn = backends.connect_by(policy);
    let (all, failures) = calls(&conn, 100).await;
    assert_eq!((all, failures), (vec!["0".to_owned(), "1".to_owned()], 0));

    backends.set_failing(1, true);
    tokio::time::sleep(Duration::from_secs(11)).await;
    let (_, failures) = calls(&conn, 100).await;
    assert!(failures > 5, "{failures}");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(calls(&conn, 100).await, (vec!["0".to_owned()], 0));
}
