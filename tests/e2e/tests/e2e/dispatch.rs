//! From a request's path to a handler, and what a handler's panic does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rgrpc::{
    BidiStreamingCall, Code, FileDesc, MethodDesc, RawCodec, RecvStream, RegisterError, Request,
    Response, SendStream, ServiceDesc, Status, UnaryCall,
};
use rgrpc_e2e::{
    STUB_UNARY, StubService, framed, hang, msg, new_server, register_stub, serve, serve_with, soon,
    text,
};
use rgrpc_test_support::{data, grpc_request, message};

#[allow(clippy::ptr_arg, reason = "the service's type")]
async fn text_of(service: &String, _: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    Ok(Response::new(Bytes::from(service.clone())))
}

/// A service whose only method answers with the service's own text.
static OTHER: ServiceDesc<String> = ServiceDesc {
    service_name: "rgrpc.e2e.Other",
    methods: &[MethodDesc {
        method_name: "Get",
        handler: |service, call| call.unary(RawCodec, service, text_of),
    }],
    streams: &[],
    file: FileDesc {
        name: "other.proto",
        descriptor_set: &[],
    },
};

#[test]
fn a_server_lists_its_services_with_their_methods_and_files_by_name() {
    let mut server = new_server();
    assert_eq!(server.services().len(), 0);
    register_stub(&mut server, StubService::new()).expect("the first");
    server
        .register(&OTHER, Arc::new(String::new()))
        .expect("another");
    let listed: Vec<_> = server
        .services()
        .map(|service| {
            let methods = service.methods.iter();
            let methods: Vec<_> = methods
                .map(|method| (method.name, method.client_streams, method.server_streams))
                .collect();
            (service.name, service.file.name, methods)
        })
        .collect();
    assert_eq!(
        listed,
        [
            (
                "rgrpc.e2e.Other",
                "other.proto",
                vec![("Get", false, false)]
            ),
            (
                "rgrpc.e2e.Stub",
                "stub.proto",
                vec![
                    ("Unary", false, false),
                    ("ServerStreaming", false, true),
                    ("ClientStreaming", true, false),
                    ("BidiStreaming", true, true),
                ]
            ),
        ]
    );
}

async fn status_of(path: &'static str) -> Status {
    let server = serve(StubService::echo());
    let conn = server.conn();
    UnaryCall::<_, Bytes, Bytes, _>::new(&conn, RawCodec, path, Request::new(Bytes::new()))
        .await
        .expect_err("nothing is registered there")
}

#[tokio::test(start_paused = true)]
async fn a_method_name_that_cannot_be_sent_is_an_error_of_this_side() {
    for path in ["no/slash/first", "/with a/space", "/line\r\nbreak: x/y"] {
        let status = status_of(path).await;
        assert_eq!(status.code(), Code::Internal, "{path:?}: {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_service_is_unimplemented_and_named() {
    let status = status_of("/rgrpc.e2e.Nothing/Unary").await;
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(status.message(), "unknown service \"rgrpc.e2e.Nothing\"");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_method_is_unimplemented_and_named_with_its_service() {
    let status = status_of("/rgrpc.e2e.Stub/Nothing").await;
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(
        status.message(),
        "unknown method \"Nothing\" for service \"rgrpc.e2e.Stub\""
    );
}

#[tokio::test(start_paused = true)]
async fn a_malformed_path_is_unimplemented_and_shown() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    for (id, path) in (1..).step_by(2).zip(["/", "/Unary", "/?a=b"]) {
        peer.send(grpc_request(id, path).end_stream()).await;
        let response = peer.expect_response(id).await;
        assert_eq!(response.trailers.code, 12, "{path}");
        let text = response.trailers.message;
        assert!(text.starts_with("malformed method name"), "{path}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_double_slash_belongs_to_the_service_name() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, "//rgrpc.e2e.Stub/Unary").end_stream())
        .await;
    let trailers = peer.expect_response(1).await.trailers;
    assert_eq!(trailers.code, 12);
    assert_eq!(trailers.message, "unknown service \"/rgrpc.e2e.Stub\"");
}

#[tokio::test(start_paused = true)]
async fn a_path_without_a_slash_ends_its_stream_alone() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, "rgrpc.e2e.Stub").end_stream())
        .await;
    peer.skip_to("the end of stream 1", |frame| match frame {
        end if end.stream_id() == 1 => Ok(()),
        other => Err(other),
    })
    .await;
    peer.send(grpc_request(3, STUB_UNARY)).await;
    peer.send(data(3, framed("still here")).end_stream()).await;
    assert_eq!(peer.expect_response(3).await.trailers.code, 0);
}

#[tokio::test(start_paused = true)]
async fn services_are_told_apart_by_their_full_names() {
    let mut server = new_server();
    server
        .register(&OTHER, Arc::new("the other".to_owned()))
        .expect("the first of its name");
    let server = serve_with(server, StubService::echo());
    let conn = server.conn();
    let call = UnaryCall::new(&conn, RawCodec, "/rgrpc.e2e.Other/Get", Bytes::new().into());
    let response: Response<Bytes> = call.await.expect("an answer");
    assert_eq!(response.message(), "the other");
    let response = server.client().unary(msg("stub")).await.expect("an answer");
    assert_eq!(text(response.message()), "stub");
}

#[tokio::test(start_paused = true)]
async fn the_unknown_service_handler_has_the_path_and_the_bytes_of_the_call() {
    async fn proxy(
        requests: Request<RecvStream<Bytes>>,
        mut responses: SendStream<Bytes>,
    ) -> Result<(), Status> {
        let method = requests
            .context()
            .expect("in a handler")
            .method()
            .to_owned();
        responses.send(Bytes::from(method)).await?;
        let mut requests = requests.into_message();
        while let Some(message) = requests.recv().await? {
            responses.send(message).await?;
        }
        Err(Status::aborted("enough"))
    }
    let server = new_server().unknown_service_handler(proxy);
    let server = serve_with(server, StubService::echo());
    for path in ["/any.Service/Method", "/rgrpc.e2e.Stub/Nothing", "/x"] {
        let conn = server.conn();
        let call = BidiStreamingCall::<_, Bytes, Bytes, _>::new(&conn, RawCodec, path);
        let (mut requests, mut responses) = call.await.expect("a stream");
        requests.send(Bytes::from("\u{0}raw")).await.expect("sent");
        requests.close();
        assert_eq!(
            responses.recv().await.expect("a message"),
            Some(path.into())
        );
        let echoed = responses.recv().await.expect("a message");
        assert_eq!(echoed, Some("\u{0}raw".into()));
        let status = responses.recv().await.expect_err("the handler's status");
        assert_eq!(status.code(), Code::Aborted);
    }
    // A registered service is not unknown.
    let response = server
        .client()
        .unary(msg("known"))
        .await
        .expect("an answer");
    assert_eq!(text(response.message()), "known");
}

#[test]
fn registering_a_service_twice_is_an_error_and_changes_nothing() {
    let mut server = new_server();
    register_stub(&mut server, StubService::echo()).expect("the first");
    let error = register_stub(&mut server, StubService::new()).expect_err("the second");
    assert_eq!(error, RegisterError::Duplicate("rgrpc.e2e.Stub"));
}

#[tokio::test(start_paused = true)]
async fn registering_a_service_after_serving_began_is_an_error() {
    let mut server = new_server();
    let (listener, _connector) = rgrpc::io::pipe();
    let serving = tokio::spawn(server.serve_listener(listener));
    let error = register_stub(&mut server, StubService::echo()).expect_err("too late");
    assert_eq!(error, RegisterError::Serving("rgrpc.e2e.Stub"));
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_handlers_panic_is_internal_for_that_call_and_for_no_other() {
    let (hanging, mut watch) = hang();
    let service = StubService::echo()
        .server_streaming(|_, _| async { panic!("a test panics {}", "on purpose") })
        .unary(|request| async move {
            if request.message().body.is_empty() {
                panic!("a plain text");
            }
            Ok(Response::new(request.into_message()))
        })
        .client_streaming(move |mut requests| {
            let hanging = hanging.clone();
            async move {
                let first = requests.message_mut().recv().await?;
                if first.is_some() {
                    hanging.forever().await;
                }
                Ok(Response::new(msg("unused")))
            }
        });
    let server = serve(service);
    let client = server.client();
    let mut bystander = client.client_streaming().await.expect("a stream");
    bystander.send(msg("wait")).await.expect("sent");
    watch.begun().await;

    let status = client.unary(msg("")).await.expect_err("a panic");
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "the server's handler panicked");
    let mut responses = client.server_streaming(msg("")).await.expect("a stream");
    let status = soon(responses.recv()).await.expect_err("a panic");
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "the server's handler panicked");

    client
        .unary(msg("alive"))
        .await
        .expect("the connection lives");
    assert!(watch.is_quiet(), "the other call was disturbed");
}

#[tokio::test(start_paused = true)]
async fn a_panic_after_messages_is_internal_in_the_trailers() {
    let service = StubService::new().server_streaming(|_, mut responses| async move {
        responses.send(msg("one")).await?;
        tokio::task::yield_now().await;
        panic!("late");
    });
    let server = serve(service);
    let mut responses = server
        .client()
        .server_streaming(msg(""))
        .await
        .expect("a stream");
    assert_eq!(responses.recv().await.expect("a message"), Some(msg("one")));
    let status = responses.recv().await.expect_err("a panic");
    assert_eq!(status.code(), Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn every_call_of_a_service_has_the_same_implementation() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let service = StubService::new().unary(move |request| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move { Ok(Response::new(request.into_message())) }
    });
    let server = serve(service);
    for _ in 0..3 {
        // A channel of its own each: connections share the service as well.
        server.client().unary(msg("")).await.expect("an answer");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_method_answers_the_raw_bytes_of_its_messages() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("abc")).end_stream()).await;
    let response = peer.expect_response(1).await;
    assert_eq!(response.messages[0].body, framed("abc")[5..]);
    assert_eq!(response.messages[0].flag, 0);
    assert_eq!(message(&response.messages[0].body), framed("abc"));
}
