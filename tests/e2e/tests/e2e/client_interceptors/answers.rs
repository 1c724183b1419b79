//! Interceptors that answer calls themselves: caches, fallbacks, streams of their own.

use std::collections::HashMap;

use rgrpc::{PreparedMessage, RawCodec};

use super::*;

/// A service that counts the unary calls that it handles, and echoes.
fn counting() -> (StubService, Arc<AtomicUsize>) {
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let service = StubService::new().unary(move |request| {
        count.fetch_add(1, Ordering::SeqCst);
        let mut response = Response::new(request.into_message());
        response.trailer_mut().append("x-tail", "1").expect("valid");
        async {
            response
                .with_metadata("x-head", "1")
                .map_err(|error| Status::internal(error.to_string()))
        }
    });
    (service, handled)
}

/// Calls with each of these bodies, in order; the answers are the same.
async fn call_with(client: &StubClient, bodies: &[&str]) {
    for body in bodies {
        let response = call(client, body).await.expect("OK");
        assert_eq!(text(response.message()), *body);
        assert_eq!(response.metadata().get("x-head"), Some("1"));
        assert_eq!(response.trailer().get("x-tail"), Some("1"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cache_has_the_request_as_its_key() {
    let cached: Arc<Mutex<HashMap<Vec<u8>, Response<Message>>>> = Arc::default();
    let (service, handled) = counting();
    let server = serve(service);
    let conn = channel(&server, |builder| {
        builder.interceptor(move |call: OutgoingCall, next: ClientNext| {
            let cached = Arc::clone(&cached);
            async move {
                assert!(call.request::<String>().is_none());
                let request: &Message = call.request().expect("unary, and its type");
                let key = request.body.clone();
                let kept = cached.lock().expect("no panic").get(&key).cloned();
                if let Some(response) = kept {
                    return Ok(ClientReply::new(response));
                }
                let reply = next.run(call).await?;
                let mut response = Response::new(reply.message::<Message>().cloned())
                    .map(|message| message.expect("its type"));
                *response.metadata_mut() = reply.metadata().clone();
                *response.trailer_mut() = reply.trailer().clone();
                cached.lock().expect("no panic").insert(key, response);
                Ok(reply)
            }
        })
    });
    call_with(&StubClient::new(conn), &["a", "b", "a", "b", "a"]).await;
    assert_eq!(handled.load(Ordering::SeqCst), 2);
}

/// A cache of unary calls of any type.
#[derive(Default)]
struct Cache(Mutex<HashMap<(String, Bytes), Response<Bytes>>>);

impl ClientInterceptor for Cache {
    async fn intercept(&self, call: OutgoingCall, next: ClientNext) -> Reply {
        let Some(request) = call.encoded_request()? else {
            return next.run(call).await;
        };
        let method = format!("{} {}", call.method(), call.content_subtype());
        let key = (method, request);
        let kept = self.0.lock().expect("no panic").get(&key).cloned();
        if let Some(response) = kept {
            return call.reply_encoded(response);
        }
        let reply = next.run(call).await?;
        if let Some(response) = reply.encoded()? {
            self.0.lock().expect("no panic").insert(key, response);
        }
        Ok(reply)
    }
}

#[tokio::test(start_paused = true)]
async fn a_cache_of_any_type_has_the_encoded_request_as_its_key() {
    let (service, handled) = counting();
    let server = serve(service);
    let conn = channel(&server, |builder| builder.interceptor(Cache::default()));
    call_with(
        &StubClient::new(conn.clone()),
        &["a", "b", "a", "b", "a", "", ""],
    )
    .await;
    assert_eq!(handled.load(Ordering::SeqCst), 3);

    // By another type of the same method.
    let prepared = PreparedMessage::new(ProtoCodec, &msg("a")).expect("fits");
    let call = UnaryCall::<_, _, Message>::new(&conn, ProtoCodec, STUB_UNARY, prepared.into());
    soon(async { call.await }).await.expect("OK");
    assert_eq!(handled.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn one_interceptor_encodes_the_answers_of_those_behind_it_but_for_those_made_by_new() {
    for encoded in [true, false] {
        let server = serve(StubService::echo());
        let seen = Diary::default();
        let told = seen.clone();
        let conn = channel(&server, |builder| {
            builder
                .interceptor(move |call: OutgoingCall, next: ClientNext| {
                    let told = told.clone();
                    async move {
                        let reply = next.run(call).await?;
                        told.note(format!(
                            "{:?}",
                            reply.encoded()?.map(Response::into_message)
                        ));
                        Ok(reply)
                    }
                })
                .interceptor(move |call: OutgoingCall, _: ClientNext| async move {
                    match encoded {
                        true => call.reply_encoded(Response::new(framed("own").slice(5..))),
                        false => Ok(ClientReply::new(Response::new(msg("own")))),
                    }
                })
        });
        let response = call(&StubClient::new(conn), "").await.expect("OK");
        assert_eq!(text(response.message()), "own");
        let expected = encoded.then(|| framed("own").slice(5..));
        assert_eq!(seen.take(), [format!("{expected:?}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_and_encoded_answers_are_those_of_unary_calls() {
    let (_server, client) = echo(async |call: OutgoingCall, next: ClientNext| {
        let is_unary = call.kind() == CallKind::Unary;
        assert_eq!(call.request::<Message>().is_some(), is_unary);
        assert_eq!(call.encoded_request()?.is_some(), is_unary);
        let streamed = call.reply_streamed::<_, Bytes, Bytes>(RawCodec);
        assert_eq!(streamed.is_err(), is_unary);
        let messages = call.reply_messages(RawCodec, [Bytes::new()]);
        assert_eq!(messages.is_err(), is_unary);
        let encoded = call.reply_encoded(Response::new(framed("a").slice(5..)));
        assert_eq!(encoded.is_ok(), is_unary);
        if let Err(status) = call.reply_encoded(Response::new(Bytes::from_static(b"\xff"))) {
            assert_eq!(status.code(), Code::Internal);
        } else {
            panic!("it cannot be decoded");
        }
        let reply = next.run(call).await?;
        assert_eq!(reply.encoded()?.is_some(), is_unary);
        Ok(reply)
    });
    for outcome in call_each_kind(&client).await {
        assert_eq!(outcome.expect("OK"), "a");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_answers_streaming_calls_by_messages_of_its_own() {
    for raw in [true, false] {
        let (_server, client) = echo(move |call: OutgoingCall, next: ClientNext| async move {
            match call.kind() {
                CallKind::Unary => next.run(call).await,
                _ if raw => call.reply_messages(RawCodec, [framed("b").slice(5..)]),
                _ => call.reply_messages(ProtoCodec, [msg("b")]),
            }
        });
        let outcomes = call_each_kind(&client).await;
        let bodies: Vec<_> = outcomes
            .into_iter()
            .map(|body| body.map_err(|status| status.code()))
            .collect();
        let own = || Ok("b".to_owned());
        assert_eq!(bodies[0], Ok("a".to_owned()));
        assert_eq!(bodies[1], own());
        // These also send, to a call that has ended.
        assert!(bodies[2..].iter().all(Result::is_err), "{bodies:?}");
    }
}

/// Opens a bidirectional call that an interceptor answers by streams, whose other end is returned.
async fn streamed(
    options: impl FnOnce(&mut CallOptions) + Send + 'static,
) -> (
    TestServer,
    rgrpc::SendStream<Message>,
    rgrpc::RecvStream<Message>,
    rgrpc::LocalStreams<Message, Message>,
) {
    let (give, mut given) = unbounded_channel();
    let options = Mutex::new(Some(options));
    let (server, client) = echo(move |mut call: OutgoingCall, _: ClientNext| {
        if let Some(options) = options.lock().expect("no panic").take() {
            options(call.options_mut());
        }
        let give = give.clone();
        async move {
            let (reply, streams) = call.reply_streamed(ProtoCodec)?;
            give.send(streams).expect("the test lives");
            Ok(reply)
        }
    });
    let (requests, responses) = soon(async { client.bidi_streaming().await })
        .await
        .expect("begun");
    let streams = given.recv().await.expect("given");
    (server, requests, responses, streams)
}

#[tokio::test(start_paused = true)]
async fn the_streams_of_an_interceptor_hold_their_senders_back() {
    let (_server, mut requests, mut responses, mut streams) = streamed(|_| ()).await;
    let large = msg("a".repeat(40_000));
    // Two pass the bound of 64 KiB.
    for _ in 0..2 {
        soon(requests.send(&large)).await.expect("open");
        soon(streams.send(large.clone())).await.expect("open");
    }
    let second = Duration::from_secs(1);
    let waits = tokio::time::timeout(second, requests.send(&large)).await;
    assert!(waits.is_err(), "the requests are at their bound");
    let waits = tokio::time::timeout(second, streams.send(large.clone())).await;
    assert!(waits.is_err(), "the responses are at their bound");

    // One that is received makes the sender go on.
    let sending = tokio::spawn({
        let large = large.clone();
        async move {
            requests.send(&large).await.expect("open");
            requests.close();
        }
    });
    let mut received = 0;
    while soon(streams.recv()).await.expect("open").is_some() {
        received += 1;
    }
    assert_eq!(received, 3);
    soon(sending).await.expect("no panic");
    let sending = tokio::spawn(async move {
        streams.send(large).await.expect("open");
        streams.finish(Err(Status::not_found("no more")));
    });
    for _ in 0..3 {
        soon(responses.recv()).await.expect("open").expect("one");
    }
    let status = soon(responses.recv()).await.expect_err("failed");
    assert_eq!(status.code(), Code::NotFound);
    soon(sending).await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn the_streams_of_an_interceptor_end_at_the_deadline_and_by_the_cancel_handle() {
    let cancel = CancelHandle::new();
    let handle = cancel.clone();
    for (expected, by_deadline) in [(Code::DeadlineExceeded, true), (Code::Cancelled, false)] {
        let handle = handle.clone();
        let (_server, mut requests, mut responses, mut streams) = streamed(move |options| {
            if by_deadline {
                options.timeout(Duration::from_secs(1));
            } else {
                options.set_cancel_handle(&handle);
            }
        })
        .await;
        soon(requests.send(msg("a"))).await.expect("open");
        if !by_deadline {
            cancel.cancel();
        }
        let status = soon(responses.recv()).await.expect_err("over");
        assert_eq!(status.code(), expected);
        let status = soon(streams.recv()).await.expect_err("over");
        assert_eq!(status.code(), expected);
        streams.send(msg("late")).await.expect_err("over");
        requests.send(msg("late")).await.expect_err("over");
    }
}

#[tokio::test(start_paused = true)]
async fn the_streams_of_an_interceptor_end_with_either_side() {
    let (_server, requests, responses, mut streams) = streamed(|_| ()).await;
    drop((requests, responses));
    let status = soon(streams.recv()).await.expect_err("dropped");
    assert_eq!(status.code(), Code::Cancelled);

    let (_server, _requests, mut responses, streams) = streamed(|_| ()).await;
    drop(streams);
    let status = soon(responses.recv()).await.expect_err("dropped");
    assert_eq!(status.code(), Code::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_answers_a_call_that_has_failed() {
    let server = serve(StubService::new().unary(async |_| Err(Status::unavailable("down"))));
    let fallback_server = serve(StubService::echo());
    let fallback = channel(&fallback_server, |builder| builder);
    let conn = channel(&server, |builder| {
        builder.interceptor(move |call: OutgoingCall, next: ClientNext| {
            let fallback = fallback.clone();
            async move {
                let is_unary = call.kind() == CallKind::Unary;
                let again = call.clone();
                match next.run(call).await {
                    Err(status) if status.code() == Code::Unavailable && is_unary => {
                        let request: &Message = again.request().expect("unary");
                        let client = StubClient::new(fallback);
                        client.unary(request.clone()).await.map(ClientReply::new)
                    }
                    reply => reply,
                }
            }
        })
    });
    let response = call(&StubClient::new(conn), "a")
        .await
        .expect("the fallback's");
    assert_eq!(text(response.message()), "a");
}
