//! Calls that a retry policy retries: how often, when, and when not.
//!
//! Source: gRFC A6; grpc-go's tests `TestRetryUnary`, `TestRetryThrottling`, `TestRetryStreaming`,
//! `TestMaxCallAttempts`, `TestRetryTransparentWhenCommitted`.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::{ClientConnBuilder, Code, Metadata, Request, Response, Status, credentials};
use rgrpc_e2e::{
    FnDialer, Message, StubClient, StubService, TestServer, answer, channel_builder, expect_text,
    framed, msg, scripted_by, serve, settle, soon, text, unary,
};
use rgrpc_test_support::{ErrorCode, grpc_response, headers, rst_stream, trailers_only};
use tokio::time::Instant;

const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// A service config for all methods: so many attempts, 1 s before the second, then 2, 4, 8 s.
fn policy(max_attempts: u32, codes: &str) -> String {
    format!(
        r#"{{"methodConfig": [{{"name": [{{}}], "retryPolicy": {{
            "maxAttempts": {max_attempts}, "initialBackoff": "1s", "maxBackoff": "8s",
            "backoffMultiplier": 2, "retryableStatusCodes": {codes}
        }}}}]}}"#
    )
}

/// [`policy`] for UNAVAILABLE.
fn unavailable(max_attempts: u32) -> String {
    policy(max_attempts, r#"["UNAVAILABLE"]"#)
}

/// An attempt, as a handler saw it.
#[derive(Clone, Debug)]
struct Attempt {
    at: Instant,
    previous: Option<String>,
    message: Message,
}

/// The attempts that a service saw.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Attempt>>>);

impl Seen {
    /// Takes an attempt in and says how many there were before.
    fn add(&self, request: &Request<Message>) -> usize {
        let mut attempts = self.0.lock().expect("not poisoned");
        attempts.push(Attempt {
            at: Instant::now(),
            previous: request
                .metadata()
                .get(PREVIOUS_ATTEMPTS)
                .map(ToOwned::to_owned),
            message: request.message().clone(),
        });
        attempts.len() - 1
    }

    fn attempts(&self) -> Vec<Attempt> {
        self.0.lock().expect("not poisoned").clone()
    }

    fn count(&self) -> usize {
        self.attempts().len()
    }

    /// Whole milliseconds between one attempt and the next.
    fn gaps(&self) -> Vec<u128> {
        let attempts = self.attempts();
        let pairs = attempts.windows(2);
        pairs
            .map(|pair| (pair[1].at - pair[0].at).as_millis())
            .collect()
    }
}

/// A server whose unary method fails for the first so many attempts and echoes then.
fn failing(
    failures: usize,
    fail: impl Fn() -> Status + Send + Sync + 'static,
) -> (TestServer, Seen) {
    let seen = Seen::default();
    let service = StubService::new().unary({
        let seen = seen.clone();
        move |request| {
            let outcome = if seen.add(&request) < failures {
                Err(fail())
            } else {
                Ok(Response::new(request.into_message()))
            };
            async { outcome }
        }
    });
    (serve(service), seen)
}

fn busy() -> Status {
    Status::unavailable("busy")
}

/// A failure with these values of the pushback trailer.
fn pushback(values: &[&'static str]) -> Status {
    let mut trailers = Metadata::new();
    for value in values {
        trailers.append(PUSHBACK, *value).expect("valid");
    }
    busy().with_metadata(trailers)
}

/// A client of the server, on a channel with these options.
fn client(
    server: &TestServer,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> StubClient {
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure());
    let conn = options(builder.dialer(server.connector())).build();
    StubClient::new(conn.expect("a valid channel"))
}

/// A client of the server, on a channel with this service config.
fn configured(server: &TestServer, config: &str) -> StubClient {
    client(server, |builder| builder.default_service_config(config))
}

/// Checks that backoffs are what the policy says, within a fifth.
#[track_caller]
fn assert_backoffs(gaps: &[u128], expected: &[u128]) {
    assert_eq!(gaps.len(), expected.len(), "{gaps:?}");
    for (gap, expected) in gaps.iter().zip(expected) {
        // The clock goes in steps of 1 ms.
        let range = expected * 8 / 10..=expected * 12 / 10 + 2;
        assert!(range.contains(gap), "{gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_is_retried_until_it_succeeds() {
    let (server, seen) = failing(3, busy);
    let client = configured(&server, &unavailable(4));
    let response = soon(async { client.unary(msg("please")).await }).await;
    assert_eq!(text(response.expect("OK").message()), "please");

    assert_backoffs(&seen.gaps(), &[1000, 2000, 4000]);
    let attempts = seen.attempts();
    let previous: Vec<_> = attempts
        .iter()
        .map(|seen| seen.previous.as_deref())
        .collect();
    assert_eq!(previous, [None, Some("1"), Some("2"), Some("3")]);
    assert!(attempts.iter().all(|seen| text(&seen.message) == "please"));
}

#[tokio::test(start_paused = true)]
async fn a_message_of_any_size_is_replayed_whole() {
    let (server, seen) = failing(1, busy);
    let client = configured(&server, &unavailable(2));
    let body = vec![7; 3 * 1024 * 1024];
    let response = soon(async { client.unary(msg(&body)).await }).await;
    assert!(response.expect("OK").message().body == body);
    assert_eq!(seen.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_code_that_the_policy_does_not_name_is_final() {
    let (server, seen) = failing(9, || Status::internal("broken"));
    let client = configured(&server, &unavailable(4));
    let status = client.unary(msg("")).await.expect_err("broken");
    assert_eq!(
        (status.code(), status.message()),
        (Code::Internal, "broken")
    );
    assert_eq!(seen.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_policy_is_not_retried() {
    let (server, seen) = failing(9, busy);
    let status = server.client().unary(msg("")).await.expect_err("busy");
    assert_eq!(status.message(), "busy");
    assert_eq!(seen.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_is_reported_with_its_details_and_the_number_of_attempts() {
    let (server, seen) = failing(9, || pushback(&["5"]).with_details(&b"why"[..]));
    let client = configured(&server, &unavailable(3));
    let status = soon(async { client.unary(msg("")).await })
        .await
        .expect_err("busy");
    assert_eq!(seen.count(), 3);
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "busy (the last of 3 attempts)");
    assert_eq!(status.details(), b"why");
    assert_eq!(status.metadata().get(PUSHBACK), Some("5"));
}

#[tokio::test(start_paused = true)]
async fn the_channel_bounds_the_attempts_of_every_policy() {
    for (option, of_policy, expected) in [
        (None, 9, 5),
        (None, 3, 3),
        (Some(2), 9, 2),
        (Some(7), 9, 7),
        (Some(7), 3, 3),
        // Fewer than two mean the default.
        (Some(1), 9, 5),
        (Some(0), 9, 5),
    ] {
        let (server, seen) = failing(99, || pushback(&["0"]));
        let client = client(&server, |builder| {
            let builder = builder.default_service_config(unavailable(of_policy));
            match option {
                Some(attempts) => builder.max_call_attempts(attempts),
                None => builder,
            }
        });
        client.unary(msg("")).await.expect_err("busy");
        assert_eq!(seen.count(), expected, "{option:?}, {of_policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_can_be_disabled_for_the_channel() {
    for (disabled, attempts) in [(true, 1), (false, 2)] {
        let (server, seen) = failing(9, busy);
        let client = client(&server, |builder| {
            builder
                .default_service_config(unavailable(2))
                .disable_retry(disabled)
        });
        client.unary(msg("")).await.expect_err("busy");
        assert_eq!(seen.count(), attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn pushback_can_set_the_time_of_the_retry() {
    let (server, seen) = failing(2, || pushback(&["250"]));
    let client = configured(&server, &unavailable(4));
    soon(async { client.unary(msg("")).await })
        .await
        .expect("OK");
    for gap in seen.gaps() {
        assert!((250..=252).contains(&gap), "{gap}");
    }
}

#[tokio::test(start_paused = true)]
async fn pushback_can_forbid_further_retries() {
    for values in [&["-1"][..], &["never"], &["1", "2"]] {
        let (server, seen) = failing(9, move || pushback(values));
        let client = configured(&server, &unavailable(4));
        let status = client.unary(msg("")).await.expect_err("busy");
        assert_eq!(status.message(), "busy", "{values:?}");
        assert_eq!(seen.count(), 1, "{values:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_allows_no_retry() {
    let failures = Arc::new(AtomicUsize::new(4));
    let seen = Seen::default();
    let server = serve(StubService::new().unary({
        let (failures, seen) = (Arc::clone(&failures), seen.clone());
        move |request| {
            seen.add(&request);
            let left = failures.load(Ordering::Relaxed);
            failures.store(left.saturating_sub(1), Ordering::Relaxed);
            async move {
                match left {
                    0 => Ok(Response::default()),
                    _ => Err(pushback(&["0"])),
                }
            }
        }
    }));
    let config = unavailable(4).replacen(
        '{',
        r#"{"retryThrottling": {"maxTokens": 4, "tokenRatio": 0.5}, "#,
        1,
    );
    let client = configured(&server, &config);
    let attempts = async |succeeds: bool| {
        let before = seen.count();
        let outcome = client.unary(msg("")).await;
        assert_eq!(outcome.is_ok(), succeeds);
        seen.count() - before
    };

    // Of four tokens the first failure leaves three, the second two: half of them.
    assert_eq!(attempts(false).await, 2);
    assert_eq!(attempts(false).await, 1);
    assert_eq!(attempts(false).await, 1);
    // No token is left. Five successes give back two and a half, and a failure takes one.
    for _ in 0..5 {
        assert_eq!(attempts(true).await, 1);
    }
    failures.store(1, Ordering::Relaxed);
    assert_eq!(attempts(false).await, 1);
    // With four successes more there are three and a half; a failure leaves more than half.
    for _ in 0..4 {
        assert_eq!(attempts(true).await, 1);
    }
    failures.store(1, Ordering::Relaxed);
    assert_eq!(attempts(true).await, 2);
}

#[tokio::test(start_paused = true)]
async fn one_deadline_bounds_all_attempts_and_the_time_between_them() {
    let (server, seen) = failing(9, busy);
    let client = configured(&server, &unavailable(4));
    let begun = Instant::now();
    // The second attempt comes after 1.2 s at most, the third not before 2.4 s.
    let timeout = Duration::from_millis(1500);
    let status = client
        .unary(msg(""))
        .timeout(timeout)
        .await
        .expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!((1500..1510).contains(&begun.elapsed().as_millis()));
    assert_eq!(seen.count(), 2);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(seen.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_tells_the_server_what_is_left_of_the_deadline() {
    let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
        builder.default_service_config(unavailable(2))
    });
    let client = StubClient::new(conn);
    let minute = Duration::from_secs(60);
    let call = tokio::spawn(async move { client.unary(msg("")).timeout(minute).await });
    let mut peer = server.accept().await;
    let milliseconds = |head: &rgrpc_test_support::Headers| {
        let value = head.get("grpc-timeout").expect("a timeout");
        let (digits, unit) = value.split_at(value.len() - 1);
        let per_second = match unit {
            "S" => 1,
            "m" => 1_000,
            "u" => 1_000_000,
            _ => panic!("{value}"),
        };
        digits.parse::<u64>().expect("a number") * 1000 / per_second
    };
    let first = milliseconds(&peer.expect_request(1).await.headers);
    peer.send(trailers_only(1, 14)).await;
    let second = milliseconds(&peer.expect_request(3).await.headers);
    answer(&mut peer, 3, "").await;
    expect_text(call, "").await;
    assert!((800..=1210).contains(&(first - second)), "{first} {second}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_between_attempts_is_not_retried() {
    let (server, seen) = failing(9, busy);
    let client = configured(&server, &unavailable(4));
    let call = unary(&client, "");
    settle().await;
    assert_eq!(seen.count(), 1);
    call.abort();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(seen.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_closed_between_attempts_ends_the_call() {
    let (server, seen) = failing(9, busy);
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure());
    let conn = builder
        .dialer(server.connector())
        .default_service_config(policy(4, r#"["UNAVAILABLE", "CANCELLED"]"#))
        .build()
        .expect("a valid channel");
    let call = unary(&StubClient::new(conn.clone()), "");
    settle().await;
    conn.close();
    let begun = Instant::now();
    let status = soon(call).await.expect("no panic").expect_err("closed");
    assert_eq!(status.code(), Code::Cancelled, "{status}");
    assert!(begun.elapsed() <= Duration::from_millis(1210));
    assert_eq!(seen.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_the_responses_headers_is_final() {
    let seen = Seen::default();
    let server = serve(StubService::new().unary({
        let seen = seen.clone();
        move |request| {
            seen.add(&request);
            async move {
                request.send_header(Metadata::new())?;
                Err(busy())
            }
        }
    }));
    let client = configured(&server, &unavailable(4));
    let status = client.unary(msg("")).await.expect_err("busy");
    assert_eq!(status.message(), "busy");
    assert_eq!(seen.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_cannot_be_used_is_final() {
    let (server, seen) = failing(0, busy);
    let client = configured(&server, &policy(4, r#"["RESOURCE_EXHAUSTED"]"#));
    let call = client.unary(msg("too long")).max_receive_message_size(3);
    let status = call.await.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(seen.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_on_this_side_alone_is_final() {
    let (server, seen) = failing(0, busy);
    let client = configured(&server, &policy(4, r#"["RESOURCE_EXHAUSTED", "INTERNAL"]"#));
    let begun = Instant::now();
    let call = client.unary(msg("too long")).max_send_message_size(3);
    let status = call.await.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let call = client.unary(msg("")).metadata("not a key", "");
    let status = call.await.expect_err("malformed");
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(seen.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn transparent_retries_do_not_count() {
    let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
        builder
            .default_service_config(unavailable(2))
            .max_transparent_retries(1)
    });
    let call = unary(&StubClient::new(conn), "please");
    let mut peer = server.accept().await;
    let mut previous = Vec::new();
    for id in [1, 3] {
        let request = peer.expect_request(id).await;
        previous.push(
            request
                .headers
                .get(PREVIOUS_ATTEMPTS)
                .map(ToOwned::to_owned),
        );
        peer.send(rst_stream(id, ErrorCode::REFUSED_STREAM)).await;
    }
    // Refused twice: what follows is for the policy.
    let request = peer.expect_request(5).await;
    previous.push(
        request
            .headers
            .get(PREVIOUS_ATTEMPTS)
            .map(ToOwned::to_owned),
    );
    assert_eq!(request.messages[0].body, framed("please")[5..]);
    assert_eq!(previous, [None, None, Some("1".to_owned())]);
    answer(&mut peer, 5, "granted").await;
    expect_text(call, "granted").await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_before_the_response_fails_one_attempt() {
    let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
        builder.default_service_config(unavailable(2))
    });
    let call = unary(&StubClient::new(conn), "please");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    drop(peer);
    let mut peer = server.accept().await;
    let request = peer.expect_request(1).await;
    assert_eq!(request.headers.get(PREVIOUS_ATTEMPTS), Some("1"));
    answer(&mut peer, 1, "here").await;
    expect_text(call, "here").await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_within_the_response_fails_the_call() {
    let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
        builder.default_service_config(unavailable(2))
    });
    let call = unary(&StubClient::new(conn), "please");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.assert_silent_until_ping().await;
    drop(peer);
    let status = soon(call).await.expect("no panic").expect_err("lost");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(!status.message().contains("attempts"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_grpc_fails_one_attempt() {
    let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
        builder.default_service_config(unavailable(2))
    });
    let call = unary(&StubClient::new(conn), "please");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    let from_a_proxy = headers(1).status(503).end_headers().end_stream();
    peer.send(from_a_proxy).await;
    peer.expect_request(3).await;
    answer(&mut peer, 3, "here").await;
    expect_text(call, "here").await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_cannot_connect_fails_one_attempt() {
    let (server, seen) = failing(0, busy);
    let dials = Arc::new(AtomicUsize::new(0));
    let connector = server.connector();
    let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(FnDialer::new(move |address| {
            let refused = dials.fetch_add(1, Ordering::Relaxed) == 0;
            let dial = rgrpc::io::Dial::dial(&connector, address);
            async move {
                if refused {
                    Err(io::ErrorKind::ConnectionRefused.into())
                } else {
                    dial.await
                }
            }
        }))
        .default_service_config(unavailable(4))
        .build()
        .expect("a valid channel");
    let client = StubClient::new(conn);
    soon(async { client.unary(msg("")).await })
        .await
        .expect("OK");
    let attempts = seen.attempts();
    assert_eq!(attempts.len(), 1);
    assert!(attempts[0].previous.is_some(), "{attempts:?}");
}
