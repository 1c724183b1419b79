//! Connecting of a channel: its time, its attempts, and calls meanwhile.
//!
//! Source: "connection-backoff" and "wait-for-ready" of the gRPC documents; grpc-go's
//! `TestWaitForReady`, `TestFailFast`.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::io::{Connected, Dial, Peer};
use rgrpc::{Code, credentials};
use rgrpc_e2e::{
    FnDialer, StubClient, StubService, answer, channel_builder, expect_text, msg, new_channel,
    new_server, register_stub, scripted, serve, settle, soon, text, unary,
};
use rgrpc_test_support::{
    CountingListener, Event, Frame, RefusingAddress, WirePeer, free_listener,
};
use tokio::io::duplex;
use tokio::time::Instant;

fn dialing(dialer: impl Dial) -> StubClient {
    let conn = channel_builder("passthrough:///backend.test:1", credentials::insecure())
        .dialer(dialer)
        .build()
        .expect("a valid target");
    StubClient::new(conn)
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, "the cable is unplugged")
}

/// Whole numbers of milliseconds between one and the next.
fn gaps(times: &[Instant]) -> Vec<u128> {
    let pairs = times.windows(2);
    pairs.map(|pair| (pair[1] - pair[0]).as_millis()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_channel_does_not_connect_before_its_first_call() {
    let dials = Arc::new(AtomicUsize::new(0));
    let server = serve(StubService::echo());
    let (counter, connector) = (Arc::clone(&dials), server.connector());
    let client = dialing(FnDialer::new(move |address| {
        counter.fetch_add(1, Ordering::Relaxed);
        connector.dial(address)
    }));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(dials.load(Ordering::Relaxed), 0);
    for _ in 0..3 {
        client.clone().unary(msg("")).await.expect("OK");
    }
    assert_eq!(
        dials.load(Ordering::Relaxed),
        1,
        "one connection for all calls"
    );
}

#[tokio::test(start_paused = true)]
async fn calls_that_begin_while_connecting_share_the_connection() {
    let (conn, mut server) = scripted();
    let calls: Vec<_> = (0..3)
        .map(|_| unary(&StubClient::new(conn.clone()), ""))
        .collect();
    let mut peer = server.accept().await;
    for id in [1, 3, 5] {
        peer.skip_to("a request", |frame| match frame {
            Frame::Headers(head) if head.stream_id == id => Ok(()),
            other => Err(other),
        })
        .await;
        answer(&mut peer, id, "").await;
    }
    for call in calls {
        expect_text(call, "").await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_servers_settings() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = unary(&client, "");
    let mut peer = WirePeer::unshaken(server.io().await);
    peer.expect_preface().await;
    peer.expect_settings().await;
    // A PING would be answered by none but its own error: SETTINGS have to come first.
    loop {
        match peer.next_event().await {
            // The rest of the preface, of an engine with a large window.
            Event::Frame(Frame::WindowUpdate(update)) if update.stream_id == 0 => {}
            Event::Nothing => break,
            other => panic!("{other}: {peer:?}"),
        }
    }
    assert!(!call.is_finished());
    peer.send(rgrpc_test_support::settings()).await;
    peer.expect_settings_ack().await;
    peer.expect_headers(1).await;
    call.abort();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_sends_settings_is_given_up_after_20_s() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let holder = Arc::clone(&kept);
    let client = dialing(FnDialer::new(move |address| {
        let (ours, theirs) = duplex(1024);
        holder.lock().expect("not poisoned").push(theirs);
        async move {
            let peer = Peer::new(address.clone(), address);
            Ok(Connected::new(Box::new(ours), peer))
        }
    }));
    let begun = Instant::now();
    let status = soon(async { client.unary(msg("")).await })
        .await
        .expect_err("no SETTINGS");
    assert_eq!(begun.elapsed().as_secs(), 20);
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("20 s"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn attempts_are_1_s_apart_then_1_6_times_as_far_within_a_fifth_up_to_120_s() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&times);
    let client = dialing(FnDialer::new(move |_| {
        record.lock().expect("not poisoned").push(Instant::now());
        async { Err(refused()) }
    }));
    let hour = Duration::from_secs(3600);
    let call = client.unary(msg("")).wait_for_ready(true).timeout(hour);
    let status = call.await.expect_err("never connected");
    assert_eq!(status.code(), Code::DeadlineExceeded);

    let times = times.lock().expect("not poisoned");
    let gaps = gaps(&times);
    assert!(gaps.len() > 20, "an hour is time for many: {gaps:?}");
    let mut expected: f64 = 1000.0;
    for (attempt, gap) in gaps.iter().enumerate() {
        let (least, most) = match attempt {
            0 => (1000.0, 1000.0),
            _ => (expected * 0.8, expected * 1.2),
        };
        // The clock goes in steps of 1 ms.
        let gap = *gap as f64;
        assert!(
            (least - 1.0..=most + 2.0).contains(&gap),
            "{attempt}: {gaps:?}"
        );
        expected = (expected * 1.6).min(120_000.0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_is_given_up_after_20_s() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&times);
    let client = dialing(FnDialer::new(move |_| {
        record.lock().expect("not poisoned").push(Instant::now());
        pending()
    }));
    let minute = Duration::from_secs(60);
    let call = client.unary(msg("")).wait_for_ready(true).timeout(minute);
    call.await.expect_err("never connected");
    // 20 s each, then the backoff.
    let gaps = gaps(&times.lock().expect("not poisoned"));
    assert!((21_000..21_010).contains(&gaps[0]), "{gaps:?}");
    assert!((21_280..21_930).contains(&gaps[1]), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_wait_fails_with_target_address_cause_and_attempt() {
    let client = dialing(FnDialer::new(|_| async { Err(refused()) }));
    let status = client.unary(msg("")).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable);
    for part in [
        "passthrough:///backend.test:1",
        "backend.test:1: the cable is unplugged",
        "attempt 1",
        "next in 1.0 s",
    ] {
        assert!(status.message().contains(part), "{part}: {status}");
    }
    // The channel waits; the known failure is reported at once.
    let begun = Instant::now();
    let status = client.bidi_streaming().await.expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let status = client.unary(msg("")).await.expect_err("refused");
    assert!(status.message().contains("attempt 2"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_ready_goes_through_once_the_server_is_there() {
    let server = serve(StubService::echo());
    let attempts = Arc::new(AtomicUsize::new(0));
    let (counter, connector) = (Arc::clone(&attempts), server.connector());
    let client = dialing(FnDialer::new(move |address| {
        let attempt = counter.fetch_add(1, Ordering::Relaxed);
        let dial = connector.dial(address);
        async move {
            if attempt < 3 {
                Err(refused())
            } else {
                dial.await
            }
        }
    }));
    let begun = Instant::now();
    let call = client.unary(msg("patient")).wait_for_ready(true);
    let response = soon(async { call.await }).await.expect("OK");
    assert_eq!(text(response.message()), "patient");
    assert_eq!(attempts.load(Ordering::Relaxed), 4);
    assert!(begun.elapsed() > Duration::from_secs(4));
    // From here on nobody has to wait.
    client.unary(msg("")).await.expect("OK");
}

#[tokio::test(start_paused = true)]
async fn a_success_resets_the_backoff() {
    let server = serve(StubService::echo());
    let times = Arc::new(Mutex::new(Vec::new()));
    let (record, connector) = (Arc::clone(&times), server.connector());
    let client = dialing(FnDialer::new(move |address| {
        let mut times = record.lock().expect("not poisoned");
        times.push(Instant::now());
        let works = times.len() == 4;
        let dial = connector.dial(address);
        async move { if works { dial.await } else { Err(refused()) } }
    }));
    let call = client.unary(msg("")).wait_for_ready(true);
    call.await.expect("the fourth attempt");
    server.handle().stop();
    soon(server.handle().stopped()).await;
    settle().await;
    let call = client.unary(msg("")).wait_for_ready(true);
    let call = call.timeout(Duration::from_secs(2));
    call.await.expect_err("the server is gone");
    let gaps = gaps(&times.lock().expect("not poisoned"));
    assert!((1000..=1001).contains(&gaps[4]), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_replaced_by_the_next_call() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    for round in 0..3 {
        let call = unary(&client, "");
        // Fails to arrive unless the call makes a connection of its own.
        let mut peer = server.accept().await;
        peer.expect_request(1).await;
        answer(&mut peer, 1, "").await;
        expect_text(call, "").await;
        drop(peer);
        assert!(round < 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_not_replaced_before_it_is_needed() {
    let dials = Arc::new(AtomicUsize::new(0));
    let server = serve(StubService::echo());
    let (counter, connector) = (Arc::clone(&dials), server.connector());
    let client = dialing(FnDialer::new(move |address| {
        counter.fetch_add(1, Ordering::Relaxed);
        connector.dial(address)
    }));
    client.unary(msg("")).await.expect("OK");
    server.handle().stop();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(dials.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_closed_stops_trying() {
    let dials = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dials);
    let conn = channel_builder("passthrough:///a", credentials::insecure())
        .dialer(FnDialer::new(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            async { Err(refused()) }
        }))
        .build()
        .expect("a valid target");
    let client = StubClient::new(conn.clone());
    let waiting = tokio::spawn(async move { client.unary(msg("")).wait_for_ready(true).await });
    settle().await;
    conn.close();
    let status = soon(waiting).await.expect("no panic").expect_err("closed");
    assert_eq!(status.code(), Code::Cancelled);
    let before = dials.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(dials.load(Ordering::Relaxed), before);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_dropped_stops_trying() {
    let dials = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dials);
    let client = dialing(FnDialer::new(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Err(refused()) }
    }));
    client.unary(msg("")).await.expect_err("refused");
    drop(client);
    let before = dials.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(dials.load(Ordering::Relaxed), before);
}

#[tokio::test]
async fn addresses_are_tried_in_turn_until_one_answers() {
    let refusing = RefusingAddress::bind().expect("a free port");
    let listener = free_listener().await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut server = new_server();
    register_stub(&mut server, StubService::echo()).expect("the first");
    tokio::spawn(server.serve_listener(listener));

    let target = format!("ipv4:{},{address}", refusing.address());
    let conn = new_channel(target, credentials::insecure()).expect("a valid target");
    let response = soon(async { StubClient::new(conn).unary(msg("second")).await }).await;
    assert_eq!(text(response.expect("OK").message()), "second");
    server.handle().stop();
}

#[tokio::test]
async fn when_no_address_answers_the_last_one_and_their_number_are_named() {
    let refusing = [
        RefusingAddress::bind().expect("a free port"),
        RefusingAddress::bind().expect("a free port"),
    ];
    let [first, second] = [refusing[0].address(), refusing[1].address()];
    let target = format!("ipv4:{first},{second}");
    let conn = new_channel(target, credentials::insecure()).expect("a valid target");
    let status = soon(async { StubClient::new(conn).unary(msg("")).await })
        .await
        .expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable);
    let text = status.message();
    assert!(text.contains(&format!("{second}: ")), "{text}");
    assert!(text.contains("last of 2 addresses"), "{text}");
}

#[tokio::test]
async fn a_name_is_looked_up_by_the_system() {
    let listener = free_listener().await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let mut server = new_server();
    register_stub(&mut server, StubService::echo()).expect("the first");
    tokio::spawn(server.serve_listener(listener));
    for target in [
        format!("dns:///localhost:{port}"),
        format!("localhost:{port}"),
        format!("passthrough:///localhost:{port}"),
        format!("127.0.0.1:{port}"),
    ] {
        let conn = new_channel(&*target, credentials::insecure()).expect("a valid target");
        let client = StubClient::new(conn);
        let outcome = soon(async { client.unary(msg("")).await }).await;
        outcome.unwrap_or_else(|status| panic!("{target}: {status}"));
    }
    server.handle().stop();
}

#[tokio::test]
async fn a_server_that_comes_up_again_is_found_by_the_same_channel() {
    let listener = CountingListener::bind().await.expect("a free port");
    let target = format!("dns:///{}", listener.address());
    let conn = new_channel(target, credentials::insecure()).expect("a valid target");
    let client = StubClient::new(conn);
    for _ in 0..2 {
        let call = unary(&client, "");
        let io = soon(listener.accept()).await.expect("a connection");
        let mut peer = WirePeer::server(io).await.housekeeping();
        peer.expect_request(1).await;
        drop(peer);
        let status = soon(call).await.expect("no panic").expect_err("lost");
        assert_eq!(status.code(), Code::Unavailable);
    }
    assert_eq!(listener.accepted().count(), 2);
}
