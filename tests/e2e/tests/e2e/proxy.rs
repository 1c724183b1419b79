//! Channels whose connections go through an HTTP proxy.
//!
//! Source: RFC 9110, section 9.3.6; grpc-go's `TestHTTPConnect` and `internal/resolver/
//! delegatingresolver`.

use std::env;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use rgrpc::io::HttpProxy;
use rgrpc::{ClientConnBuilder, Code, Status, credentials};
use rgrpc_e2e::{
    StubClient, StubService, channel_builder, msg, new_server, register_stub, soon, text,
};
use rgrpc_test_support::{ConnectAnswer, ConnectProxy, free_listener};

/// A server on loopback, with the echo service.
async fn serve() -> SocketAddr {
    let listener = free_listener().await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut server = new_server();
    register_stub(&mut server, StubService::echo()).expect("the first");
    tokio::spawn(server.serve_listener(listener));
    address
}

async fn proxy(answer: ConnectAnswer) -> ConnectProxy {
    ConnectProxy::start(answer).await.expect("a free port")
}

async fn tunnel() -> ConnectProxy {
    let head = "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n";
    let server = serve().await;
    proxy(ConnectAnswer::Tunnel { head, server }).await
}

fn through(proxy: &ConnectProxy) -> HttpProxy {
    HttpProxy::new(&format!("http://{}", proxy.address())).expect("a proxy")
}

async fn call(builder: ClientConnBuilder) -> Result<String, Status> {
    let client = StubClient::new(builder.build().expect("valid options"));
    let response = soon(async { client.unary(msg("there and back")).await }).await?;
    Ok(text(response.message()).to_owned())
}

fn to(target: &str) -> ClientConnBuilder {
    channel_builder(target, credentials::insecure())
}

#[tokio::test]
async fn a_name_is_left_to_the_proxy_which_connects_to_it() {
    for (target, destination) in [
        ("backend.test:7", "backend.test:7"),
        ("dns:///backend.test", "backend.test:443"),
        ("passthrough:///backend.test:7", "backend.test:7"),
        ("ipv4:192.0.2.1:7", "192.0.2.1:7"),
    ] {
        let proxy = tunnel().await;
        let echoed = call(to(target).proxy(through(&proxy))).await;
        assert_eq!(echoed.expect(target), "there and back");
        let requests = proxy.requests();
        assert_eq!(requests.len(), 1, "{target}");
        let begin = format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n");
        assert!(requests[0].starts_with(&begin), "{requests:?}");
        assert!(!requests[0].contains("Proxy-Authorization"), "{requests:?}");
    }
}

#[tokio::test]
async fn the_user_of_the_url_is_sent_to_the_proxy() {
    let proxy = tunnel().await;
    let url = format!("http://user:pass%3Aword@{}", proxy.address());
    let http_proxy = HttpProxy::new(&url).expect("a proxy");
    call(to("backend.test:7").proxy(http_proxy))
        .await
        .expect("OK");
    let requests = proxy.requests();
    // "user:pass:word"
    let field = "\r\nProxy-Authorization: Basic dXNlcjpwYXNzOndvcmQ=\r\n";
    assert!(requests[0].contains(field), "{requests:?}");
}

#[tokio::test]
async fn an_answer_that_comes_with_an_interim_one_and_the_servers_first_octets_is_understood() {
    let head = "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.0 200\r\n\r\n";
    let server = serve().await;
    let proxy = proxy(ConnectAnswer::Tunnel { head, server }).await;
    for _ in 0..10 {
        let echoed = call(to("backend.test:7").proxy(through(&proxy))).await;
        assert_eq!(echoed.expect("OK"), "there and back");
    }
}

#[tokio::test]
async fn excepted_and_non_tcp_addresses_bypass_the_proxy() {
    let proxy = proxy(ConnectAnswer::Silence).await;
    let address = serve().await;
    let around = through(&proxy).no_proxy("*");
    for builder in [
        to(&format!("dns:///{address}")).proxy(through(&proxy)),
        to(&format!("dns:///localhost:{}", address.port())).proxy(through(&proxy)),
        to(&format!("ipv4:{address}")).proxy(around),
        to(&format!("ipv4:{address}"))
            .proxy(through(&proxy))
            .no_proxy(),
    ] {
        call(builder).await.expect("OK");
    }
    assert!(proxy.requests().is_empty());
}

#[tokio::test]
async fn a_dialer_of_ones_own_knows_no_proxy() {
    let proxy = proxy(ConnectAnswer::Silence).await;
    let server = rgrpc_e2e::serve(StubService::echo());
    let builder = to("passthrough:///backend.test:7")
        .proxy(through(&proxy))
        .dialer(server.connector());
    call(builder).await.expect("OK");
    assert!(proxy.requests().is_empty());
}

#[tokio::test]
async fn another_answer_of_the_proxy_fails_the_call_with_proxy_destination_and_cause() {
    let garbage = b"\0\0\x06\x04\0\0\0\0\0".to_vec();
    for (answer, cause) in [
        (
            ConnectAnswer::Say(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n".into()),
            "answered CONNECT backend.test:7 with 407 Proxy Authentication Required",
        ),
        (
            ConnectAnswer::Say(b"HTTP/1.1 502 Bad Gateway\r\nA: b\r\n\r\n<html>".into()),
            "answered CONNECT backend.test:7 with 502 Bad Gateway",
        ),
        (ConnectAnswer::Say(garbage), "did not answer in HTTP/1"),
        (
            ConnectAnswer::Say(b"HTTP/1.1 zzz\r\n\r\n".into()),
            "did not answer in HTTP/1",
        ),
        (
            ConnectAnswer::Say(b"HTTP/1.1 200 OK\r\n".into()),
            "closed the connection without an answer",
        ),
        (
            ConnectAnswer::Say(Vec::new()),
            "closed the connection without an answer",
        ),
        (
            ConnectAnswer::Repeat(b"HTTP/1.1 200 OK\r\n"),
            "answered with more than 16384 bytes",
        ),
    ] {
        let proxy = proxy(answer).await;
        let failed = call(to("backend.test:7").proxy(through(&proxy))).await;
        let status = failed.expect_err(cause);
        assert_eq!(status.code(), Code::Unavailable);
        let named = format!("the proxy {} (the option proxy) {cause}", proxy.address());
        assert!(status.message().contains(&named), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_does_not_answer_is_given_up_after_three_quarters_of_an_attempts_time() {
    let proxy = proxy(ConnectAnswer::Silence).await;
    for (timeout, limit) in [(None, "15s"), (Some(Duration::from_secs(4)), "3s")] {
        let mut builder = to("backend.test:7").proxy(through(&proxy));
        if let Some(timeout) = timeout {
            builder = builder.min_connect_timeout(timeout);
        }
        let status = call(builder).await.expect_err("no answer");
        let expected = format!(
            "the proxy {} (the option proxy) did not answer CONNECT backend.test:7 within {limit}, \
             three quarters of the option min_connect_timeout",
            proxy.address()
        );
        assert!(status.message().contains(&expected), "{status}");
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_named() {
    let refusing = rgrpc_test_support::RefusingAddress::bind().expect("a free port");
    let proxy = HttpProxy::new(&refusing.address().to_string()).expect("a proxy");
    let status = call(to("backend.test:7").proxy(proxy)).await;
    let status = status.expect_err("refused");
    let named = format!(
        "the proxy {} (the option proxy) cannot be reached",
        refusing.address()
    );
    assert!(status.message().contains(&named), "{status}");
}

/// Set where the test below runs itself again, as a process with an environment of its own: the
/// target, and a part of what the call comes to.
const TARGET: &str = "RGRPC_E2E_PROXY_TARGET";
const OUTCOME: &str = "RGRPC_E2E_PROXY_OUTCOME";

async fn assert_outcome(target: &str, part: &str) {
    let outcome = match call(to(target)).await {
        Ok(echoed) => echoed,
        Err(status) => status.message().to_owned(),
    };
    assert!(outcome.contains(part), "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_says_which_proxy_there_is() {
    if let (Ok(target), Ok(outcome)) = (env::var(TARGET), env::var(OUTCOME)) {
        return assert_outcome(&target, &outcome).await;
    }
    let proxy = tunnel().await;
    let proxied = format!("http://{}", proxy.address());
    // This machine, though no loopback address, so that it would go through the proxy.
    let direct = format!("ipv4:0.0.0.0:{}", serve().await.port());
    #[rustfmt::skip]
    let cases = [
        ("backend.test:7", [("HTTPS_PROXY", &*proxied), ("NO_PROXY", "a.test")], "there and back", 1),
        ("backend.test:7", [("https_proxy", &*proxied), ("HTTPS_PROXY", ":")], "there and back", 2),
        (&*direct, [("HTTPS_PROXY", &*proxied), ("NO_PROXY", "0.0.0.0/8")], "there and back", 2),
        ("backend.test:7", [("HTTPS_PROXY", "socks5://127.0.0.1:1"), ("NO_PROXY", "")],
            "the scheme \"socks5\" is not supported: http://host:port is expected (HTTPS_PROXY)", 2),
    ];
    for (target, variables, outcome, requests) in cases {
        let mut again = Command::new(env::current_exe().expect("this test's"));
        again
            .args([
                "--exact",
                "proxy::the_environment_says_which_proxy_there_is",
            ])
            .env(TARGET, target)
            .env(OUTCOME, outcome)
            .envs(variables);
        let output = tokio::task::spawn_blocking(move || again.output());
        let output = output.await.expect("no panic").expect("it starts");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{variables:?}: {printed}");
        assert_eq!(proxy.requests().len(), requests, "{variables:?}");
    }
}
