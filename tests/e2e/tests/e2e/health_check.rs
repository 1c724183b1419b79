//! A backend that says that it does not serve gets no calls, where the service config and the
//! policy want it asked.
//!
//! Source: gRFC A17; grpc-go's `TestHealthCheck*`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use rgrpc::credentials::{MetadataFuture, PerRpcCredentials, RequestInfo, SecurityLevel};
use rgrpc::{
    BuildError, ClientConn, ClientConnBuilder, Code, Metadata, Response, Status, credentials,
};
use rgrpc_e2e::{
    HealthService, LeafPolicy, Message, ServingStatus, StubClient, StubService, TestServer,
    channel_builder, expect_text, msg, new_server, register_health, serve, serve_with, settle,
    soon, unary,
};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// A policy that regards health, and the service `a.B` to ask for.
const LEAF: &str = r#"{
    "loadBalancingConfig": [{"leaf": {}}],
    "healthCheckConfig": {"serviceName": "a.B"}
}"#;

/// A server with a health service, and how many calls it has had besides.
fn server(health: &HealthService) -> (TestServer, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let stub = StubService::new().unary(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Ok(Response::new(Message::default())) }
    });
    let mut server = new_server();
    register_health(&mut server, health.clone()).expect("an empty server");
    (serve_with(server, stub), calls)
}

fn serving() -> HealthService {
    HealthService::new(Ok(ServingStatus::Serving))
}

fn conn(server: &TestServer, config: &str) -> ClientConn {
    conn_with(server, config, |builder| builder)
}

fn conn_with(
    server: &TestServer,
    config: &str,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> ClientConn {
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(server.connector())
        .balancer(LeafPolicy)
        .default_service_config(config);
    options(builder).build().expect("a valid channel")
}

async fn call(conn: &ClientConn) -> Result<(), Status> {
    let client = StubClient::new(conn.clone());
    client.unary(msg("")).await.map(drop)
}

/// Why a call fails at this moment.
async fn failure(conn: &ClientConn) -> String {
    let status = call(conn)
        .await
        .expect_err("the backend is not to be called");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(conn.state(), TransientFailure);
    status.message().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_turns_not_serving_gets_no_calls_until_it_serves_again() {
    let health = serving();
    let (server, calls) = server(&health);
    let conn = conn(&server, LEAF);
    call(&conn).await.expect("it serves");
    assert_eq!(health.watched(), ["a.B"]);
    for (says, name) in [
        (ServingStatus::NotServing, "NOT_SERVING"),
        (ServingStatus::ServiceUnknown, "SERVICE_UNKNOWN"),
        (ServingStatus::Unknown, "UNKNOWN"),
    ] {
        let before = calls.load(Ordering::Relaxed);
        health.set(Ok(says));
        settle().await;
        let expected = format!("the backend stub.test says {name} for service a.B");
        assert_eq!(failure(&conn).await, expected);
        let client = StubClient::new(conn.clone());
        let waiting = tokio::spawn(async move { client.unary(msg("")).wait_for_ready(true).await });
        settle().await;
        assert_eq!(calls.load(Ordering::Relaxed), before);

        health.set(Ok(ServingStatus::Serving));
        soon(waiting).await.expect("no panic").expect("it serves");
        call(&conn).await.expect("it serves");
        assert_eq!(calls.load(Ordering::Relaxed), before + 2);
    }
    assert_eq!(health.watched().len(), 1, "all over one watch");
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_first_answer() {
    let health = HealthService::silent();
    let (server, calls) = server(&health);
    let conn = conn(&server, LEAF);
    let waiting = unary(&StubClient::new(conn.clone()), "");
    sleep(3600 * SECOND).await;
    assert_eq!((conn.state(), health.watches()), (Connecting, 1));
    assert!(!waiting.is_finished());
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    health.set(Ok(ServingStatus::Serving));
    expect_text(waiting, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_without_health_service_counts_as_serving() {
    let server = serve(StubService::echo());
    let conn = conn(&server, LEAF);
    expect_text(unary(&StubClient::new(conn), "hello"), "hello").await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_off_is_taken_up_again_and_the_backend_does_not_serve_meanwhile() {
    let health = serving();
    let (server, _) = server(&health);
    let conn = conn(&server, LEAF);
    call(&conn).await.expect("it serves");
    health.set(Err(Status::internal("a bug")));
    settle().await;
    assert_eq!(health.watched().len(), 2, "at once, and in vain");
    let text = "the health check of the backend stub.test failed: INTERNAL: a bug";
    assert_eq!(failure(&conn).await, text);

    health.set(Ok(ServingStatus::Serving));
    let broken_off = Instant::now();
    let client = StubClient::new(conn);
    let waiting = client.unary(msg("")).wait_for_ready(true);
    waiting.await.expect("it serves");
    let wait = broken_off.elapsed().as_millis();
    assert!((950..1050).contains(&wait), "{wait}");
    assert_eq!(health.watched().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_lost_is_watched_again_when_it_is_back() {
    let health = serving();
    let (server, _) = server(&health);
    let conn = conn(&server, LEAF);
    call(&conn).await.expect("it serves");
    drop(server);
    // No failure on the way there: that the watch has ended says nothing about the next server.
    let mut state = Ready;
    while state != Idle {
        state = soon(conn.wait_for_state_change(state)).await;
        assert_ne!(state, TransientFailure);
    }
    sleep(SECOND).await;
    assert_eq!(health.watches(), 0);
}

#[tokio::test(start_paused = true)]
async fn health_is_not_watched_without_config_or_policy_or_with_the_option() {
    let leaf = r#"{"loadBalancingConfig": [{"leaf": {}}]}"#;
    let unnamed = r#"{"loadBalancingConfig": [{"leaf": {}}], "healthCheckConfig": {}}"#;
    let pick_first = r#"{"healthCheckConfig": {"serviceName": "a.B"}}"#;
    for (config, disabled) in [
        (leaf, false),
        (unnamed, false),
        (pick_first, false),
        (LEAF, true),
    ] {
        let health = HealthService::new(Ok(ServingStatus::NotServing));
        let (server, _) = server(&health);
        let conn = conn_with(&server, config, |builder| {
            builder.disable_health_check(disabled)
        });
        call(&conn)
            .await
            .expect("nobody knows that it does not serve");
        settle().await;
        assert_eq!(health.watched(), [""; 0], "{config}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_empty_service_is_the_server_as_a_whole() {
    let health = HealthService::new(Ok(ServingStatus::NotServing));
    let (server, _) = server(&health);
    let conn = conn(&server, &LEAF.replace("a.B", ""));
    let text = "the backend stub.test says NOT_SERVING for the server as a whole";
    assert_eq!(failure(&conn).await, text);
    assert_eq!(health.watched(), [""]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_does_not_keep_the_channel_from_going_idle() {
    let health = serving();
    let (server, _) = server(&health);
    let conn = conn_with(&server, LEAF, |builder| builder.idle_timeout(10 * SECOND));
    for rounds in 1..=2 {
        call(&conn).await.expect("it serves");
        assert_eq!((conn.state(), health.watches()), (Ready, 1));
        sleep(11 * SECOND).await;
        assert_eq!((conn.state(), health.watches()), (Idle, 0));
        assert_eq!(health.watched().len(), rounds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_closed_watches_no_more() {
    let health = serving();
    let (server, _) = server(&health);
    let conn = conn(&server, LEAF);
    call(&conn).await.expect("it serves");
    conn.close();
    sleep(SECOND).await;
    assert_eq!(health.watches(), 0);
    assert_eq!(health.watched().len(), 1);
}

#[test]
fn a_config_that_is_invalid_makes_no_channel() {
    for (config, problem) in [
        (
            r#"{"healthCheckConfig": []}"#,
            "healthCheckConfig: an object is expected, got a list",
        ),
        (
            r#"{"healthCheckConfig": {"serviceName": true}}"#,
            "healthCheckConfig.serviceName: a string is expected, got true",
        ),
    ] {
        let error = channel_builder("passthrough:///stub.test", credentials::insecure())
            .default_service_config(config)
            .build()
            .expect_err(config);
        assert!(matches!(error, BuildError::ServiceConfig(_)), "{error}");
        assert!(error.to_string().contains(problem), "{error}");
    }
}

/// Notes which calls it is asked for.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl PerRpcCredentials for Asked {
    fn metadata<'a>(&'a self, request: RequestInfo<'a>) -> MetadataFuture<'a> {
        let mut asked = self.0.lock().expect("not poisoned");
        asked.push(request.method().to_owned());
        Box::pin(async { Ok(Metadata::new()) })
    }

    fn min_security_level(&self) -> SecurityLevel {
        SecurityLevel::NoSecurity
    }
}

#[tokio::test(start_paused = true)]
async fn the_channels_per_rpc_credentials_go_with_the_watch() {
    let (server, _) = server(&serving());
    let asked = Asked::default();
    let conn = conn_with(&server, LEAF, |builder| {
        builder.per_rpc_credentials(asked.clone())
    });
    call(&conn).await.expect("it serves");
    let asked = asked.0.lock().expect("not poisoned");
    assert_eq!(asked[0], "/grpc.health.v1.Health/Watch");
    assert_eq!(asked.len(), 2);
}

/// Panics each of the first two times.
#[derive(Default)]
struct PanicsTwice(AtomicUsize);

impl PerRpcCredentials for PanicsTwice {
    fn metadata<'a>(&'a self, _: RequestInfo<'a>) -> MetadataFuture<'a> {
        let time = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(time != 0, "the first makes no future");
        Box::pin(async move {
            assert!(time != 1, "the second makes one that panics");
            Ok(Metadata::new())
        })
    }

    fn min_security_level(&self) -> SecurityLevel {
        SecurityLevel::NoSecurity
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_panic_for_the_watch_are_asked_again() {
    let (server, _) = server(&serving());
    let conn = conn_with(&server, LEAF, |builder| {
        builder.per_rpc_credentials(PanicsTwice::default())
    });
    // Two waits, of 1 s and of 1.6 s, with their jitter.
    let begun = Instant::now();
    soon(conn.wait_ready(begun + 20 * SECOND))
        .await
        .expect("the watch is made at last");
    assert!(begun.elapsed() > 2 * SECOND, "{:?}", begun.elapsed());
    call(&conn).await.expect("it serves");
}
