//! Effects of a service config on calls, besides retries.
//!
//! Source: `doc/service_config.md` of the gRPC documents; grpc-go's tests
//! `TestGetMethodConfig`, `TestServiceConfigWaitForReady`, `TestServiceConfigTimeout`,
//! `TestServiceConfigMaxMsgSize`.

use std::error::Error as _;
use std::future::pending;
use std::io;
use std::time::Duration;

use rgrpc::io::Address;
use rgrpc::resolver::{ManualResolver, ResolverState};
use rgrpc::{
    BidiStreamingCall, BuildError, ClientConn, Code, MethodConfig, RawCodec, Response,
    ServiceConfigError, Status, credentials,
};
use rgrpc_e2e::{
    FnDialer, STUB_BIDI_STREAMING, STUB_UNARY, StubClient, StubService, TestServer,
    channel_builder, log, msg, new_server, serve, settle, soon,
};
use tokio::time::Instant;

/// A channel to the server with this service config.
fn conn(server: &TestServer, config: &str) -> ClientConn {
    channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(server.connector())
        .default_service_config(config)
        .build()
        .expect("a valid channel")
}

fn client(server: &TestServer, config: &str) -> StubClient {
    StubClient::new(conn(server, config))
}

/// A client that can never connect, with this service config.
fn unconnected(config: &str) -> StubClient {
    let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(FnDialer::new(|_| async {
            Err(io::ErrorKind::ConnectionRefused.into())
        }))
        .default_service_config(config)
        .build();
    StubClient::new(conn.expect("a valid channel"))
}

/// An entry for all methods with these fields.
fn for_all(fields: &str) -> String {
    format!(r#"{{"methodConfig": [{{"name": [{{}}], {fields}}}]}}"#)
}

fn build_error(config: &str) -> BuildError {
    channel_builder("passthrough:///stub.test", credentials::insecure())
        .default_service_config(config)
        .build()
        .expect_err("invalid")
}

/// A server whose methods never answer.
fn hanging() -> TestServer {
    serve(
        StubService::new()
            .unary(|_| pending())
            .server_streaming(|_, _| pending())
            .client_streaming(|_| pending())
            .bidi_streaming(|_, _| pending()),
    )
}

/// The status that a call of each kind ends with.
async fn one_of_each_kind(client: &StubClient) -> [Status; 4] {
    let unary = client.unary(msg("0123456789")).await.expect_err("unary");
    let server_streaming = match client.server_streaming(msg("0123456789")).await {
        Ok(mut responses) => responses.recv().await.expect_err("server streaming"),
        Err(status) => status,
    };
    let mut call = client.client_streaming().await.expect("a stream");
    let client_streaming = match call.send(msg("0123456789")).await {
        Ok(()) => call.close_and_recv().await.expect_err("client streaming"),
        Err(status) => status,
    };
    let (mut requests, mut responses) = client.bidi_streaming().await.expect("a stream");
    let bidi = match requests.send(msg("0123456789")).await {
        Ok(()) => responses.recv().await.expect_err("bidi"),
        Err(status) => status,
    };
    [unary, server_streaming, client_streaming, bidi]
}

#[test]
fn an_invalid_service_config_makes_no_channel() {
    for (config, path, text) in [
        ("", "", "the service config is not JSON: EOF"),
        ("{'methodConfig': 1}", "", "the service config is not JSON"),
        ("null", "", "an object is expected, got null"),
        (
            r#"{"methodConfig": [{"name": [{}]}, {"name": [{}]}]}"#,
            "methodConfig[1].name[0]",
            "the default is configured a second time",
        ),
        (
            r#"{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 1}}]}"#,
            "methodConfig[0].retryPolicy.maxAttempts",
            "at least 2 is expected, got 1",
        ),
        (
            r#"{"retryThrottling": {"maxTokens": 1001, "tokenRatio": 1}}"#,
            "retryThrottling.maxTokens",
            "more than 0 and at most 1000 is expected, got 1001",
        ),
    ] {
        let error = build_error(config);
        for part in [path, text, "default_service_config"] {
            assert!(error.to_string().contains(part), "{config}: {error}");
        }
        let source = error.source().expect("a source");
        let source = source.downcast_ref::<ServiceConfigError>();
        assert_eq!(source.expect("what is invalid").path(), path, "{config}");
    }
}

#[test]
fn an_unknown_field_of_a_service_config_is_a_warning_with_the_nearest_known_name() {
    let log = log();
    let json = r#"{"methodConfig": [{"name": [{}], "waitForReadi": true}]}"#;
    channel_builder("passthrough:///stub.test", credentials::insecure())
        .default_service_config(json)
        .build()
        .expect("fields of the future are ignored");
    assert_eq!(
        log.take(),
        [
            "WARN the service config has an unknown field field=methodConfig[0].waitForReadi is \
          unknown and ignored; the nearest known name is waitForReady"
        ]
    );
}

#[test]
fn an_invalid_retry_policy_makes_no_channel_even_if_retries_are_disabled() {
    let config = for_all(r#""retryPolicy": {}"#);
    let error = channel_builder("passthrough:///stub.test", credentials::insecure())
        .default_service_config(config)
        .disable_retry(true)
        .build()
        .expect_err("invalid");
    assert!(matches!(error, BuildError::ServiceConfig(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_entry_of_the_method_goes_before_that_of_the_service_and_of_all() {
    let server = hanging();
    let client = client(
        &server,
        r#"{"methodConfig": [
            {"name": [{}], "timeout": "3s"},
            {"name": [{"service": "rgrpc.e2e.Stub"}], "timeout": "2s"},
            {"name": [{"service": "rgrpc.e2e.Stub", "method": "Unary"}], "timeout": "1s"},
            {"name": [{"service": "other"}], "timeout": "0s"}
        ]}"#,
    );
    let begun = Instant::now();
    client.unary(msg("")).await.expect_err("too late");
    assert_eq!(begun.elapsed().as_secs(), 1);

    let begun = Instant::now();
    let mut responses = client.server_streaming(msg("")).await.expect("a stream");
    responses.recv().await.expect_err("too late");
    assert_eq!(begun.elapsed().as_secs(), 2);

    let server = serve_anything();
    let conn = conn(
        &server,
        r#"{"methodConfig": [{"name": [{}], "timeout": "3s"}]}"#,
    );
    let begun = Instant::now();
    let call = BidiStreamingCall::<_, _, bytes::Bytes, _>::new(&conn, RawCodec, "/any/Method");
    let (_requests, mut responses): (rgrpc::SendStream<bytes::Bytes>, _) =
        call.await.expect("a stream");
    responses.recv().await.expect_err("too late");
    assert_eq!(begun.elapsed().as_secs(), 3);
}

/// A server that takes calls of any method and answers none.
fn serve_anything() -> TestServer {
    async fn hang(
        _: rgrpc::Request<rgrpc::RecvStream<bytes::Bytes>>,
        _responses: rgrpc::SendStream<bytes::Bytes>,
    ) -> Result<(), Status> {
        pending().await
    }
    rgrpc_e2e::serve_with(
        new_server().unknown_service_handler(hang),
        StubService::new(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_timeout_bounds_calls_of_every_kind() {
    let server = hanging();
    let client = client(&server, &for_all(r#""timeout": "1.5s""#));
    let begun = Instant::now();
    for status in one_of_each_kind(&client).await {
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
    let took = begun.elapsed().as_millis();
    assert!((6000..6020).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn the_earlier_of_the_calls_and_the_configs_timeout_holds() {
    let server = hanging();
    let client = client(&server, &for_all(r#""timeout": "2s""#));
    for (own, expected) in [(1, 1), (3, 2)] {
        let begun = Instant::now();
        let call = client.unary(msg("")).timeout(Duration::from_secs(own));
        call.await.expect_err("too late");
        assert_eq!(begun.elapsed().as_secs(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_nothing_fails_calls_before_they_are_sent_and_a_negative_one_is_none() {
    let server = serve(StubService::echo());
    let none = client(&server, &for_all(r#""timeout": "0s""#));
    let status = none.unary(msg("")).await.expect_err("no time");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let negative = client(&server, &for_all(r#""timeout": "-1s""#));
    negative.unary(msg("")).await.expect("OK");
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_ready_if_the_config_says_so_and_they_do_not_say_otherwise() {
    let limit = Duration::from_secs(30);
    for (config, own, code) in [
        ("true", None, Code::DeadlineExceeded),
        ("true", Some(false), Code::Unavailable),
        ("false", None, Code::Unavailable),
        ("false", Some(true), Code::DeadlineExceeded),
    ] {
        let client = unconnected(&for_all(&format!(r#""waitForReady": {config}"#)));
        let mut unary = client.unary(msg("")).timeout(limit);
        let mut bidi = client.bidi_streaming().timeout(limit);
        if let Some(wait) = own {
            unary = unary.wait_for_ready(wait);
            bidi = bidi.wait_for_ready(wait);
        }
        let status = unary.await.expect_err("unary");
        assert_eq!(status.code(), code, "{config} {own:?}: {status}");
        let status = bidi.await.expect_err("bidi");
        assert_eq!(status.code(), code, "{config} {own:?}: {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_requests_holds_for_calls_of_every_kind() {
    let server = serve(StubService::echo());
    // With the field's tag and length the message has twelve bytes.
    let limited = client(&server, &for_all(r#""maxRequestMessageBytes": 11"#));
    for status in soon(one_of_each_kind(&limited)).await {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.message().contains("(12 vs. 11)"), "{status}");
    }
    let wide = client(&server, &for_all(r#""maxRequestMessageBytes": 12"#));
    wide.unary(msg("0123456789")).await.expect("fits");
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_responses_holds_for_calls_of_every_kind() {
    let server = serve(StubService::echo());
    let limited = client(&server, &for_all(r#""maxResponseMessageBytes": 2"#));
    for status in soon(one_of_each_kind(&limited)).await {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.message().contains(" vs. 2)"), "{status}");
    }
    let wide = client(&server, &for_all(r#""maxResponseMessageBytes": 12"#));
    wide.unary(msg("0123456789")).await.expect("fits");
}

#[tokio::test(start_paused = true)]
async fn the_smaller_of_the_calls_and_the_configs_limit_holds() {
    let server = serve(StubService::echo());
    let client = client(
        &server,
        &for_all(r#""maxRequestMessageBytes": 12, "maxResponseMessageBytes": 12"#),
    );
    for (own, fits) in [(11, false), (12, true), (13, true)] {
        let call = client.unary(msg("0123456789")).max_send_message_size(own);
        assert_eq!(call.await.is_ok(), fits, "{own}");
        let call = client
            .unary(msg("0123456789"))
            .max_receive_message_size(own);
        assert_eq!(call.await.is_ok(), fits, "{own}");
        let call = client.unary(msg("0123456789a")).max_send_message_size(own);
        call.await.expect_err("larger than the config allows");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_responses_above_the_default_replaces_it() {
    let five_mib = 5 * 1024 * 1024;
    let server = serve(
        StubService::new().unary(move |_| async move { Ok(Response::new(msg(vec![0; five_mib]))) }),
    );
    let status = soon(async { server.client().unary(msg("")).await })
        .await
        .expect_err("too large by default");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let config = for_all(r#""maxResponseMessageBytes": 6291456"#);
    let client = client(&server, &config);
    let response = soon(async { client.unary(msg("")).await }).await;
    assert_eq!(response.expect("fits").message().body.len(), five_mib);
}

#[tokio::test(start_paused = true)]
async fn methods_without_an_entry_are_called_as_without_a_config() {
    let (_, method) = STUB_UNARY.rsplit_once('/').expect("a path");
    let config = format!(
        r#"{{"methodConfig": [
            {{"name": [{{"service": "other", "method": "{method}"}}], "timeout": "0s"}},
            {{"name": [{{"service": "rgrpc.e2e.Stub", "method": "Other"}}], "timeout": "0s"}}
        ]}}"#
    );
    let server = serve(StubService::echo());
    let client = client(&server, &config);
    client.unary(msg("")).await.expect("OK");
}

#[tokio::test(start_paused = true)]
async fn a_methods_config_is_that_of_the_service_config_that_holds_now() {
    let server = serve(StubService::echo());
    let manual = ManualResolver::new("manual");
    let default = r#"{"methodConfig": [{"name": [{}], "timeout": "7s", "waitForReady": true}]}"#;
    let conn = channel_builder("manual:///shop", credentials::insecure())
        .dialer(server.connector())
        .resolver(manual.clone())
        .default_service_config(default)
        .max_call_attempts(3)
        .build()
        .expect("a valid channel");
    assert_eq!(conn.method_config(STUB_UNARY), MethodConfig::default());

    let address = || Address::Name("a".to_owned());
    manual.update(ResolverState::of_addresses([address()]));
    let client = StubClient::new(conn.clone());
    client.unary(msg("")).await.expect("OK");
    let config = conn.method_config(STUB_UNARY);
    assert_eq!(config.timeout(), Some(Duration::from_secs(7)));
    assert_eq!(config.wait_for_ready(), Some(true));
    assert_eq!(config.max_request_message_bytes(), None);
    assert!(!config.has_retry_policy() && !config.has_hedging_policy());
    assert_eq!(config.max_attempts(), 1);

    let (service, method) = STUB_UNARY[1..].split_once('/').expect("a path");
    let found = r#"{"methodConfig": [
        {"name": [{"service": "SERVICE", "method": "METHOD"}],
            "maxRequestMessageBytes": 10, "maxResponseMessageBytes": 20,
            "retryPolicy": {
                "maxAttempts": 5, "initialBackoff": "1s", "maxBackoff": "1s",
                "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]
            }},
        {"name": [{"service": "SERVICE"}], "hedgingPolicy": {"maxAttempts": 2}}
    ]}"#;
    let found = found.replace("SERVICE", service).replace("METHOD", method);
    let mut state = ResolverState::of_addresses([address()]);
    state.service_config = Some(Ok(found));
    manual.update(state);
    settle().await;
    let config = conn.method_config(STUB_UNARY);
    assert_eq!(config.timeout(), None);
    assert_eq!(config.max_request_message_bytes(), Some(10));
    assert_eq!(config.max_response_message_bytes(), Some(20));
    assert!(config.has_retry_policy() && !config.has_hedging_policy());
    assert_eq!(config.max_attempts(), 3, "as the channel allows");
    let config = conn.method_config(STUB_BIDI_STREAMING);
    assert!(config.has_hedging_policy() && !config.has_retry_policy());
    assert_eq!(config.max_attempts(), 2);
    assert_eq!(conn.method_config("/other/Method"), MethodConfig::default());
}
