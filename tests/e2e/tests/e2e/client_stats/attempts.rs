//! The events of attempts: retries, hedges and attempts that fail before they have a stream.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_events_of_an_attempt_are_its_own() {
    let server = serve(StubService::new().unary(async |request| {
        let attempt = request.metadata().get("x-attempt").map(str::to_owned);
        Ok(Response::new(msg(attempt.unwrap_or_default())))
    }));
    let recording = telling_attempts();
    let client = ready(&server, &recording).await;
    let response = call(&client, "hello").await.expect("OK");
    assert_eq!(text(response.message()), "1", "the attempt's own metadata");
    assert_eq!(
        recording.take(),
        [
            "begin Unary unary true false",
            "1: begin 0 false false sent",
            "1: picked pipe",
            "1: out header sent",
            "out payload unseen (7, 7, 12)",
            "1: out payload unseen (7, 7, 12)",
            "1: out trailer none",
            "1: in header none",
            "1: in payload unseen (3, 3, 8)",
            "in payload unseen (3, 3, 8)",
            "1: in trailer none",
            "1: end OK by server",
            "end OK by server",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn each_retry_is_an_attempt_of_one_call() {
    let calls = Arc::new(AtomicUsize::new(0));
    let fails = move || calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
    let busy = || Err(Status::unavailable("busy").with_metadata(mark("busy")));
    let streaming_fails = fails.clone();
    let server = serve(
        StubService::new()
            .unary(move |request| {
                let outcome = if fails() { busy() } else { Ok(()) };
                async { outcome.map(|()| Response::new(request.into_message())) }
            })
            .bidi_streaming(move |requests, mut responses| {
                let fails = streaming_fails();
                async move {
                    let mut requests = requests.into_message();
                    let first = requests.recv().await?;
                    if fails {
                        return busy();
                    }
                    responses.send(first.expect("one")).await
                }
            }),
    );
    let recording = telling_attempts();
    let conn = channel(&server, |builder| {
        builder
            .stats_handler(recording.clone())
            .default_service_config(RETRIES)
    });
    connect(&conn).await;
    let client = StubClient::new(conn);
    recording.take();
    call(&client, "a").await.expect("the second attempt");
    assert_eq!(
        recording.take(),
        [
            "begin Unary unary true false",
            "1: begin 0 false false sent",
            "1: picked pipe",
            "1: out header sent",
            "out payload unseen (3, 3, 8)",
            "1: out payload unseen (3, 3, 8)",
            "1: out trailer none",
            "1: in trailer busy",
            "1: end UNAVAILABLE by server",
            "2: begin 1 false false sent",
            "2: picked pipe",
            "2: out header sent",
            "2: out payload unseen (3, 3, 8)",
            "2: out trailer none",
            "2: in header none",
            "2: in payload unseen (3, 3, 8)",
            "in payload unseen (3, 3, 8)",
            "2: in trailer none",
            "2: end OK by server",
            "end OK by server",
        ]
    );

    let streaming = async {
        let (mut requests, mut responses) = client.bidi_streaming().compressor("gzip").await?;
        requests.send(msg("a".repeat(500))).await?;
        requests.close();
        while responses.recv().await?.is_some() {}
        Ok::<_, Status>(())
    };
    soon(streaming).await.expect("the second attempt");
    let events = recording.take();
    let payloads: Vec<_> = events
        .iter()
        .filter(|event| event.contains("out payload"))
        .collect();
    // The replayed message has its length before compression, too.
    let [of_call, first, second] = payloads[..] else {
        panic!("{events:#?}");
    };
    assert!(
        of_call.starts_with("out payload unseen (503, "),
        "{of_call}"
    );
    assert_eq!(*first, format!("1: {of_call}"));
    assert_eq!(*second, format!("2: {of_call}"));
    for expected in [
        "1: end UNAVAILABLE by server",
        "2: begin 1 false false none",
        "2: out trailer none",
        "2: end OK by server",
    ] {
        let count = events.iter().filter(|event| *event == expected).count();
        assert_eq!(count, 1, "{expected} {events:#?}");
    }
    assert_eq!(events.last().expect("some"), "end OK by server");
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_hedged_call_are_in_the_order_of_a_unary_call() {
    let server = serve(marking());
    for recording in [wanting(), Recording::default(), telling_attempts()] {
        let mut events = Vec::new();
        for config in ["{}", HEDGES] {
            let conn = channel(&server, |builder| {
                builder
                    .stats_handler(recording.clone())
                    .default_service_config(config)
            });
            connect(&conn).await;
            recording.take();
            let client = StubClient::new(conn);
            call(&client, "hello").await.expect("OK");
            let hedged = recording.take().into_iter();
            let hedged =
                hedged.map(|event| event.replace("begin 0 false true", "begin 0 false false"));
            events.push(hedged.collect::<Vec<_>>());
        }
        let [unary, hedged] = &events[..] else {
            panic!("two calls");
        };
        assert_eq!(hedged, unary);
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_a_hedged_call_are_told_apart() {
    let calls = Arc::new(AtomicUsize::new(0));
    let server = serve(StubService::new().unary(move |request| {
        let hangs = calls.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok(Response::new(request.into_message()))
        }
    }));
    let recording = telling_attempts();
    let conn = channel(&server, |builder| {
        builder
            .stats_handler(recording.clone())
            .default_service_config(HEDGES)
    });
    connect(&conn).await;
    recording.take();
    call(&StubClient::new(conn), "a")
        .await
        .expect("the second attempt");
    let events = recording.take();
    let of_attempt = |attempt: usize| {
        let prefix = format!("{attempt}: ");
        let events = events
            .iter()
            .filter_map(|event| event.strip_prefix(&prefix));
        events.map(str::to_owned).collect::<Vec<_>>()
    };
    let sent = [
        "picked pipe",
        "out header sent",
        "out payload unseen (3, 3, 8)",
        "out trailer none",
    ];
    let first = of_attempt(1);
    assert_eq!(first[0], "begin 0 false true sent");
    assert_eq!(first[1..5], sent);
    assert_eq!(first[5..], ["end CANCELLED by client"]);
    let second = of_attempt(2);
    assert_eq!(second[0], "begin 1 false true sent");
    assert_eq!(second[1..5], sent);
    assert_eq!(
        second[5..],
        [
            "in header none",
            "in payload unseen (3, 3, 8)",
            "in trailer none",
            "end OK by server",
        ]
    );
    let of_call: Vec<_> = events
        .iter()
        .filter(|event| !event.contains(": "))
        .collect();
    assert_eq!(
        of_call,
        [
            "begin Unary unary true false",
            "out payload unseen (3, 3, 8)",
            "in payload unseen (3, 3, 8)",
            "end OK by server",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_transparent_retry_is_an_attempt_that_says_so() {
    let recording = telling_attempts();
    let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
        builder.stats_handler(recording.clone())
    });
    let made = unary(&StubClient::new(conn), "a");
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(rst_stream(1, ErrorCode::REFUSED_STREAM)).await;
    peer.expect_request(3).await;
    answer(&mut peer, 3, "b").await;
    soon(made).await.expect("no panic").expect("OK");
    let events = recording.take();
    for expected in [
        "1: begin 0 false false none",
        "1: end UNAVAILABLE by server",
        "2: begin 0 true false none",
        "2: end OK by server",
    ] {
        assert!(events.iter().any(|event| event == expected), "{events:#?}");
    }
    assert!(events.iter().all(|event| !event.contains("1: in ")));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_a_connection_has_its_end_alone() {
    let recording = telling_attempts();
    let server = serve(marking());
    server.handle().stop();
    settle().await;
    let conn = channel(&server, |builder| builder.stats_handler(recording.clone()));
    call(&StubClient::new(conn), "")
        .await
        .expect_err("nobody listens");
    assert_eq!(
        recording.take(),
        [
            "begin Unary unary true false",
            "name resolved",
            "1: begin 0 false false sent",
            "1: end UNAVAILABLE by connection",
            "end UNAVAILABLE by connection",
        ]
    );
}
