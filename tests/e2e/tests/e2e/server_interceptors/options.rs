//! The options of a call that interceptors of a server set.

use rgrpc_e2e::StubClient;
use tokio::time::Instant;

use super::*;

/// An echo server with an interceptor that sets options by this function.
fn setting(set: impl Fn(&mut IncomingCall) + Send + Sync + 'static) -> (TestServer, StubClient) {
    let server = new_server().interceptor(move |mut call: IncomingCall, next: ServerNext| {
        set(&mut call);
        next.run(call)
    });
    let server = echo(server);
    let client = server.client();
    (server, client)
}

async fn code_of(client: &StubClient, body: &str) -> Code {
    let outcome = soon(async { client.unary(msg(body)).await }).await;
    outcome.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_limits_the_messages_of_a_call() {
    for receive in [true, false] {
        let (_server, client) = setting(move |call| {
            if receive {
                call.set_max_receive_message_size(8);
            } else {
                call.set_max_send_message_size(8);
            }
        });
        assert_eq!(code_of(&client, "short").await, Code::Ok);
        assert_eq!(code_of(&client, "too long").await, Code::ResourceExhausted);

        let (mut requests, mut responses) = soon(async { client.bidi_streaming().await })
            .await
            .expect("begun");
        soon(requests.send(msg("short"))).await.expect("sent");
        assert!(soon(responses.recv()).await.expect("OK").is_some());
        soon(requests.send(msg("too long"))).await.expect("sent");
        let status = soon(responses.recv()).await.expect_err("too large");
        assert_eq!(status.code(), Code::ResourceExhausted);
        let option = if receive {
            "max_receive_message_size"
        } else {
            "max_send_message_size"
        };
        assert!(status.message().contains(option), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_an_interceptor_may_be_larger_than_the_servers() {
    let server = new_server().max_receive_message_size(8).interceptor(
        |mut call: IncomingCall, next: ServerNext| {
            call.set_max_receive_message_size(1_000);
            next.run(call)
        },
    );
    let server = echo(server);
    call(&server, "longer than the server's").await.expect("OK");
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_sets_the_compressor_of_the_response() {
    let (server, _client) = setting(|call| {
        let status = call.set_send_compressor("unknown").expect_err("unknown");
        assert_eq!(status.code(), Code::Internal);
        call.set_send_compressor("gzip").expect("accepted");
    });
    let mut peer = server.wire_client().await;
    let request = grpc_request(1, STUB_UNARY).field("grpc-accept-encoding", "gzip");
    peer.send(request).await;
    peer.send(data(1, framed("a".repeat(1_000))).end_stream())
        .await;
    let response = peer.expect_response(1).await;
    assert_eq!(response.headers.get("grpc-encoding"), Some("gzip"));
    assert!(response.messages[0].body.len() < 100);
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_makes_the_deadline_earlier_and_never_later() {
    let second = Duration::from_secs(1);
    // The client's, those that interceptors set, and the one that holds.
    for (timeout, set, expected) in [
        (None, &[3][..], Some(3)),
        (Some(5), &[3][..], Some(3)),
        (Some(2), &[3][..], Some(2)),
        (None, &[3, 4, 2, 5][..], Some(2)),
        (Some(5), &[][..], Some(5)),
        (None, &[][..], None),
        (None, &[0][..], Some(0)),
    ] {
        let seen = Diary::default();
        let told = seen.clone();
        let server = new_server().interceptor(move |mut call: IncomingCall, next: ServerNext| {
            let began = Instant::now();
            for after in set {
                call.set_deadline(began + second * *after);
            }
            let left = |deadline: Option<Instant>| deadline.map(|at| (at - began).as_secs());
            assert_eq!(left(call.deadline()), expected);
            assert_eq!(left(call.context().deadline()), expected);
            let told = told.clone();
            call.on_end(move |outcome| {
                let reason = outcome.cancel_reason();
                told.note(format!(
                    "{} {reason:?} {:?}",
                    outcome.code(),
                    outcome.elapsed().as_secs()
                ));
            });
            async move { next.run(call).await }
        });
        let hangs = expected.is_some();
        let service = StubService::new().unary(move |request| async move {
            let outgoing = request.outgoing(());
            assert_eq!(outgoing.deadline(), request.deadline());
            if hangs {
                pending::<()>().await;
            }
            Ok(Response::new(request.into_message()))
        });
        let server = serve_with(server, service);
        let client = server.client();
        let code = soon(async {
            let call = client.unary(msg("a"));
            // Longer than the server's, so that the server ends the call.
            match timeout {
                Some(timeout) => call.timeout(second * timeout).await,
                None => call.await,
            }
        });
        let code = code.await.map_or_else(|status| status.code(), |_| Code::Ok);
        let Some(expected) = expected else {
            assert_eq!(code, Code::Ok);
            continue;
        };
        assert_eq!(code, Code::DeadlineExceeded);
        settle().await;
        let ended = format!("DEADLINE_EXCEEDED Some(DeadlineExceeded) {expected}");
        assert_eq!(seen.take(), [ended]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_set_while_the_call_waits_takes_effect() {
    let server = new_server().interceptor(|mut call: IncomingCall, next: ServerNext| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        call.set_deadline(Instant::now() + Duration::from_secs(1));
        next.run(call).await
    });
    let server = serve_with(server, StubService::new().unary(async |_| pending().await));
    let began = Instant::now();
    let client = server.client();
    let hour = Duration::from_secs(3_600);
    let status = soon(async { client.unary(msg("")).timeout(hour).await })
        .await
        .expect_err("the interceptor's");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn interceptors_see_a_refusal_and_cannot_make_the_call_succeed() {
    let diary = Diary::default();
    let told = diary.clone();
    let server = new_server()
        .head_hook(|head| match head.metadata().get("x-refused") {
            Some(_) => Err(Status::permission_denied("by the hook")),
            None => Ok(()),
        })
        .interceptor(move |call: IncomingCall, next: ServerNext| {
            told.note(format!("{:?}", call.refusal().map(Status::code)));
            let answer = call.metadata().get("x-answer").map(str::to_owned);
            async move {
                match answer.as_deref() {
                    Some("reply") => call.reply(ProtoCodec, Response::new(msg("mine"))),
                    Some("handle") => {
                        let stream = |call: rgrpc::ServerCall| {
                            call.server_streaming(ProtoCodec, Arc::new(()), twice)
                        };
                        call.handle(stream).await
                    }
                    Some(_) => Err(Status::aborted("mine")),
                    None => next.run(call).await,
                }
            }
        });
    let server = echo(server);
    let mut peer = server.wire_client().await;
    let mut stream = 1;
    for (answer, expected) in [
        ("", Code::Aborted),
        ("reply", Code::PermissionDenied),
        ("handle", Code::PermissionDenied),
    ] {
        let request = grpc_request(stream, STUB_SERVER_STREAMING);
        peer.send(
            request
                .field("x-refused", "1")
                .field("x-answer", answer)
                .end_stream(),
        )
        .await;
        let response = peer.expect_response(stream).await;
        assert_eq!(response.trailers.code, expected as u32, "{answer}");
        assert!(response.messages.is_empty());
        assert_eq!(diary.take(), ["Some(PermissionDenied)"]);
        stream += 2;
    }
    let request = grpc_request(stream, STUB_UNARY).end_stream();
    let request = request.field("grpc-encoding", "unknown");
    peer.send(request).await;
    peer.expect_response(stream).await;
    assert_eq!(diary.take(), ["Some(Unimplemented)"]);
    call(&server, "").await.expect("OK");
    assert_eq!(diary.take(), ["None"]);
}
