//! Options at zero and at their greatest value: each means what its documentation says.

use std::time::Duration;

use rgrpc::resolver::DnsResolverBuilder;
use rgrpc::{Code, Transport, credentials};
use rgrpc_e2e::{
    StubService, TestServer, channel_builder, msg, new_server, serve, serve_with, soon,
};
use rgrpc_test_support::{Event, WirePeer};

async fn expect_served(server: &TestServer) {
    let client = server.client();
    let call = client.unary(msg(""));
    soon(async { call.await }).await.expect("OK");
}

#[tokio::test(start_paused = true)]
async fn max_concurrent_streams_of_0_and_of_the_greatest_number_are_no_limit() {
    for transport in [Transport::Native, Transport::H2] {
        for max in [0, u32::MAX] {
            let server = new_server().transport(transport);
            let server = serve_with(server.max_concurrent_streams(max), StubService::echo());
            let client = server.client();
            let calls = (0..200).map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.unary(msg("")).await })
            });
            for call in calls.collect::<Vec<_>>() {
                soon(call).await.expect("no panic").expect("OK");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_timeout_of_zero_refuses_and_of_the_greatest_duration_does_not_end() {
    let endless = new_server().connection_timeout(Duration::MAX);
    let server = serve_with(endless, StubService::echo());
    let mut silent = WirePeer::unshaken(server.io().await).patience(Duration::from_secs(3600));
    loop {
        match silent.next_event().await {
            Event::Frame(_) => {}
            Event::Nothing => break,
            end => panic!("the connection is closed: {end:?}"),
        }
    }
    expect_served(&server).await;

    let server = serve_with(
        new_server().connection_timeout(Duration::ZERO),
        StubService::echo(),
    );
    let mut silent = WirePeer::unshaken(server.io().await);
    loop {
        match silent.next_event().await {
            Event::Frame(_) => {}
            Event::Eof | Event::Broken(_) => break,
            Event::Nothing => panic!("the connection stays open"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn message_sizes_of_0_let_empty_messages_pass_alone() {
    let server = new_server().max_receive_message_size(0);
    let server = serve_with(server.max_send_message_size(0), StubService::echo());
    expect_served(&server).await;
    let status = server
        .client()
        .unary(msg("x"))
        .await
        .expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status
            .message()
            .contains("the server's max_receive_message_size (3 vs. 0)"),
        "{status}"
    );

    let server = serve(StubService::echo());
    let client = server.client();
    let call = client.unary(msg("x")).max_send_message_size(0);
    let status = call.await.expect_err("too large");
    assert!(
        status
            .message()
            .contains("the client's max_send_message_size (3 vs. 0)"),
        "{status}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_zero_fails_at_once_and_one_of_the_greatest_duration_never() {
    let server = serve(StubService::echo());
    let client = server.client();
    let call = client.unary(msg("")).timeout(Duration::ZERO);
    let status = call.await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let call = client.unary(msg("")).timeout(Duration::MAX);
    call.await.expect("OK");
}

#[tokio::test(start_paused = true)]
async fn timeouts_of_a_channel_may_be_zero_or_the_greatest_duration() {
    let server = serve(StubService::echo());
    for timeout in [Duration::ZERO, Duration::MAX] {
        let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
            .dialer(server.connector())
            .min_connect_timeout(timeout)
            .idle_timeout(timeout)
            .build()
            .expect("a valid channel");
        let client = rgrpc_e2e::StubClient::new(conn);
        client.unary(msg("")).await.expect("OK");
        tokio::time::sleep(Duration::from_secs(3600 * 24 * 365)).await;
        client.unary(msg("")).await.expect("OK");
    }
}

#[test]
fn a_lookup_timeout_of_zero_is_an_error_when_the_channel_is_made() {
    let dns = DnsResolverBuilder::new().lookup_timeout(Duration::ZERO);
    let error = channel_builder("dns:///stub.test:1", credentials::insecure())
        .resolver(dns)
        .build()
        .expect_err("no lookup could succeed");
    let expected = "the option lookup_timeout must be more than 0";
    assert!(error.to_string().ends_with(expected), "{error}");
}
