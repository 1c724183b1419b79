//! A client that takes small header lists only (SETTINGS_MAX_HEADER_LIST_SIZE) is told the code of
//! a failure all the same. A request that is larger than the server takes is not sent.
//!
//! Source: RFC 9113, section 6.5.2. grpc-go resets the stream with INTERNAL_ERROR instead, which
//! loses the code.

use std::sync::Arc;

use rgrpc::stats::{CallBegin, CallEvent, CallStats, StatsHandler};
use rgrpc::{Code, Metadata, Request, Response, Status};
use rgrpc_e2e::{
    Message, STUB_BIDI_STREAMING, STUB_SERVER_STREAMING, STUB_UNARY, StubClient, StubService,
    TestServer, answer, framed, msg, new_server, scripted, serve, serve_with, soon,
};
use rgrpc_test_support::{
    ErrorCode, GrpcResponse, WirePeer, data, grpc_request, headers, message_with, settings,
};
use tokio::sync::mpsc;

/// The size of the fields of a response without messages, besides the status: `:status`,
/// `content-type` and a `grpc-status` of two digits.
const TRAILERS_ONLY: u32 = 42 + 60 + 45;

/// The size of a `grpc-message` besides the text.
const TEXT: u32 = 44;

/// A client's connection with this limit.
async fn client(server: &TestServer, limit: u32) -> WirePeer {
    let settings = settings().max_header_list_size(limit);
    server.wire_client_with(settings).await
}

async fn respond(service: StubService, path: &str, limit: u32) -> GrpcResponse {
    let server = serve(service);
    let mut peer = client(&server, limit).await;
    call(&mut peer, path, limit).await
}

async fn call(peer: &mut WirePeer, path: &str, limit: u32) -> GrpcResponse {
    peer.send(grpc_request(1, path)).await;
    peer.send(data(1, framed("")).end_stream()).await;
    let response = peer.expect_response(1).await;
    for fields in [response.headers.fields(), &response.trailers.fields] {
        let octets = fields
            .iter()
            .map(|(name, value)| name.len() + value.len() + 32);
        assert!(octets.sum::<usize>() <= limit as usize, "{fields}");
    }
    response
}

fn pairs(len: usize) -> Metadata {
    Metadata::from_pairs([("x-key", "v".repeat(len))]).expect("valid")
}

/// A failure with a text of this length, 300 octets of details and 200 of metadata.
fn failure(text: usize) -> Status {
    Status::data_loss("t".repeat(text))
        .with_details(vec![7; 300])
        .with_metadata(pairs(200))
}

/// Fails so without a message, and after one.
fn failing(status: Status) -> StubService {
    let after_one = status.clone();
    StubService::new()
        .unary(move |_| {
            let status = status.clone();
            async move { Err(status) }
        })
        .server_streaming(move |_, mut responses| {
            let status = after_one.clone();
            async move {
                responses.send(msg("one")).await?;
                Err(status)
            }
        })
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shortened_in_order_and_keeps_its_code() {
    for (text, limit, kept_text, details, metadata) in [
        (5_000, 10_000, 5_000, true, true),
        (5_000, 2_000, 1_024, true, true),
        (5_000, 1_500, 1_024, false, true),
        (5_000, 1_250, 1_024, false, false),
        (
            5_000,
            500,
            (500 - TRAILERS_ONLY - TEXT) as usize,
            false,
            false,
        ),
        (10, 500, 10, false, true),
        (10, TRAILERS_ONLY + TEXT + 10, 10, false, false),
        (10, TRAILERS_ONLY, 0, false, false),
    ] {
        let response = respond(failing(failure(text)), STUB_UNARY, limit).await;
        let trailers = response.trailers;
        assert_eq!(trailers.code, 15, "{limit}");
        assert_eq!(trailers.message.len(), kept_text, "{limit}");
        assert_eq!(trailers.fields.contains("grpc-status-details-bin"), details);
        assert_eq!(trailers.fields.contains("x-key"), metadata, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_messages_is_shortened_too() {
    // The headers count 102.
    for (limit, kept_text) in [(500, 500 - 45 - TEXT), (110, 110 - 45 - TEXT), (102, 0)] {
        let response = respond(failing(failure(5_000)), STUB_SERVER_STREAMING, limit).await;
        assert_eq!(response.messages.len(), 1);
        assert_eq!(response.trailers.code, 15);
        let message = response.trailers.message;
        assert_eq!(message.len(), kept_text as usize);
        assert_eq!(message.ends_with("... (shortened)"), kept_text > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_code_has_its_stream_reset() {
    let server = serve(failing(failure(10)));
    let mut peer = client(&server, TRAILERS_ONLY - 1).await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("")).end_stream()).await;
    peer.expect_rst(1, ErrorCode::INTERNAL_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_answered_in_short_too() {
    let server = serve(StubService::echo());
    let mut peer = client(&server, TRAILERS_ONLY).await;
    let unknown = grpc_request(1, "/no.Service/Method").end_stream();
    let no_grpc = headers(3)
        .method("POST")
        .scheme("http")
        .path(STUB_UNARY)
        .authority("localhost")
        .end_headers()
        .end_stream();
    for (id, request, code) in [(1, unknown, 12), (3, no_grpc, 3)] {
        peer.send(request).await;
        let response = peer.expect_response(id).await;
        assert_eq!(response.trailers.code, code);
        assert_eq!(response.trailers.message, "");
    }
}

fn expect_too_large(response: &GrpcResponse, what: &str, limit: u32) {
    let trailers = &response.trailers;
    assert_eq!(trailers.code, 13, "{}", trailers.message);
    let text = &trailers.message;
    let limit = format!("SETTINGS_MAX_HEADER_LIST_SIZE = {limit}");
    assert!(text.contains(what) && text.contains(&limit), "{text}");
    assert!(!trailers.fields.contains("x-key"));
}

#[tokio::test(start_paused = true)]
async fn a_response_whose_headers_are_too_large_is_internal() {
    let service = StubService::new().unary(|request: Request<Message>| async move {
        request.send_header(pairs(500))?;
        Ok(Response::new(msg("")))
    });
    let response = respond(service, STUB_UNARY, 500).await;
    expect_too_large(&response, "headers", 500);
    assert!(response.headers.end_stream && response.messages.is_empty());

    let service = StubService::new().unary(|_| async {
        let mut response = Response::new(msg(""));
        *response.metadata_mut() = pairs(500);
        Ok(response)
    });
    let response = respond(service, STUB_UNARY, 500).await;
    expect_too_large(&response, "headers", 500);
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_its_code_when_the_headers_before_it_are_too_large() {
    let service = StubService::new().unary(|request: Request<Message>| async move {
        request.set_header(pairs(500))?;
        Err(Status::not_found("gone"))
    });
    let response = respond(service, STUB_UNARY, 500).await;
    assert_eq!(response.trailers.code, 5);
    assert_eq!(response.trailers.message, "gone");
}

#[tokio::test(start_paused = true)]
async fn a_success_whose_trailers_are_too_large_is_internal() {
    let service = StubService::new()
        .unary(|_| async {
            let mut response = Response::new(msg(""));
            *response.trailer_mut() = pairs(500);
            Ok(response)
        })
        .server_streaming(|request, mut responses| async move {
            request.set_trailer(pairs(500));
            responses.send(msg("one")).await?;
            Ok(())
        });
    let server = serve(service);
    for (path, messages) in [(STUB_UNARY, 0), (STUB_SERVER_STREAMING, 1)] {
        let mut peer = client(&server, 500).await;
        let response = call(&mut peer, path, 500).await;
        expect_too_large(&response, "trailers", 500);
        assert_eq!(response.messages.len(), messages);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_headers_are_too_large_ends_and_its_halves_are_told() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let service = StubService::new().bidi_streaming(move |requests, mut responses| {
        let tell = tell.clone();
        async move {
            let context = requests.context().expect("a call's").clone();
            requests.send_header(pairs(500))?;
            tokio::spawn(async move {
                while responses.send(msg("one")).await.is_ok() {
                    tokio::task::yield_now().await;
                }
                let status = responses.send(msg("one")).await.expect_err("closed");
                let _ = tell.send((status, context.cancel_reason()));
            });
            std::future::pending().await
        }
    });
    let server = serve(service);
    let mut peer = client(&server, 500).await;
    peer.send(grpc_request(1, STUB_BIDI_STREAMING)).await;
    peer.send(data(1, message_with(0, 0, ""))).await;
    let response = peer.expect_response(1).await;
    expect_too_large(&response, "headers", 500);
    peer.expect_rst(1, ErrorCode::NO_ERROR).await;
    let (status, reason) = soon(told.recv()).await.expect("told");
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(reason, Some(rgrpc::CancelReason::HeadersTooLarge));
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_headers_are_too_large_is_internal_and_names_the_servers_limit() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let call = |size: usize| {
        let client = client.clone();
        tokio::spawn(async move {
            let call = client.unary(msg("")).metadata("x-key", "v".repeat(size));
            call.await
        })
    };
    let first = call(1);
    let limit = settings().max_header_list_size(500);
    let mut peer = server.accept_with(limit).await;
    peer.expect_request(1).await;
    answer(&mut peer, 1, "").await;
    soon(first).await.expect("no panic").expect("OK");
    let status = soon(call(500)).await.expect("no panic");
    let status = status.expect_err("too large");
    assert_eq!(status.code(), Code::Internal);
    let text = status.message();
    let end = "octets and the server takes SETTINGS_MAX_HEADER_LIST_SIZE = 500";
    assert!(text.ends_with(end), "{text}");
    peer.assert_silent_until_ping().await;
}

/// Sends the events that follow a call's request, with the code of its end.
#[derive(Clone)]
struct Sent(mpsc::UnboundedSender<String>);

impl StatsHandler for Sent {
    fn begin_call(&self, _: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        Some(Arc::new(self.clone()))
    }
}

impl CallStats for Sent {
    fn event(&self, event: &CallEvent<'_>) {
        let text = match event {
            CallEvent::OutHeader(_) => "header".to_owned(),
            CallEvent::OutPayload(_) => "payload".to_owned(),
            CallEvent::OutTrailer(trailer) => format!("trailer {}", trailer.len()),
            CallEvent::End(outcome) => format!("end {}", outcome.code()),
            _ => return,
        };
        let _ = self.0.send(text);
    }
}

#[tokio::test(start_paused = true)]
async fn stats_handlers_are_told_what_is_sent_instead_of_a_response_that_is_too_large() {
    #[derive(Clone, Copy, Debug)]
    enum Large {
        Nothing,
        SentHeader,
        Header,
        Trailer,
        HeaderOfFailure,
    }
    for (large, expected) in [
        (
            Large::Nothing,
            &["header", "payload", "trailer 0", "end OK"][..],
        ),
        (Large::SentHeader, &["end INTERNAL"]),
        (Large::Header, &["trailer 0", "end INTERNAL"]),
        (Large::Trailer, &["trailer 0", "end INTERNAL"]),
        (Large::HeaderOfFailure, &["trailer 0", "end NOT_FOUND"]),
    ] {
        let service = StubService::new().unary(move |request: Request<Message>| async move {
            let mut response = Response::new(msg(""));
            match large {
                Large::Nothing => {}
                Large::SentHeader => request.send_header(pairs(500))?,
                Large::Header => *response.metadata_mut() = pairs(500),
                Large::Trailer => *response.trailer_mut() = pairs(500),
                Large::HeaderOfFailure => {
                    request.set_header(pairs(500))?;
                    return Err(Status::not_found("gone"));
                }
            }
            Ok(response)
        });
        let (sender, mut events) = mpsc::unbounded_channel();
        let server = serve_with(new_server().stats_handler(Sent(sender)), service);
        let mut peer = client(&server, 500).await;
        let response = call(&mut peer, STUB_UNARY, 500).await;
        let mut told = Vec::new();
        while let Ok(event) = events.try_recv() {
            told.push(event);
        }
        assert_eq!(told, expected, "{large:?}");
        let code = told
            .last()
            .and_then(|end| end.strip_prefix("end "))
            .expect("an end");
        assert_eq!(
            Code::from_i32(response.trailers.code as i32).to_string(),
            code,
            "{large:?}"
        );
    }
}
