//! Work that needs a tokio runtime and is done outside of one fails with an error that says so, and
//! panics never.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rgrpc::{Code, ServeError, Status, credentials};
use rgrpc_e2e::{StubClient, StubService, channel_builder, msg, new_server, serve, soon};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

const HINT: &str = "outside a tokio runtime: do it from within one, or enter one with \
                    tokio::runtime::Handle::enter";

/// Polls once, which is enough for what fails at once.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn runtime() -> Runtime {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

fn expect_hint<T>(outcome: Result<T, Status>) {
    let status = outcome.err().expect("there is no runtime");
    assert_eq!(status.code(), Code::Internal, "{status}");
    assert!(status.message().contains(HINT), "{status}");
}

#[test]
fn a_channel_that_is_used_for_the_first_time_outside_of_a_runtime_says_so_and_is_of_use_within_one()
{
    let runtime = runtime();
    let server = {
        let _entered = runtime.enter();
        serve(StubService::echo())
    };
    let conn = server.conn();
    let client = StubClient::new(conn.clone());
    expect_hint(conn.connect());
    expect_hint(at_once(
        conn.wait_ready(Instant::now() + Duration::from_secs(1)),
    ));
    for wait_for_ready in [false, true] {
        let unary = client.unary(msg("")).wait_for_ready(wait_for_ready);
        expect_hint(at_once(unary.into_future()));
        let bidi = client.bidi_streaming().wait_for_ready(wait_for_ready);
        expect_hint(at_once(bidi.into_future()));
    }
    let unary = runtime.block_on(soon(client.unary(msg("")).into_future()));
    unary.expect("there is a runtime");
}

#[test]
fn a_call_with_a_deadline_on_a_channel_that_is_ready_says_so_too() {
    let runtime = runtime();
    let server = {
        let _entered = runtime.enter();
        serve(StubService::echo())
    };
    let conn = server.conn();
    let client = StubClient::new(conn.clone());
    let deadline = Instant::now() + Duration::from_secs(20);
    runtime
        .block_on(conn.wait_ready(deadline))
        .expect("it connects");
    let timeout = Duration::from_secs(20);
    expect_hint(at_once(
        client.unary(msg("")).timeout(timeout).into_future(),
    ));
    expect_hint(at_once(
        client.bidi_streaming().timeout(timeout).into_future(),
    ));
}

#[test]
fn a_call_that_waits_for_a_retry_reports_it_too() {
    const CONFIG: &str = r#"{"methodConfig": [
        {"name": [{"service": "rgrpc.e2e.Stub", "method": "Unary"}], "hedgingPolicy": {
            "maxAttempts": 2, "hedgingDelay": "1s"
        }}
    ]}"#;
    let runtime = runtime();
    let (service, _watch) = StubService::hanging();
    let server = {
        let _entered = runtime.enter();
        serve(service)
    };
    let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(server.connector())
        .default_service_config(CONFIG)
        .build()
        .expect("a valid channel");
    let deadline = Instant::now() + Duration::from_secs(20);
    runtime
        .block_on(conn.wait_ready(deadline))
        .expect("it connects");
    let client = StubClient::new(conn);
    expect_hint(at_once(client.unary(msg("")).into_future()));
}

#[test]
fn serving_outside_of_a_runtime_is_an_error_that_says_so() {
    let runtime = runtime();
    let listener = {
        let _entered = runtime.enter();
        rgrpc::io::pipe().0
    };
    let server = new_server();
    let path = std::env::temp_dir().join(format!("rgrpc-outside-{}", std::process::id()));
    for served in [
        at_once(server.serve("127.0.0.1:0")),
        at_once(server.serve_with_shutdown("127.0.0.1:0", async {})),
        at_once(server.serve_unix(&path)),
        at_once(server.serve_listener(listener)),
    ] {
        let error = served.expect_err("there is no runtime");
        assert!(matches!(error, ServeError::OutsideRuntime), "{error}");
        assert!(error.to_string().contains(HINT), "{error}");
    }
}
