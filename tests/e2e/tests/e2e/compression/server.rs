//! Compression on a server, mostly with the wire peer as its client.

use rgrpc::{Code, Metadata, Request, Response, Server, Status};
use rgrpc_e2e::{
    Message, STUB_BIDI_STREAMING, STUB_SERVER_STREAMING, STUB_UNARY, StubService, encoded, framed,
    msg, new_server, serve, serve_with,
};
use rgrpc_test_support::{GrpcResponse, Headers, data, grpc_request, message_with};

use super::{Counting, flagged, framed_gzip, gunzipped, gzipped};

const ENCODING: &str = "grpc-encoding";
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// The head of a request for `Unary` in this encoding.
fn encoded_by(encoding: &str) -> Headers {
    grpc_request(1, STUB_UNARY).field(ENCODING, encoding)
}

/// The response of a server with this service to a head and DATA.
async fn answered_by(service: StubService, head: Headers, body: impl AsRef<[u8]>) -> GrpcResponse {
    answered(new_server(), service, head, body).await
}

async fn answered(
    server: Server,
    service: StubService,
    head: Headers,
    body: impl AsRef<[u8]>,
) -> GrpcResponse {
    let server = serve_with(server, service);
    let mut peer = server.wire_client().await;
    peer.send(head).await;
    peer.send(data(1, body).end_stream()).await;
    peer.expect_response(1).await
}

/// The code of what a server that echoes answers.
async fn code(head: Headers, body: impl AsRef<[u8]>) -> (Code, String) {
    let response = answered_by(StubService::echo(), head, body).await;
    let code = Code::from_i32(response.trailers.code as i32);
    (code, response.trailers.message)
}

/// Returns whether the response is one compressed message.
fn is_compressed(response: &GrpcResponse) -> bool {
    assert_eq!(response.trailers.code, 0, "{:?}", response.trailers);
    let [message] = &response.messages[..] else {
        panic!("{} messages", response.messages.len());
    };
    match message.flag {
        0 => assert_eq!(message.body, encoded("hello")),
        _ => assert_eq!(gunzipped(&message.body), encoded("hello")),
    }
    message.flag == 1
}

#[tokio::test(start_paused = true)]
async fn a_compressed_request_is_read_and_answered_alike() {
    let response = answered_by(
        StubService::echo(),
        encoded_by("gzip"),
        framed_gzip("hello"),
    )
    .await;
    assert!(is_compressed(&response));
    assert_eq!(response.headers.get_all(ENCODING), ["gzip"]);
    assert_eq!(response.headers.get(ACCEPT_ENCODING), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_alike_unless_it_says_that_this_is_not_accepted() {
    for (accepted, alike) in [
        (None, true),
        (Some("gzip"), true),
        (Some("identity, deflate,gzip"), true),
        (Some("identity"), false),
        (Some("x-other"), false),
    ] {
        let mut head = encoded_by("gzip");
        if let Some(accepted) = accepted {
            head = head.field(ACCEPT_ENCODING, accepted);
        }
        let response = answered_by(StubService::echo(), head, framed_gzip("hello")).await;
        assert_eq!(is_compressed(&response), alike, "{accepted:?}");
        let encoding = response.headers.get(ENCODING);
        assert_eq!(encoding, alike.then_some("gzip"), "{accepted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_uncompressed_request_has_an_uncompressed_response_for_any_accepted_encodings() {
    for encoding in [None, Some("identity")] {
        let mut head = grpc_request(1, STUB_UNARY).field(ACCEPT_ENCODING, "gzip");
        if let Some(encoding) = encoding {
            head = head.field(ENCODING, encoding);
        }
        let response = answered_by(StubService::echo(), head, framed("hello")).await;
        assert!(!is_compressed(&response));
        assert_eq!(response.headers.get(ENCODING), None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_encoding_is_unimplemented_and_the_answer_says_what_is_known() {
    let server = new_server().compressor(Counting::new("x-counting"));
    let body = flagged(b"whatever this is");
    let response = answered(server, StubService::echo(), encoded_by("br"), body).await;
    assert_eq!(response.trailers.code, Code::Unimplemented.to_i32() as u32);
    for part in ["\"br\"", "identity, gzip, x-counting"] {
        let text = &response.trailers.message;
        assert!(text.contains(part), "{text}");
    }
    let accepted = response.headers.get_all(ACCEPT_ENCODING);
    assert_eq!(accepted, ["identity,gzip,x-counting"]);
}

#[tokio::test(start_paused = true)]
async fn messages_without_the_flag_are_read_as_they_are_in_a_compressed_request() {
    let response = answered_by(StubService::echo(), encoded_by("gzip"), framed("hello")).await;
    assert!(is_compressed(&response));

    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    let head = grpc_request(1, STUB_BIDI_STREAMING).field(ENCODING, "gzip");
    peer.send(head).await;
    let body = [framed("one"), framed_gzip("two"), framed("three")].concat();
    peer.send(data(1, body).end_stream()).await;
    let response = peer.expect_response(1).await;
    let bodies: Vec<_> = response
        .messages
        .iter()
        .map(|message| gunzipped(&message.body))
        .collect();
    assert_eq!(bodies, ["one", "two", "three"].map(encoded));
}

#[tokio::test(start_paused = true)]
async fn the_flag_without_an_encoding_is_internal() {
    for head in [grpc_request(1, STUB_UNARY), encoded_by("identity")] {
        let (code, text) = code(head, framed_gzip("hello")).await;
        assert_eq!(code, Code::Internal);
        assert!(text.contains("no grpc-encoding"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_data_is_internal_and_the_text_says_how() {
    let good = gzipped("hello");
    let mut bad_checksum = good.clone();
    let at = bad_checksum.len() - 8;
    bad_checksum[at] ^= 1;
    for (data, expected) in [
        (bad_checksum, "checksum"),
        (good[..10].to_vec(), "by gzip"),
        ([&good[..], b"garbage"].concat(), "follows the end"),
        (b"no gzip at all".to_vec(), "header"),
        (Vec::new(), "by gzip"),
    ] {
        let (code, text) = code(encoded_by("gzip"), flagged(&data)).await;
        assert_eq!(code, Code::Internal, "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_length_over_the_limit_is_refused_before_the_body_comes() {
    let server = new_server().max_receive_message_size(100);
    let server = serve_with(server, StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(encoded_by("gzip")).await;
    peer.send(data(1, message_with(1, 101, ""))).await;
    let response = peer.expect_response(1).await;
    let trailers = response.trailers;
    assert_eq!(trailers.code, Code::ResourceExhausted.to_i32() as u32);
    assert!(trailers.message.contains("(101 vs. 100)"), "{trailers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_decompressed_length_over_the_limit_is_refused() {
    // The body, its tag and its length.
    for (len, fits) in [(1_000 - 3, true), (1_000 - 2, false), (100_000, false)] {
        let response = answered(
            new_server().max_receive_message_size(1_000),
            StubService::new().unary(async |_| Ok(Response::new(msg("hello")))),
            encoded_by("gzip"),
            framed_gzip(vec![0; len]),
        )
        .await;
        if fits {
            assert!(is_compressed(&response));
            continue;
        }
        let trailers = response.trailers;
        assert_eq!(trailers.code, Code::ResourceExhausted.to_i32() as u32);
        assert!(
            trailers.message.contains("(at least 1001 vs. 1000)"),
            "{trailers:?}"
        );
    }
}

/// A service that says `hello` compressed by what its method finds in the request, and fails as
/// choosing that does.
fn choosing() -> StubService {
    fn choose(request: &Request<Message>) -> Result<(), Status> {
        let name = String::from_utf8_lossy(&request.message().body).into_owned();
        request.set_send_compressor(&name)
    }
    StubService::new()
        .unary(async |request| {
            choose(&request)?;
            Ok(Response::new(msg("hello")))
        })
        .server_streaming(async |request, mut responses| {
            choose(&request)?;
            responses.send(msg("hello")).await
        })
}

#[tokio::test(start_paused = true)]
async fn a_handler_chooses_what_compresses_its_response() {
    for method in [STUB_UNARY, STUB_SERVER_STREAMING] {
        for (requested, chosen, encoding, compressed) in [
            (None, "gzip", "gzip", true),
            (Some("gzip"), "x-counting", "x-counting", true),
            (Some("gzip"), "identity", "identity", false),
            (None, "identity", "identity", false),
        ] {
            let mut head = grpc_request(1, method).field(ACCEPT_ENCODING, "gzip,x-counting");
            if let Some(requested) = requested {
                head = head.field(ENCODING, requested);
            }
            let server = new_server().compressor(Counting::new("x-counting"));
            let response = answered(server, choosing(), head, framed(chosen)).await;
            assert_eq!(is_compressed(&response), compressed, "{chosen}");
            assert_eq!(response.headers.get_all(ENCODING), [encoding]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_cannot_choose_a_compressor_that_server_or_client_lacks() {
    for (chosen, expected) in [
        ("x-unknown", "no compressor \"x-unknown\""),
        ("gzip", "does not accept responses compressed by \"gzip\""),
    ] {
        let head = grpc_request(1, STUB_UNARY).field(ACCEPT_ENCODING, "x-unknown");
        let response = answered_by(choosing(), head, framed(chosen)).await;
        let trailers = response.trailers;
        assert_eq!(trailers.code, Code::Internal.to_i32() as u32);
        assert!(trailers.message.contains(expected), "{trailers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_choice_comes_too_late_after_the_headers_or_a_compressed_message() {
    fn late(request: &Request<Message>) {
        let error = request.set_send_compressor("identity");
        let error = error.expect_err("too late");
        assert_eq!(error.code(), Code::Internal);
    }
    let service = StubService::new()
        .unary(async |request| {
            request.send_header(Metadata::new())?;
            late(&request);
            Ok(Response::new(msg("hello")))
        })
        .server_streaming(async |request, mut responses| {
            responses.send(msg("hello")).await?;
            late(&request);
            Ok(())
        });
    let server = serve(service);
    let mut peer = server.wire_client().await;
    for (id, method) in [(1, STUB_UNARY), (3, STUB_SERVER_STREAMING)] {
        peer.send(grpc_request(id, method).field(ENCODING, "gzip"))
            .await;
        peer.send(data(id, framed_gzip("")).end_stream()).await;
        let response = peer.expect_response(id).await;
        assert!(is_compressed(&response));
        assert_eq!(response.headers.get_all(ENCODING), ["gzip"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_what_the_client_accepts() {
    for (fields, expected) in [
        (&[][..], ""),
        (&["identity, deflate,gzip"], "identity deflate gzip"),
        (&["a", "b,c"], "a b c"),
    ] {
        let service = StubService::new().unary(async |request| {
            let accepted = request.client_supported_compressors();
            Ok(Response::new(msg(accepted.join(" "))))
        });
        let mut head = grpc_request(1, STUB_UNARY);
        for field in fields {
            head = head.field(ACCEPT_ENCODING, field);
        }
        let response = answered_by(service, head, framed("")).await;
        assert_eq!(response.messages[0].body, encoded(expected), "{fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn empty_responses_are_not_compressed() {
    let service = StubService::new().unary(async |_| Ok(Response::new(msg(""))));
    let response = answered_by(service, encoded_by("gzip"), framed_gzip("hello")).await;
    assert_eq!(response.trailers.code, 0);
    assert_eq!(response.messages.len(), 1);
    assert_eq!(
        (response.messages[0].flag, response.messages[0].body.len()),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_response_without_messages_names_no_encoding() {
    let service = StubService::new().unary(async |_| Err(Status::not_found("nothing")));
    let response = answered_by(service, encoded_by("gzip"), framed_gzip("hello")).await;
    assert_eq!(response.trailers.code, Code::NotFound.to_i32() as u32);
    assert_eq!(response.headers.get(ENCODING), None);
}
