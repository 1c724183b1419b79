//! Interceptors that see the messages of a call, refuse them, or hold them back.

use super::*;

/// Sees messages, refuses those with "bad" in them, and holds others back.
#[derive(Clone, Default)]
struct Watching {
    diary: Diary,
    held: Arc<AtomicBool>,
    /// The way in which bad messages are refused; both if it is empty.
    refuses: &'static str,
}

impl Watching {
    fn see(&self, way: &str, message: &MessageView<'_>) -> Result<(), Status> {
        let seen: &Message = message.downcast_ref().expect("the type of the method");
        assert!(message.downcast_ref::<Bytes>().is_none());
        let body = text(seen);
        self.diary.note(format!(
            "{way} {body} {} {} {}",
            message.encoded_len(),
            message.compressed_len(),
            message.wire_len()
        ));
        if body.contains("bad") && (self.refuses.is_empty() || self.refuses == way) {
            return Err(Status::invalid_argument("a bad message"));
        }
        Ok(())
    }

    fn poll(&self) -> Poll<Result<(), Status>> {
        if self.held.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl MessageInterceptor for Watching {
    fn received(&self, message: &MessageView<'_>) -> Result<(), Status> {
        self.see("in", message)
    }

    fn sending(&self, message: &MessageView<'_>) -> Result<(), Status> {
        self.see("out", message)
    }

    fn poll_receive(&self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.poll()
    }

    fn poll_send(&self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.poll()
    }
}

fn watching(watching: &Watching) -> impl ClientInterceptor {
    let watching = watching.clone();
    move |mut call: OutgoingCall, next: ClientNext| {
        call.intercept_messages(watching.clone());
        next.run(call)
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_call_of_each_kind_are_seen_both_ways_with_their_sizes() {
    let seen = Watching::default();
    let (_server, client) = echo(watching(&seen));
    for outcome in call_each_kind(&client).await {
        assert_eq!(outcome.expect("OK"), "a");
    }
    assert_eq!(seen.diary.take(), ["out a 3 3 8", "in a 3 3 8"].repeat(4));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_comes_in_pieces_is_seen_as_one() {
    let seen = Watching::default();
    let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
        builder.interceptor(watching(&seen))
    });
    let client = StubClient::new(conn);
    let made = tokio::spawn(async move { client.unary(msg("a")).await });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.send(data(1, framed("b").slice(..3))).await;
    settle().await;
    peer.send(data(1, framed("b").slice(3..))).await;
    peer.send(grpc_trailers(1, 0)).await;
    soon(made).await.expect("no panic").expect("OK");
    assert_eq!(seen.diary.take(), ["out a 3 3 8", "in b 3 3 8"]);
}

#[tokio::test(start_paused = true)]
async fn both_sizes_of_a_compressed_message_are_reported() {
    let seen = Watching::default();
    let (_server, client) = echo(watching(&seen));
    let body = "a".repeat(1_000);
    let call = async { client.unary(msg(&body)).compressor("gzip").await };
    soon(call).await.expect("OK");
    let call = async { client.bidi_streaming().compressor("gzip").await };
    let (mut requests, mut responses) = soon(call).await.expect("begun");
    soon(requests.send(msg(&body))).await.expect("sent");
    soon(responses.recv()).await.expect("OK").expect("one");
    let len = encoded(&body).len();
    let diary = seen.diary.take();
    assert_eq!(diary.len(), 4);
    for seen in diary {
        let sizes: Vec<usize> = seen
            .split(' ')
            .skip(2)
            .map(|size| size.parse().expect("a size"))
            .collect();
        assert_eq!(sizes[0], len, "{seen}");
        assert!(sizes[1] < 100 && sizes[2] == sizes[1] + 5, "{seen}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_is_not_received_and_not_sent() {
    for (way, other) in [("out", "in"), ("in", "out")] {
        let seen = Watching {
            refuses: way,
            ..Watching::default()
        };
        let (_server, client) = echo(watching(&seen));
        let status = call(&client, "bad").await.expect_err("refused");
        assert_eq!(status.code(), Code::InvalidArgument);
        let was_sent = seen
            .diary
            .take()
            .iter()
            .any(|entry| entry.starts_with("in"));
        assert_eq!(was_sent, other == "out");

        if way == "out" {
            let streaming = async { client.server_streaming(msg("bad")).await?.recv().await };
            let status = soon(streaming).await.expect_err("refused");
            assert_eq!(status.code(), Code::InvalidArgument);
        }

        let (mut requests, mut responses) = soon(async { client.bidi_streaming().await })
            .await
            .expect("begun");
        let sent = soon(requests.send(msg("bad"))).await;
        if way == "out" {
            assert_eq!(sent.expect_err("refused").code(), Code::InvalidArgument);
            // The call goes on.
            soon(requests.send(msg("good"))).await.expect("sent");
            let response = soon(responses.recv()).await.expect("OK").expect("one");
            assert_eq!(text(&response), "good");
        } else {
            sent.expect("sent");
            let status = soon(responses.recv()).await.expect_err("refused");
            assert_eq!(status.code(), Code::InvalidArgument);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_interceptor_holds_streams_back_and_only_messages_pass() {
    let seen = Watching::default();
    seen.held.store(true, Ordering::SeqCst);
    let (_server, client) = echo(watching(&seen));
    call(&client, "a").await.expect("unary");
    seen.diary.take();
    let second = Duration::from_secs(1);
    let call = soon(async { client.server_streaming(msg("a")).timeout(second).await });
    let mut responses = call.await.expect("its only request is sent");
    let status = soon(responses.recv()).await.expect_err("held");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(seen.diary.take(), ["out a 3 3 8"]);

    let call = soon(async { client.client_streaming().await });
    let mut streaming = call.await.expect("begun");
    let send = tokio::time::timeout(second, streaming.send(msg("a")));
    send.await.expect_err("held");
    assert_eq!(seen.diary.take(), [""; 0]);
    seen.held.store(false, Ordering::SeqCst);
    soon(streaming.send(msg("a"))).await.expect("sent");
    seen.held.store(true, Ordering::SeqCst);
    soon(streaming.close_and_recv())
        .await
        .expect("its only response");
    assert_eq!(seen.diary.take(), ["out a 3 3 8", "in a 3 3 8"]);
}

#[tokio::test(start_paused = true)]
async fn the_outer_of_two_sees_a_request_first_and_a_response_last() {
    struct Named(&'static str, Diary);
    impl MessageInterceptor for Named {
        fn received(&self, _: &MessageView<'_>) -> Result<(), Status> {
            self.1.note(format!("in {}", self.0));
            Ok(())
        }

        fn sending(&self, _: &MessageView<'_>) -> Result<(), Status> {
            self.1.note(format!("out {}", self.0));
            Ok(())
        }
    }
    let diary = Diary::default();
    let named = |name| {
        let diary = diary.clone();
        move |mut call: OutgoingCall, next: ClientNext| {
            call.intercept_messages(Named(name, diary.clone()));
            next.run(call)
        }
    };
    let server = serve(StubService::echo());
    let conn = channel(&server, |builder| {
        builder.interceptor(named("one")).interceptor(named("two"))
    });
    for outcome in call_each_kind(&StubClient::new(conn)).await {
        outcome.expect("OK");
    }
    let around = ["out one", "out two", "in two", "in one"];
    assert_eq!(diary.take(), around.repeat(4));
}

#[tokio::test(start_paused = true)]
async fn a_retry_or_a_hedge_shows_no_message_again() {
    for config in [RETRIES, HEDGES] {
        let seen = Watching::default();
        let (service, calls) = failing_first();
        let server = serve(service);
        let conn = channel(&server, |builder| {
            builder
                .default_service_config(config)
                .interceptor(watching(&seen))
        });
        call(&StubClient::new(conn), "a").await.expect("OK");
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        assert_eq!(seen.diary.take(), ["out a 3 3 8", "in a 3 3 8"]);
    }
}
