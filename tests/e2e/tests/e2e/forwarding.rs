//! A service between a client and an upstream: what of either passes through it.
//!
//! Source: grpc-go, in which a status that is returned carries no trailers, and incoming metadata
//! is not outgoing metadata.

use rgrpc::{Code, Metadata, Request, Response, Status};
use rgrpc_e2e::{Message, StubClient, StubService, TestServer, msg, serve, text};

const PRIVATE: [(&str, &str); 3] = [
    ("authorization", "Bearer secret"),
    ("x-upstream", "internal"),
    ("grpc-retry-pushback-ms", "86400000"),
];

fn metadata(pairs: &[(&'static str, &'static str)]) -> Metadata {
    Metadata::from_pairs(pairs.iter().copied()).expect("valid")
}

/// An upstream that shows the keys that it was sent, or fails where the request says so; with
/// metadata of its own either way.
fn upstream() -> TestServer {
    serve(
        StubService::new()
            .unary(async |request| {
                request.set_header(metadata(&PRIVATE[1..]))?;
                if text(request.message()) == "fail" {
                    return Err(Status::not_found("no such thing")
                        .with_details(&b"details"[..])
                        .with_metadata(metadata(&PRIVATE)));
                }
                request.set_trailer(metadata(&PRIVATE));
                Ok(Response::new(msg(shown(request.metadata()))))
            })
            .client_streaming(async |requests| Ok(Response::new(msg(shown(requests.metadata()))))),
    )
}

/// The keys and values that are not the protocol's.
fn shown(metadata: &Metadata) -> String {
    let protocol = [
        ":authority",
        "user-agent",
        "content-type",
        "grpc-accept-encoding",
    ];
    let pairs = metadata.iter().filter(|(key, _)| !protocol.contains(key));
    let pairs = pairs.map(|(key, value)| format!("{key}={}", String::from_utf8_lossy(value)));
    pairs.collect::<Vec<_>>().join(",")
}

/// A service whose unary method does this with its upstream.
fn gateway<F, Fut>(upstream: &TestServer, handler: F) -> TestServer
where
    F: Fn(StubClient, Request<Message>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Message>, Status>> + Send + 'static,
{
    let client = upstream.client();
    serve(StubService::new().unary(move |request| handler(client.clone(), request)))
}

fn request(body: &'static str) -> Request<Message> {
    Request::new(msg(body))
        .with_metadata("authorization", "Bearer secret")
        .and_then(|request| request.with_metadata("x-locale", "tlh"))
        .and_then(|request| request.with_metadata("traceparent", "00-1-2-01"))
        .expect("valid")
}

#[tokio::test(start_paused = true)]
async fn an_upstreams_failure_passes_with_its_code_text_and_details_and_without_its_trailers() {
    let upstream = upstream();
    let server = gateway(&upstream, async |upstream, request| {
        let response = upstream.unary(request.into_message()).await?;
        Ok(response)
    });
    let status = server
        .client()
        .unary(msg("fail"))
        .await
        .expect_err("it fails");
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "no such thing");
    assert_eq!(status.details(), b"details");
    assert_eq!(shown(status.metadata()), "");
}

#[tokio::test(start_paused = true)]
async fn trailers_of_an_upstreams_failure_pass_when_they_are_forwarded() {
    let upstream = upstream();
    let server = gateway(&upstream, async |upstream, request| {
        let mut status = match upstream.unary(request.message().clone()).await {
            Ok(response) => return Ok(response),
            Err(status) => status,
        };
        assert_eq!(status.metadata().get("x-upstream"), Some("internal"));
        status.metadata_mut().forward("x-upstream");
        status
            .metadata_mut()
            .append("x-gateway", "own")
            .map_err(|error| Status::internal(error.to_string()))?;
        Err(status)
    });
    let status = server
        .client()
        .unary(msg("fail"))
        .await
        .expect_err("it fails");
    assert_eq!(
        shown(status.metadata()),
        "x-upstream=internal,x-gateway=own"
    );
}

#[tokio::test(start_paused = true)]
async fn an_upstreams_response_passes_without_its_metadata() {
    let upstream = upstream();
    let server = gateway(&upstream, async |upstream, request| {
        let mut response = upstream.unary(request.into_message()).await?;
        assert_eq!(response.metadata().get("x-upstream"), Some("internal"));
        assert_eq!(response.trailer().get("x-upstream"), Some("internal"));
        if text(response.message()).is_empty() {
            return Ok(response);
        }
        response.metadata_mut().forward_all();
        response.trailer_mut().forward("authorization");
        Ok(response)
    });
    let client = server.client();
    let response = client.unary(msg("")).await.expect("OK");
    assert_eq!(shown(response.metadata()), "");
    assert_eq!(shown(response.trailer()), "");
}

#[tokio::test(start_paused = true)]
async fn an_upstreams_metadata_passes_when_it_is_forwarded() {
    let upstream = upstream();
    let server = gateway(&upstream, async |upstream, request| {
        let mut response = upstream.unary(request.into_message()).await?;
        response.metadata_mut().forward_all();
        response.trailer_mut().forward("authorization");
        Ok(response)
    });
    let response = server.client().unary(msg("")).await.expect("OK");
    assert_eq!(
        shown(response.metadata()),
        "x-upstream=internal,grpc-retry-pushback-ms=86400000"
    );
    assert_eq!(shown(response.trailer()), "authorization=Bearer secret");
}

#[tokio::test(start_paused = true)]
async fn a_received_request_that_is_given_to_a_stub_passes_its_trace_and_what_was_added() {
    let upstream = upstream();
    let server = gateway(&upstream, async |upstream, mut request| {
        let mode = text(request.message()).to_owned();
        match &*mode {
            "add" => request = request.with_metadata("x-added", "1").expect("valid"),
            "forward" => {
                request.metadata_mut().forward("x-locale");
            }
            "all" => request.metadata_mut().forward_all(),
            "clone" => {
                let received = request.metadata().clone();
                let call = upstream.unary(msg("")).merge_metadata(received);
                return call.await;
            }
            "outgoing" => return upstream.unary(request.outgoing(msg(""))).await,
            "stream" => {
                let call = upstream.client_streaming();
                let call = call.on_behalf_of(request.map(drop)).await?;
                return call.close_and_recv().await;
            }
            _ => {}
        }
        upstream.unary(request.map(|_| msg(""))).await
    });
    let client = server.client();
    let trace = "traceparent=00-1-2-01";
    for (mode, passed) in [
        ("", trace.to_owned()),
        ("add", format!("{trace},x-added=1")),
        ("forward", format!("x-locale=tlh,{trace}")),
        (
            "all",
            format!("authorization=Bearer secret,x-locale=tlh,{trace}"),
        ),
        ("clone", String::new()),
        ("outgoing", trace.to_owned()),
        ("stream", trace.to_owned()),
    ] {
        let response = client.unary(request(mode)).await.expect("OK");
        assert_eq!(text(response.message()), passed, "{mode}");
    }
}
