//! The hooks of interceptors that hear of the end of a call.

use super::*;

/// The end of a call, as a hook reports it.
#[derive(Debug, PartialEq)]
struct Ended {
    code: Code,
    by: EndedBy,
    tail: Option<String>,
}

impl Ended {
    fn of(outcome: &CallOutcome<'_>) -> Self {
        assert_eq!(outcome.status().is_ok(), outcome.code() == Code::Ok);
        assert!(outcome.elapsed() <= Duration::from_secs(30));
        assert!(outcome.cancel_reason().is_none());
        Self {
            code: outcome.code(),
            by: outcome.ended_by(),
            tail: outcome.trailer().get("x-tail").map(str::to_owned),
        }
    }
}

/// An interceptor that records the ends of calls.
fn ending() -> (impl ClientInterceptor, UnboundedReceiver<Ended>) {
    let (tell, told) = unbounded_channel();
    let interceptor = move |call: OutgoingCall, next: ClientNext| {
        let tell = tell.clone();
        call.on_end(move |outcome| tell.send(Ended::of(outcome)).expect("the test lives"));
        next.run(call)
    };
    (interceptor, told)
}

fn tail() -> Metadata {
    Metadata::from_pairs([("x-tail", "1")]).expect("valid")
}

/// A service that does as its request says, for two of the kinds.
fn obedient() -> StubService {
    StubService::new()
        .unary(async |request| {
            request.set_trailer(tail());
            match text(request.message()) {
                "fail" => Err(Status::aborted("as asked")),
                "hang" => pending().await,
                _ => Ok(Response::new(request.into_message())),
            }
        })
        .server_streaming(async |request, mut responses| {
            request.set_trailer(tail());
            responses.send(msg("first")).await?;
            match text(request.message()) {
                "fail" => Err(Status::aborted("as asked")),
                "hang" => pending().await,
                _ => Ok(()),
            }
        })
}

async fn stream(client: &StubClient, body: &str) -> Result<(), Status> {
    soon(async {
        let mut responses = client.server_streaming(msg(body)).await?;
        while responses.recv().await?.is_some() {}
        Ok(())
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn an_end_hook_gets_the_status_and_the_trailers() {
    let (interceptor, mut told) = ending();
    let server = serve(obedient());
    let client = StubClient::new(channel(&server, |builder| builder.interceptor(interceptor)));
    for (body, code) in [("echo", Code::Ok), ("fail", Code::Aborted)] {
        let expected = || Ended {
            code,
            by: EndedBy::Server,
            tail: Some("1".to_owned()),
        };
        let _ = call(&client, body).await;
        assert_eq!(soon(told.recv()).await, Some(expected()));
        let _ = stream(&client, body).await;
        assert_eq!(soon(told.recv()).await, Some(expected()));
    }
    assert!(told.try_recv().is_err(), "once for each call");
}

#[tokio::test(start_paused = true)]
async fn an_end_hook_gets_the_party_that_has_ended_the_call() {
    let (interceptor, mut told) = ending();
    let server = serve(obedient());
    let conn = channel(&server, |builder| builder.interceptor(interceptor));
    let client = StubClient::new(conn);
    let ended = |code, by| {
        Some(Ended {
            code,
            by,
            tail: None,
        })
    };

    // The deadline.
    let second = Duration::from_secs(1);
    let call = soon(async { client.unary(msg("hang")).timeout(second).await });
    call.await.expect_err("too late");
    let by_deadline = || ended(Code::DeadlineExceeded, EndedBy::Deadline);
    assert_eq!(soon(told.recv()).await, by_deadline());
    let call = soon(async { client.server_streaming(msg("hang")).timeout(second).await });
    let mut responses = call.await.expect("begun");
    soon(responses.recv()).await.expect("the first");
    soon(responses.recv()).await.expect_err("too late");
    assert_eq!(soon(told.recv()).await, by_deadline());

    // The cancel handle.
    let by_client = || ended(Code::Cancelled, EndedBy::Client);
    let handle = CancelHandle::new();
    let (of_call, cancelled) = (client.clone(), handle.clone());
    let call =
        tokio::spawn(async move { of_call.unary(msg("hang")).cancel_handle(&cancelled).await });
    settle().await;
    handle.cancel();
    soon(call).await.expect("no panic").expect_err("cancelled");
    assert_eq!(soon(told.recv()).await, by_client());

    // The caller, who drops the future, or a half.
    let of_call = client.clone();
    let call = tokio::spawn(async move { of_call.unary(msg("hang")).await });
    settle().await;
    call.abort();
    assert_eq!(soon(told.recv()).await, by_client());
    let call = soon(async { client.server_streaming(msg("hang")).await });
    drop(call.await.expect("begun"));
    assert_eq!(soon(told.recv()).await, by_client());

    // The connection.
    let of_call = client.clone();
    let call = tokio::spawn(async move { of_call.unary(msg("hang")).await });
    settle().await;
    server.handle().stop();
    soon(call).await.expect("no panic").expect_err("lost");
    let end = soon(told.recv()).await.expect("told");
    assert_eq!((end.code, end.by), (Code::Unavailable, EndedBy::Connection));
    // None can be made.
    let call = soon(async { client.unary(msg("")).await });
    call.await.expect_err("nobody listens");
    assert_eq!(
        soon(told.recv()).await,
        ended(Code::Unavailable, EndedBy::Connection)
    );
}

#[tokio::test(start_paused = true)]
async fn a_reset_by_the_server_is_its_own() {
    let (interceptor, mut told) = ending();
    let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
        builder.interceptor(interceptor)
    });
    let client = StubClient::new(conn);
    let made = tokio::spawn(async move { client.unary(msg("")).await });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(rst_stream(1, ErrorCode::INTERNAL_ERROR)).await;
    soon(made).await.expect("no panic").expect_err("reset");
    let end = soon(told.recv()).await.expect("told");
    assert_eq!((end.code, end.by), (Code::Internal, EndedBy::Server));
}

#[tokio::test(start_paused = true)]
async fn a_status_of_an_interceptor_is_the_clients_and_outer_hooks_hear_of_it() {
    let (interceptor, mut told) = ending();
    let server = serve(StubService::echo());
    let conn = channel(&server, |builder| {
        builder.interceptor(interceptor).interceptor(
            async |call: OutgoingCall, next: ClientNext| {
                next.run(call).await?;
                Reply::Err(Status::data_loss("the response is gone"))
            },
        )
    });
    for outcome in call_each_kind(&StubClient::new(conn)).await {
        assert_eq!(outcome.expect_err("replaced").code(), Code::DataLoss);
        let end = soon(told.recv()).await.expect("told");
        assert_eq!((end.code, end.by), (Code::DataLoss, EndedBy::Client));
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_are_called_once_whatever_the_number_of_runs() {
    let (interceptor, mut told) = ending();
    let (service, calls) = failing_first();
    let server = serve(service);
    let conn = channel(&server, |builder| {
        builder.interceptor(interceptor).interceptor(
            async |call: OutgoingCall, next: ClientNext| match next.run(call.clone()).await {
                Err(_) => next.run(call).await,
                reply => reply,
            },
        )
    });
    call(&StubClient::new(conn), "").await.expect("the second");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let end = soon(told.recv()).await.expect("told");
    assert_eq!((end.code, end.by), (Code::Ok, EndedBy::Server));
    assert!(told.try_recv().is_err(), "once");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_is_added_while_a_stream_is_open_is_called_at_its_end() {
    let server = serve(StubService::echo());
    let (keep, mut kept) = unbounded_channel();
    let conn = channel(&server, |builder| {
        builder.interceptor(move |call: OutgoingCall, next: ClientNext| {
            keep.send(call.clone()).expect("the test lives");
            next.run(call)
        })
    });
    let client = StubClient::new(conn);
    let (mut requests, mut responses) = soon(async { client.bidi_streaming().await })
        .await
        .expect("begun");
    let call = kept.recv().await.expect("kept");
    let (tell, mut told) = unbounded_channel();
    let is_added =
        call.on_end(move |outcome| tell.send(Ended::of(outcome)).expect("the test lives"));
    assert!(is_added);
    requests.close();
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
    assert_eq!(told.try_recv().map(|ended| ended.code), Ok(Code::Ok));
    assert!(!call.on_end(|_| panic!("called")));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_comes_after_the_end_is_refused() {
    // With hooks before it and without, and for a call that is dropped.
    for hooked in [true, false] {
        let server = serve(obedient());
        let (keep, mut kept) = unbounded_channel();
        let conn = channel(&server, |builder| {
            builder.interceptor(move |call: OutgoingCall, next: ClientNext| {
                if hooked {
                    assert!(call.on_end(|_| ()));
                }
                keep.send(call.clone()).expect("the test lives");
                next.run(call)
            })
        });
        let client = StubClient::new(conn);
        call(&client, "").await.expect("OK");
        let refused = kept.recv().await.expect("kept");
        assert!(!refused.on_end(|_| panic!("called")));
        stream(&client, "").await.expect("OK");
        let refused = kept.recv().await.expect("kept");
        assert!(!refused.on_end(|_| panic!("called")));
        drop(soon(async { client.bidi_streaming().await }).await);
        let refused = kept.recv().await.expect("kept");
        assert!(!refused.on_end(|_| panic!("called")));
        let cancelled = tokio::spawn(async move { client.unary(msg("hang")).await });
        settle().await;
        let refused = kept.recv().await.expect("kept");
        cancelled.abort();
        settle().await;
        assert!(!refused.on_end(|_| panic!("called")));
    }
}
