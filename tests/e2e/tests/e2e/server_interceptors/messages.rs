//! Interceptors that see the messages of a call, refuse them, or hold them back.

use super::*;
use rgrpc_e2e::new_server;

/// Sees messages, refuses those with "bad" in them, and holds others back.
#[derive(Clone, Default)]
struct Watching {
    diary: Diary,
    held: Arc<AtomicBool>,
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
        if body.contains("bad") {
            return Err(Status::invalid_argument("a bad message"));
        }
        Ok(())
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
        if self.held.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

fn watched(watching: &Watching) -> TestServer {
    let watching = watching.clone();
    echo(
        new_server().interceptor(move |mut call: IncomingCall, next: ServerNext| {
            call.intercept_messages(watching.clone());
            next.run(call)
        }),
    )
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_unary_call_are_seen_with_their_sizes() {
    let watching = Watching::default();
    let server = watched(&watching);
    let len = encoded("hello").len();
    call(&server, "hello").await.expect("OK");
    let sizes = format!("{len} {len} {}", len + 5);
    let expected = [format!("in hello {sizes}"), format!("out hello {sizes}")];
    assert_eq!(watching.diary.take(), expected);

    // In pieces.
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("hello"))).await;
    peer.send(data(1, "").end_stream()).await;
    assert_eq!(peer.expect_response(1).await.trailers.code, 0);
    assert_eq!(watching.diary.take(), expected);
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_stream_are_seen_both_ways() {
    let watching = Watching::default();
    let server = watched(&watching);
    let client = server.client();
    let (mut requests, mut responses) = soon(async { client.bidi_streaming().await })
        .await
        .expect("begun");
    for body in ["a", "b"] {
        soon(requests.send(msg(body))).await.expect("sent");
        let response = soon(responses.recv()).await.expect("OK").expect("another");
        assert_eq!(text(&response), body);
        let seen = watching.diary.take();
        assert_eq!(
            seen,
            [format!("in {body} 3 3 8"), format!("out {body} 3 3 8")]
        );
    }
}

/// The sizes of a message of 1,000 bytes "a" that came or goes by gzip are both in each entry.
fn assert_compressed_sizes(watching: &Watching, entries: usize) {
    let seen = watching.diary.take();
    assert_eq!(seen.len(), entries, "{seen:?}");
    for seen in seen {
        let sizes: Vec<usize> = seen
            .split(' ')
            .skip(2)
            .map(|size| size.parse().expect("a size"))
            .collect();
        assert_eq!(sizes[0], encoded("a".repeat(1_000)).len(), "{seen}");
        assert!(sizes[1] < 100 && sizes[2] == sizes[1] + 5, "{seen}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_sizes_of_a_compressed_message_are_reported() {
    let watching = Watching::default();
    let server = watched(&watching);
    let body = "a".repeat(1_000);
    let client = server.client();
    let (mut requests, mut responses) =
        soon(async { client.bidi_streaming().compressor("gzip").await })
            .await
            .expect("begun");
    soon(requests.send(msg(&body))).await.expect("sent");
    soon(responses.recv()).await.expect("OK").expect("one");
    assert_compressed_sizes(&watching, 2);
}

#[tokio::test(start_paused = true)]
async fn both_sizes_of_a_compressed_unary_request_and_response_are_reported() {
    let watching = Watching::default();
    let server = watched(&watching);
    let client = server.client();
    let call = || client.unary(msg("a".repeat(1_000))).compressor("gzip");
    soon(async { call().await }).await.expect("OK");
    assert_compressed_sizes(&watching, 2);
}

#[tokio::test(start_paused = true)]
async fn both_sizes_of_a_request_that_an_interceptor_has_received_before_are_reported() {
    let watching = Watching::default();
    let watch = watching.clone();
    let server = new_server().interceptor(move |mut call: IncomingCall, next: ServerNext| {
        let watch = watch.clone();
        async move {
            call.request_message().await?;
            call.intercept_messages(watch);
            next.run(call).await
        }
    });
    let server = echo(server);
    let client = server.client();
    let call = || client.unary(msg("a".repeat(1_000))).compressor("gzip");
    soon(async { call().await }).await.expect("OK");
    assert_compressed_sizes(&watching, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_is_not_received_and_not_sent() {
    let watching = Watching::default();
    let server = watched(&watching);
    let status = call(&server, "bad").await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(watching.diary.take(), ["in bad 5 5 10"]);

    let client = server.client();
    let (mut requests, mut responses) = soon(async { client.bidi_streaming().await })
        .await
        .expect("begun");
    soon(requests.send(msg("bad"))).await.expect("sent");
    let status = soon(responses.recv()).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_message_interceptor_holds_a_stream_back() {
    let watching = Watching::default();
    watching.held.store(true, Ordering::SeqCst);
    let server = watched(&watching);
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_BIDI_STREAMING).field("grpc-timeout", "1S"))
        .await;
    peer.send(data(1, framed("a")).end_stream()).await;
    let response = peer.expect_response(1).await;
    assert_eq!(response.trailers.code, Code::DeadlineExceeded as u32);
    assert_eq!(watching.diary.take(), [""; 0]);
}
