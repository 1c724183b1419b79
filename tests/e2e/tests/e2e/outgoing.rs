//! Calls that a handler makes on behalf of its own call.

use std::time::Duration;

use rgrpc::{Code, Request, Response, Status};
use rgrpc_e2e::{StubService, TestServer, hang, msg, serve, soon, text, unary};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

/// A server whose unary method passes the call on to `backend`.
fn front(backend: &TestServer) -> TestServer {
    let client = backend.client();
    serve(StubService::new().unary(move |request| {
        let client = client.clone();
        async move {
            let outgoing = request.outgoing(request.message().clone());
            client.unary(outgoing).await
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_passed_on() {
    let (tell, mut told) = unbounded_channel();
    let backend = serve(StubService::new().unary(move |request| {
        tell.send(request.deadline()).expect("the test lives");
        async move { Ok(Response::new(request.into_message())) }
    }));
    let front = front(&backend);
    let client = front.client();
    let deadline = Instant::now() + Duration::from_secs(10);
    client.unary(msg("")).deadline(deadline).await.expect("OK");
    let passed_on = soon(told.recv()).await.expect("told").expect("a deadline");
    assert_eq!(passed_on, deadline);
    client.unary(msg("")).await.expect("OK");
    assert_eq!(soon(told.recv()).await, Some(None));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_deadline_of_the_handlers_own_holds() {
    let (service, mut watch) = StubService::hanging();
    let backend = serve(service);
    let client = backend.client();
    let front = serve(StubService::new().unary(move |request| {
        let client = client.clone();
        async move {
            let outgoing = request
                .outgoing(msg(""))
                .with_timeout(Duration::from_millis(1));
            let status = client.unary(outgoing).await.expect_err("too late");
            assert_eq!(status.code(), Code::DeadlineExceeded);
            Ok(Response::new(msg("gave up")))
        }
    }));
    let client = front.client();
    let call = client.unary(msg("")).timeout(Duration::from_secs(10));
    let response = soon(async { call.await }).await.expect("OK");
    assert_eq!(text(response.message()), "gave up");
    watch.begun().await;
    watch.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn cancellation_is_passed_on() {
    let (service, mut watch) = StubService::hanging();
    let backend = serve(service);
    let front = front(&backend);
    let client = front.client();
    let call = unary(&client, "");
    watch.begun().await;
    call.abort();
    watch.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlives_its_handler_ends_with_the_handlers_call() {
    let (service, mut watch) = StubService::hanging();
    let backend = serve(service);
    let (tell, mut told) = unbounded_channel();
    let client = backend.client();
    let front = serve(StubService::new().unary(move |request| {
        let client = client.clone();
        let tell = tell.clone();
        async move {
            let outgoing = request.outgoing(msg(""));
            let spawned = tokio::spawn(async move { client.unary(outgoing).await });
            tokio::spawn(async move {
                let _ = tell.send(spawned.await.expect("no panic"));
            });
            // Long enough for the call to begin.
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Response::new(msg("done")))
        }
    }));
    front.client().unary(msg("")).await.expect("OK");
    watch.begun().await;
    watch.dropped().await;
    let status = soon(told.recv()).await.expect("told").expect_err("ended");
    assert_eq!(status.code(), Code::Cancelled, "{status}");
}

#[tokio::test(start_paused = true)]
async fn streams_are_bound_to_the_handlers_call_as_well() {
    let (service, mut watch) = StubService::hanging();
    let backend = serve(service);
    let client = backend.client();
    let front = serve(StubService::new().unary(move |request| {
        let client = client.clone();
        async move {
            let call = client.bidi_streaming().on_behalf_of(request.outgoing(()));
            let halves = call.await?;
            // They outlive the handler.
            tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(halves);
            });
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Response::new(msg("")))
        }
    }));
    front.client().unary(msg("")).await.expect("OK");
    watch.begun().await;
    watch.dropped().await;
}

#[tokio::test(start_paused = true)]
async fn trace_context_is_passed_on_and_no_other_metadata() {
    let (tell, mut told) = unbounded_channel();
    let backend = serve(StubService::new().unary(move |request| {
        let keys = request.metadata().iter();
        let keys: Vec<_> = keys
            .map(|(key, value)| (key.to_owned(), value.to_vec()))
            .filter(|(key, _)| key.contains("trace") || key.starts_with("x-"))
            .collect();
        tell.send(keys).expect("the test lives");
        async move { Ok(Response::new(request.into_message())) }
    }));
    let front = front(&backend);
    front
        .client()
        .unary(msg(""))
        .metadata("traceparent", "00-abc-def-01")
        .metadata("tracestate", "vendor=1")
        .metadata("grpc-trace-bin", vec![0, 255])
        .metadata("x-secret", "stays")
        .await
        .expect("OK");
    assert_eq!(
        soon(told.recv()).await.expect("told"),
        [
            ("traceparent".to_owned(), b"00-abc-def-01".to_vec()),
            ("tracestate".to_owned(), b"vendor=1".to_vec()),
            ("grpc-trace-bin".to_owned(), vec![0, 255]),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_on_as_it_came_is_bound_to_its_call_too() {
    let (hang, mut watch) = hang();
    let backend = serve(StubService::new().unary(move |request| {
        assert!(request.deadline().is_some());
        let hang = hang.clone();
        async move { match hang.forever().await {} }
    }));
    let client = backend.client();
    let front = serve(StubService::new().unary(move |request| {
        let client = client.clone();
        async move { client.unary(request).await }
    }));
    let client = front.client();
    let request = Request::new(msg("")).with_timeout(Duration::from_secs(1));
    let call = tokio::spawn(async move { client.unary(request).await });
    watch.begun().await;
    let status: Status = soon(call).await.expect("no panic").expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    watch.dropped().await;
}
