//! Codecs: bytes as they are, and one of the user's own with its content-subtype.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use rgrpc::{
    BidiStreamingCall, Code, Codec, CodecError, FileDesc, MessageBuffer, MessageBytes, MethodDesc,
    RawCodec, Request, Response, ServiceDesc, Status, UnaryCall,
};
use rgrpc_e2e::{
    STUB_BIDI_STREAMING, STUB_UNARY, StubService, TestServer, encoded, framed, msg, new_server,
    scripted, serve, serve_with, soon,
};
use rgrpc_test_support::{data, grpc_request, message};

/// Text, read and written in upper case, so that it shows who went through it; "?" is no text.
#[derive(Clone, Copy, Debug)]
struct Shouting;

impl Codec<String> for Shouting {
    const NAME: &'static str = "shout";

    fn encoded_len(_: &String) -> usize {
        // A guess does.
        1
    }

    fn encode(text: &String, buffer: &mut MessageBuffer) -> Result<(), CodecError> {
        if text == "?" {
            return Err(CodecError::new("a question cannot be shouted"));
        }
        buffer.put_slice(text.to_uppercase().as_bytes());
        Ok(())
    }

    fn decode(mut bytes: MessageBytes) -> Result<String, CodecError> {
        let text = bytes.copy_to_bytes(bytes.remaining());
        if text == "?" {
            return Err(CodecError::new("a question cannot be heard"));
        }
        String::from_utf8(text.to_vec()).map_err(CodecError::new)
    }
}

async fn heard(_: &(), request: Request<String>) -> Result<Response<String>, Status> {
    Ok(Response::new(format!("heard {}", request.message())))
}

static CHOIR: ServiceDesc<()> = ServiceDesc {
    service_name: "choir.Choir",
    methods: &[MethodDesc {
        method_name: "Sing",
        handler: |service, call| call.unary(Shouting, service, heard),
    }],
    streams: &[],
    file: FileDesc {
        name: "choir.proto",
        descriptor_set: &[],
    },
};

const SING: &str = "/choir.Choir/Sing";

fn choir() -> TestServer {
    let mut server = new_server();
    server.register(&CHOIR, Arc::new(())).expect("the first");
    serve_with(server, StubService::echo())
}

async fn sing(server: &TestServer, text: &str) -> Result<Response<String>, Status> {
    let conn = server.conn();
    let request = Request::new(text.to_owned());
    soon(async { UnaryCall::new(&conn, Shouting, SING, request).await }).await
}

#[tokio::test(start_paused = true)]
async fn a_codec_of_the_users_own_reads_and_writes_all_messages() {
    let response = sing(&choir(), "la").await.expect("OK");
    assert_eq!(response.message(), "HEARD LA");
}

#[tokio::test(start_paused = true)]
async fn a_codecs_name_is_the_content_subtype_of_its_requests() {
    let (conn, mut server) = scripted();
    let call = tokio::spawn(async move {
        let request = Request::new("la".to_owned());
        let call: UnaryCall<'_, _, String, String, _> =
            UnaryCall::new(&conn, Shouting, SING, request);
        call.await
    });
    let request = server.accept().await.expect_request(1).await;
    assert_eq!(
        request.headers.get_all("content-type"),
        ["application/grpc+shout"]
    );
    assert_eq!(request.messages[0].body, "LA");
    call.abort();
}

#[tokio::test(start_paused = true)]
async fn a_response_has_the_content_type_of_its_request() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    for (id, sent, answered) in [
        (1, "application/grpc", "application/grpc"),
        (3, "application/grpc+proto", "application/grpc+proto"),
        (
            5,
            "application/grpc+unheard-of",
            "application/grpc+unheard-of",
        ),
        (7, "application/grpc;a=b", "application/grpc"),
    ] {
        let mut head = rgrpc_test_support::headers(id)
            .method("POST")
            .scheme("http");
        head = head
            .path(STUB_UNARY)
            .authority("a")
            .field("content-type", sent);
        peer.send(head.end_headers()).await;
        peer.send(data(id, framed("")).end_stream()).await;
        let response = peer.expect_response(id).await;
        assert_eq!(response.headers.get("content-type"), Some(answered));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_encoded_is_internal_and_not_sent() {
    let (conn, mut server) = scripted();
    let warm = tokio::spawn({
        let conn = conn.clone();
        async move { BidiStreamingCall::<_, Bytes, Bytes, _>::new(&conn, RawCodec, "/a/b").await }
    });
    let mut peer = server.accept().await;
    peer.expect_headers(1).await;
    let _stream = soon(warm).await.expect("no panic").expect("a stream");

    let request = Request::new("?".to_owned());
    let call: UnaryCall<'_, _, String, String, _> = UnaryCall::new(&conn, Shouting, SING, request);
    let status = soon(async { call.await }).await.expect_err("a question");
    assert_eq!(status.code(), Code::Internal);
    assert!(
        status.message().contains("a question cannot be shouted"),
        "{status}"
    );
    peer.assert_silent_until_ping().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_decoded_is_internal() {
    let server = choir();
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, SING)).await;
    peer.send(data(1, message("?")).end_stream()).await;
    let trailers = peer.expect_response(1).await.trailers;
    assert_eq!(trailers.code, 13);
    assert!(
        trailers.message.contains("a question cannot be heard"),
        "{}",
        trailers.message
    );
}

#[tokio::test(start_paused = true)]
async fn the_raw_codec_carries_bytes_as_they_are() {
    let server = serve(StubService::echo());
    let conn = server.conn();
    let call = BidiStreamingCall::<_, Bytes, Bytes, _>::new(&conn, RawCodec, STUB_BIDI_STREAMING);
    let (mut requests, mut responses) = call.await.expect("a stream");
    requests
        .send(Bytes::from(encoded("in proto")))
        .await
        .expect("sent");
    requests.close();
    let echoed = soon(responses.recv())
        .await
        .expect("OK")
        .expect("a message");
    assert_eq!(echoed, encoded("in proto"));
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
    server.client().unary(msg("")).await.expect("OK");
}
