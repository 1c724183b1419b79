//! The status texts of calls whose deadline has passed: they name what the call waited for. Tested
//! for unary, streaming and hedged calls.

use std::future::pending;
use std::io;
use std::time::Duration;

use rgrpc::credentials::{MetadataFuture, PerRpcCredentials, RequestInfo, SecurityLevel};
use rgrpc::io::{Connected, Dial};
use rgrpc::resolver::ManualResolver;
use rgrpc::{ClientConn, ClientConnBuilder, Code, Status, credentials};
use rgrpc_e2e::{
    FnDialer, StubClient, StubService, TestServer, channel_builder, msg, new_server, scripted_by,
    serve, serve_with, settle, soon, unary,
};
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_secs(5);

const HEDGING: &str = r#"{"methodConfig": [{"name": [{}], "hedgingPolicy": {
    "maxAttempts": 2, "hedgingDelay": "1s"
}}]}"#;

/// Two attempts, the second a minute after the first.
const RETRIES: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 2, "initialBackoff": "60s", "maxBackoff": "60s", "backoffMultiplier": 1,
    "retryableStatusCodes": ["UNAVAILABLE"]
}}]}"#;

/// A channel that reaches this server by any target.
fn to(server: &TestServer, target: &str) -> ClientConnBuilder {
    channel_builder(target, credentials::insecure()).dialer(server.connector())
}

fn dialing(dialer: impl Dial) -> ClientConnBuilder {
    let target = "ipv4:10.0.0.1:1,10.0.0.2:2";
    channel_builder(target, credentials::insecure()).dialer(dialer)
}

fn never() -> impl Dial {
    FnDialer::new(|_| pending::<io::Result<Connected>>())
}

fn refuses() -> impl Dial {
    FnDialer::new(|_| async { Err(io::ErrorKind::ConnectionRefused.into()) })
}

/// The texts of a unary call and of one with streams that do not end in time.
async fn texts(conn: &ClientConn, wait_for_ready: bool) -> [String; 2] {
    let client = StubClient::new(conn.clone());
    let call = client.unary(msg("")).timeout(TIMEOUT);
    let unary = call.wait_for_ready(wait_for_ready).await;
    let call = client.bidi_streaming().timeout(TIMEOUT);
    let bidi = match call.wait_for_ready(wait_for_ready).await {
        Ok((_requests, mut responses)) => soon(responses.recv()).await.map(drop),
        Err(status) => Err(status),
    };
    [unary.map(drop), bidi].map(|outcome| text(outcome.expect_err("too late")))
}

fn text(status: Status) -> String {
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    status.message().to_owned()
}

/// Checks the texts of both kinds of calls, and of hedged ones.
async fn expect(conn: impl Fn() -> ClientConnBuilder, wait_for_ready: bool, expected: &str) {
    for config in ["{}", HEDGING] {
        let conn = conn()
            .default_service_config(config)
            .build()
            .expect("valid");
        for text in texts(&conn, wait_for_ready).await {
            assert_eq!(text, expected, "{config}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_the_resolver_says_so() {
    let resolver = ManualResolver::new("manual");
    let conn =
        || channel_builder("manual:///shop", credentials::insecure()).resolver(resolver.clone());
    let text = "the deadline of the call to manual:///shop passed while it waited for the \
                resolver, which has found nothing yet";
    expect(conn, false, text).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_a_connection_says_where_to() {
    let text = "the deadline of the call to ipv4:10.0.0.1:1,10.0.0.2:2 passed while it waited \
                for a connection: the channel is CONNECTING, trying 10.0.0.1:1 and 1 more";
    expect(|| dialing(never()), false, text).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_ready_says_why_there_was_no_connection_and_when_it_is_tried_next() {
    for config in ["{}", HEDGING] {
        let conn = dialing(refuses()).default_service_config(config);
        for text in texts(&conn.build().expect("valid"), true).await {
            let beginning = "the deadline of the call to ipv4:10.0.0.1:1,10.0.0.2:2 passed while \
                             it waited for a connection: the channel is TRANSIENT_FAILURE; last: ";
            let last = text.strip_prefix(beginning);
            let last = last.unwrap_or_else(|| panic!("{text}"));
            assert!(last.contains("connection refused (attempt "), "{text}");
            assert!(last.contains(", next in "), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_while_policies_connect_again_says_what_failed_last() {
    // The first address refuses, and the second never answers.
    let dialer = || {
        FnDialer::new(|address| async move {
            match address.to_string().as_str() {
                "10.0.0.1:1" => Err(io::ErrorKind::ConnectionRefused.into()),
                _ => pending().await,
            }
        })
    };
    let round_robin = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;
    let conn = dialing(dialer()).default_service_config(round_robin);
    for text in texts(&conn.build().expect("valid"), true).await {
        assert!(
            text.contains("CONNECTING, trying 10.0.0.2:2; last: "),
            "{text}"
        );
        assert!(
            text.contains("10.0.0.1:1: connection refused (attempt "),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_a_stream_says_whose_limit_it_was() {
    let one = r#"{"connectionScaling": {"maxConnectionsPerSubchannel": 1}}"#;
    let two = r#"{"connectionScaling": {"maxConnectionsPerSubchannel": 2}}"#;
    // One waits in the connection, the other before it.
    for (config, limit, name) in [(one, 1, "pipe"), (two, 2, "shop:1")] {
        let (service, mut watch) = StubService::hanging();
        let server = serve_with(new_server().max_concurrent_streams(1), service);
        let conn = to(&server, "passthrough:///shop:1").default_service_config(config);
        let conn = conn.build().expect("valid");
        let client = StubClient::new(conn.clone());
        let holding: Vec<_> = (0..limit).map(|_| unary(&client, "")).collect();
        for _ in 0..limit {
            watch.begun().await;
        }
        settle().await;
        for text in texts(&conn, false).await {
            assert_eq!(
                text,
                format!(
                    "the deadline of the call to passthrough:///shop:1 passed while it waited \
                     for a stream: those that {name} allows at once are taken (its \
                     SETTINGS_MAX_CONCURRENT_STREAMS)"
                ),
                "{config}"
            );
        }
        holding.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Credentials whose metadata never comes.
#[derive(Debug)]
struct Never;

impl PerRpcCredentials for Never {
    fn metadata<'a>(&'a self, _request: RequestInfo<'a>) -> MetadataFuture<'a> {
        Box::pin(pending())
    }

    fn min_security_level(&self) -> SecurityLevel {
        SecurityLevel::NoSecurity
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_its_credentials_says_so() {
    let server = serve(StubService::echo());
    let conn = || to(&server, "passthrough:///shop:1").per_rpc_credentials(Never);
    let text = "the deadline of the call to passthrough:///shop:1 passed while it waited for its \
                per-RPC credentials";
    expect(conn, false, text).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_its_next_attempt_says_how_the_last_one_failed() {
    let server = serve(
        StubService::new()
            .unary(|_| async { Err(Status::unavailable("busy")) })
            .bidi_streaming(|_, _| async { Err(Status::unavailable("busy")) }),
    );
    let conn = to(&server, "passthrough:///shop:1").default_service_config(RETRIES);
    for text in texts(&conn.build().expect("valid"), false).await {
        assert_eq!(
            text,
            "the deadline of the call to passthrough:///shop:1 passed while it waited for \
             attempt 2 to begin, after a failure with UNAVAILABLE: busy"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_the_answer_says_whose_and_for_how_long_nothing_was_received() {
    let text = "the deadline of the call to passthrough:///shop:1 passed while it waited for the \
                answer of pipe, from which nothing was received for ";
    for config in ["{}", HEDGING] {
        let (conn, mut server) = scripted_by("passthrough:///shop:1", |builder| {
            builder.default_service_config(config)
        });
        let silent = tokio::spawn(async move {
            let _peer = server.accept().await;
            pending::<()>().await;
        });
        // The connection is as old as the first call, and nothing is received on it during both.
        let expected = ["5.0 s", "10.0 s"].map(|silence| format!("{text}{silence}"));
        assert_eq!(texts(&conn, false).await, expected, "{config}");
        silent.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_is_told_from_a_silent_connection_by_what_other_calls_receive() {
    let (service, _watch) = StubService::hanging();
    let service = service.server_streaming(|_, mut responses| async move {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            responses.send(msg("")).await?;
        }
    });
    let server = serve(service);
    let client = StubClient::new(to(&server, "passthrough:///shop:1").build().expect("valid"));
    let streaming = client.server_streaming(msg("")).into_future();
    let mut responses = soon(streaming).await.expect("the server is there");
    let receiving = tokio::spawn(async move { while responses.recv().await.is_ok() {} });
    // The last of the 16 before the deadline is received 200 ms before it.
    let status = client.unary(msg("")).timeout(TIMEOUT).await;
    let text = text(status.expect_err("it hangs"));
    assert!(text.ends_with("nothing was received for 0.2 s"), "{text}");
    receiving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_had_passed_sends_nothing_and_says_so() {
    let (service, mut watch) = StubService::hanging();
    let server = serve(service);
    for config in ["{}", HEDGING] {
        let conn = to(&server, "passthrough:///shop:1").default_service_config(config);
        let conn = conn.build().expect("valid");
        let client = StubClient::new(conn.clone());
        for is_resolved in [false, true] {
            if is_resolved {
                conn.connect().expect("the channel is open");
                conn.wait_ready(Instant::now() + TIMEOUT)
                    .await
                    .expect("it is ready");
            }
            let unary = client.unary(msg("")).timeout(Duration::ZERO).await;
            let bidi = client.bidi_streaming().timeout(Duration::ZERO).await;
            for outcome in [unary.map(drop), bidi.map(drop)] {
                assert_eq!(
                    text(outcome.expect_err("too late")),
                    "the deadline of the call to passthrough:///shop:1 passed before it was sent",
                    "{config} {is_resolved}"
                );
            }
        }
    }
    settle().await;
    assert!(watch.is_quiet());
}
