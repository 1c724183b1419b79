//! Keepalive of a channel, against scripted servers in virtual time.

use std::time::Duration;

use rgrpc::io::{Address, Dial, Listener, pipe};
use rgrpc::keepalive::{ClientParameters, EnforcementPolicy};
use rgrpc::resolver::{ManualResolver, ResolverState};
use rgrpc::{ClientConn, Code, Response, Transport, credentials};
use rgrpc_e2e::{
    FnDialer, ScriptedServer, StubClient, StubService, answer, channel_builder, expect_text, log,
    msg, new_server, scripted_by, serve, serve_with, soon, unary,
};
use rgrpc_test_support::{ErrorCode, Frame, WirePeer, goaway};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// PINGs after 10 s of silence, answered within 3 s.
fn parameters() -> ClientParameters {
    ClientParameters {
        timeout: 3 * SECOND,
        ..ClientParameters::new(10 * SECOND)
    }
}

/// A channel with this keepalive to a scripted server.
fn kept_alive(parameters: ClientParameters) -> (ClientConn, ScriptedServer) {
    scripted_by("passthrough:///stub.test", |builder| {
        builder.transport(Transport::Native).keepalive(parameters)
    })
}

/// The next connection, on which nothing is answered automatically.
async fn accept_silently(server: &mut ScriptedServer) -> WirePeer {
    let peer = WirePeer::server(server.io().await).await;
    peer.patience(3_600 * SECOND)
}

/// Reads on to the next PING, and skips other frames.
async fn next_ping(peer: &mut WirePeer) -> [u8; 8] {
    let ping = peer.skip_to("PING", |frame| match frame {
        Frame::Ping(ping) if !ping.ack => Ok(ping),
        other => Err(other),
    });
    ping.await.opaque
}

/// Reads on to the next request, and asserts that no PING comes before it.
async fn next_headers(peer: &mut WirePeer) -> u32 {
    let headers = peer.skip_to("HEADERS", |frame| match frame {
        Frame::Headers(headers) => Ok(Some(headers.stream_id)),
        Frame::Ping(_) => Ok(None),
        other => Err(other),
    });
    headers.await.expect("no PING")
}

#[tokio::test(start_paused = true)]
async fn a_call_on_a_dead_connection_is_unavailable_after_time_and_timeout_and_the_next_goes_elsewhere()
 {
    let (conn, mut server) = kept_alive(parameters());
    let client = StubClient::new(conn);
    let call = unary(&client, "into the void");
    let mut dead = accept_silently(&mut server).await;
    let begun = Instant::now();
    assert_eq!(next_ping(&mut dead).await, [0; 8]);
    assert_eq!(begun.elapsed().as_secs(), 10);

    let status = soon(call).await.expect("no panic").expect_err("lost");
    assert_eq!(begun.elapsed().as_secs(), 13);
    assert_eq!(status.code(), Code::Unavailable);
    for part in [
        "the connection to pipe",
        "keepalive ping failed to receive ACK within timeout",
        "10s",
        "3s",
        "the option is keepalive",
    ] {
        assert!(status.message().contains(part), "{part}: {status}");
    }

    let call = unary(&client, "again");
    let mut new = server.accept().await;
    new.expect_request(1).await;
    answer(&mut new, 1, "alive").await;
    expect_text(call, "alive").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_keeps_its_connection_and_is_pinged_again_after_the_time() {
    let (conn, mut server) = kept_alive(parameters());
    let client = StubClient::new(conn);
    let call = unary(&client, "slow");
    let mut peer = accept_silently(&mut server).await;
    let begun = Instant::now();
    for n in 1..=20 {
        let opaque = next_ping(&mut peer).await;
        assert_eq!(begun.elapsed().as_secs(), 12 * n - 2, "PING {n}");
        sleep(2 * SECOND).await;
        peer.send(rgrpc_test_support::ping(opaque).ack()).await;
    }
    answer(&mut peer, 1, "at last").await;
    expect_text(call, "at last").await;
}

#[tokio::test(start_paused = true)]
async fn anything_that_is_received_puts_the_ping_off() {
    let (conn, mut server) = kept_alive(parameters());
    let client = StubClient::new(conn);
    let _call = unary(&client, "busy");
    let mut peer = accept_silently(&mut server).await;
    let begun = Instant::now();
    for _ in 0..5 {
        sleep(7 * SECOND).await;
        peer.send(rgrpc_test_support::window_update(0, 1)).await;
    }
    next_ping(&mut peer).await;
    assert_eq!(begun.elapsed().as_secs(), 5 * 7 + 10);
}

#[tokio::test(start_paused = true)]
async fn without_calls_there_are_no_pings_and_the_first_call_after_a_while_pings_at_once() {
    let (conn, mut server) = kept_alive(parameters());
    let client = StubClient::new(conn);
    let call = unary(&client, "one");
    let mut peer = accept_silently(&mut server).await;
    next_headers(&mut peer).await;
    answer(&mut peer, 1, "one").await;
    expect_text(call, "one").await;

    sleep(600 * SECOND).await;
    let begun = Instant::now();
    let call = unary(&client, "two");
    // No PING has come before.
    assert_eq!(next_headers(&mut peer).await, 3);
    assert_eq!(next_ping(&mut peer).await, [0; 8]);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    answer(&mut peer, 3, "two").await;
    expect_text(call, "two").await;
}

#[tokio::test(start_paused = true)]
async fn with_the_permission_connections_without_calls_are_pinged_too() {
    let (conn, mut server) = kept_alive(ClientParameters {
        permit_without_stream: true,
        ..parameters()
    });
    conn.connect().expect("a runtime");
    let mut peer = accept_silently(&mut server).await;
    let begun = Instant::now();
    next_ping(&mut peer).await;
    assert_eq!(begun.elapsed().as_secs(), 10);
    // Nobody answers: the connection is closed without having had a call.
    peer.skip_to("GOAWAY", |frame| match frame {
        Frame::GoAway(goaway) => Ok(goaway),
        other => Err(other),
    })
    .await;
    peer.expect_closed().await;
    assert_eq!(begun.elapsed().as_secs(), 13);
}

#[tokio::test(start_paused = true)]
async fn a_time_below_10_s_is_raised_with_a_warning() {
    let log = log();
    let (conn, mut server) = kept_alive(ClientParameters::new(SECOND));
    let line = &log.take()[0];
    assert!(line.starts_with("WARN"), "{line}");
    assert!(line.contains("minimum of 10 s"), "{line}");

    let client = StubClient::new(conn);
    let _call = unary(&client, "slow");
    let mut peer = accept_silently(&mut server).await;
    let begun = Instant::now();
    next_ping(&mut peer).await;
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn too_many_pings_are_logged_and_double_the_time_of_later_connections() {
    let log = log();
    let (conn, mut server) = kept_alive(parameters());
    let client = StubClient::new(conn);
    for (time, next) in [(10, 20), (20, 40), (40, 80)] {
        let call = unary(&client, "slow");
        let mut peer = accept_silently(&mut server).await;
        let begun = Instant::now();
        next_ping(&mut peer).await;
        assert_eq!(begun.elapsed().as_secs(), time);
        peer.send(goaway(1, ErrorCode::ENHANCE_YOUR_CALM).debug_data("too_many_pings"))
            .await;
        drop(peer);
        let status = soon(call).await.expect("no panic").expect_err("lost");
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("too_many_pings"), "{status}");
        let lines = log.take();
        let [line] = &lines[..] else {
            panic!("{lines:?}");
        };
        assert!(line.starts_with("ERROR"), "{line}");
        assert!(line.contains("too_many_pings"), "{line}");
        assert!(line.contains("server=pipe"), "{line}");
        assert!(line.contains(&format!("keepalive_time={next}s")), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_goaways_leave_the_time_as_it_is() {
    let log = log();
    let (conn, mut server) = kept_alive(parameters());
    let client = StubClient::new(conn);
    for (code, debug) in [
        (ErrorCode::ENHANCE_YOUR_CALM, "too much of it"),
        (ErrorCode::NO_ERROR, "too_many_pings"),
    ] {
        let _call = unary(&client, "slow");
        let mut peer = accept_silently(&mut server).await;
        let begun = Instant::now();
        next_ping(&mut peer).await;
        assert_eq!(begun.elapsed().as_secs(), 10);
        peer.send(goaway(1, code).debug_data(debug)).await;
    }
    assert_eq!(log.take(), [""; 0]);
}

/// A channel of `round_robin` to a server that answers with its name, and one that is frozen: its
/// kernel takes connections and octets, and nothing comes back.
#[tokio::test(start_paused = true)]
async fn a_frozen_replica_leaves_the_pick_within_time_and_timeout() {
    let good = serve(StubService::new().unary(|_| async { Ok(Response::new(msg("good"))) }));
    let (mut frozen, connector) = pipe();
    let good_connector = good.connector();
    let dialer = FnDialer::new(move |address| match &address {
        Address::Name(name) if name == "good" => good_connector.dial(address),
        _ => connector.dial(address),
    });
    let resolver = ManualResolver::new("manual");
    let conn = channel_builder("manual:///both", credentials::insecure())
        .default_service_config(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#)
        .resolver(resolver.clone())
        .dialer(dialer)
        .transport(Transport::Native)
        .keepalive(parameters())
        .build()
        .expect("a valid channel");
    let names = ["good", "frozen"].map(|name| Address::Name(name.to_owned()));
    conn.connect().expect("a runtime");
    resolver.update(ResolverState::of_addresses(names));
    let freezing = tokio::spawn(async move {
        let io = frozen.accept().await.expect("a pipe").expect("dialed").io;
        // It says its SETTINGS, and is frozen then. Other connections are left alone as well.
        (WirePeer::server(io).await, frozen)
    });
    let ready = conn.wait_ready(Instant::now() + 20 * SECOND);
    ready.await.expect("a server is there");
    let _frozen = soon(freezing).await.expect("no panic");

    let client = StubClient::new(conn);
    let begun = Instant::now();
    let mut lost_at = Vec::new();
    while begun.elapsed() < 120 * SECOND {
        let outcome = client.unary(msg("")).timeout(60 * SECOND).await;
        match outcome {
            Ok(response) => assert_eq!(response.message(), &msg("good")),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status}");
                lost_at.push(begun.elapsed().as_secs());
            }
        }
        sleep(SECOND / 10).await;
    }
    // One call found it frozen. Then it was out of the pick.
    assert_eq!(lost_at.len(), 1, "{lost_at:?}");
    assert!(lost_at[0] <= 13, "{lost_at:?}");
}

/// The PINGs by which a client measures the bandwidth follow DATA that the server has sent since
/// the last, so that they are no strikes under any policy.
#[tokio::test(start_paused = true)]
async fn measuring_the_bandwidth_earns_no_strikes() {
    let policy = EnforcementPolicy {
        min_time: 3_600 * SECOND,
        permit_without_stream: false,
    };
    let server = new_server()
        .transport(Transport::Native)
        .keepalive_enforcement(policy);
    let server = serve_with(
        server,
        StubService::new().server_streaming(|_, mut responses| async move {
            for _ in 0..400 {
                responses.send(msg(vec![b'x'; 60_000])).await?;
            }
            Ok(())
        }),
    );
    let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(server.connector())
        .transport(Transport::Native)
        .build()
        .expect("a valid channel");
    let client = StubClient::new(conn);
    for _ in 0..3 {
        let mut responses = client.server_streaming(msg("")).await.expect("a stream");
        let mut received = 0;
        while let Some(message) = responses.recv().await.expect("no strikes") {
            received += message.body.len();
        }
        assert_eq!(received, 400 * 60_000);
    }
}
