//! Stats handlers of a server: the events of calls and connections, and their order.
//!
//! Source: grpc-go's `stats/stats_test.go`.

use std::sync::{Arc, Mutex};

use rgrpc::stats::{
    CallBegin, CallEvent, CallStats, ConnectionBegin, ConnectionEnd, ConnectionStats, StatsHandler,
};
use rgrpc::{Code, IncomingCall, Metadata, Response, Server, ServerNext, Side, Status};
use rgrpc_e2e::{
    Message, STUB_UNARY, StubService, TestServer, encoded, framed, msg, new_server, serve_with,
    settle, soon, text,
};
use rgrpc_test_support::{ErrorCode, data, grpc_request, rst_stream};

/// A stats handler that writes the events down.
#[derive(Clone, Default)]
struct Recording {
    events: Arc<Mutex<Vec<String>>>,
    wants_messages: bool,
}

/// A value that the handler puts into calls and connections.
#[derive(Clone, Debug, PartialEq)]
struct Tag(&'static str);

impl Recording {
    fn note(&self, event: impl Into<String>) {
        self.events.lock().expect("no panic").push(event.into());
    }

    /// The events of calls since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.events.lock().expect("no panic"))
    }

    fn of_calls(&self) -> Vec<String> {
        let mut events = self.take();
        events.retain(|event| !event.starts_with("connection"));
        events
    }
}

impl StatsHandler for Recording {
    fn begin_call(&self, begin: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        assert_eq!(begin.side, Side::Server);
        assert_eq!(begin.connection.get(), Some(&Tag("connection")));
        begin.extensions.insert(Tag("call"));
        let method = begin.method.rsplit('/').next().expect("one at least");
        let described = begin.descriptor.map(|found| found.method.name);
        assert_eq!(described, begin.is_registered.then_some(method));
        if begin.metadata.get("x-unsampled").is_some() {
            return None;
        }
        self.note(format!(
            "begin {method} {} {} {}",
            begin.kind,
            begin.is_registered,
            begin.deadline.is_some()
        ));
        Some(Arc::new(self.clone()))
    }

    fn begin_connection(
        &self,
        begin: &mut ConnectionBegin<'_>,
    ) -> Option<Arc<dyn ConnectionStats>> {
        assert_eq!(begin.side, Side::Server);
        self.note(format!("connection begins from {}", begin.peer.remote));
        begin.extensions.insert(Tag("connection"));
        Some(Arc::new(self.clone()))
    }
}

impl CallStats for Recording {
    fn event(&self, event: &CallEvent<'_>) {
        let marks = |metadata: &Metadata| metadata.get("x-mark").unwrap_or("none").to_owned();
        let message = |view: &rgrpc::MessageView<'_>| {
            let body = view.downcast_ref::<Message>().map(text).unwrap_or("unseen");
            let sizes = (view.encoded_len(), view.compressed_len(), view.wire_len());
            format!("{body} {sizes:?}")
        };
        self.note(match event {
            CallEvent::InHeader(metadata) => format!("in header {}", marks(metadata)),
            CallEvent::InPayload(view) => format!("in payload {}", message(view)),
            CallEvent::OutHeader(metadata) => format!("out header {}", marks(metadata)),
            CallEvent::OutPayload(view) => format!("out payload {}", message(view)),
            CallEvent::OutTrailer(metadata) => format!("out trailer {}", marks(metadata)),
            CallEvent::End(outcome) => {
                format!("end {} by {}", outcome.code(), outcome.ended_by())
            }
            other => panic!("{other:?}"),
        });
    }

    fn wants_messages(&self) -> bool {
        self.wants_messages
    }
}

impl ConnectionStats for Recording {
    fn end(&self, end: &ConnectionEnd<'_>) {
        self.note(format!("connection ends: {}", end.reason));
    }
}

/// A service that marks its headers and trailers.
fn marking() -> StubService {
    StubService::new()
        .unary(async |request| {
            assert_eq!(request.extensions().get(), Some(&Tag("call")));
            let context = request.context().expect("in a handler");
            assert_eq!(context.extensions().get(), Some(&Tag("call")));
            match text(request.message()) {
                "fail" => return Err(Status::aborted("as asked")),
                "hang" => return std::future::pending().await,
                _ => {}
            }
            request.set_header(mark("head"))?;
            request.set_trailer(mark("tail"));
            Ok(Response::new(request.into_message()))
        })
        .server_streaming(async |request, mut responses| {
            request.set_header(mark("head"))?;
            for body in ["a", "b"] {
                responses.send(msg(body)).await?;
            }
            request.set_trailer(mark("tail"));
            Ok(())
        })
        .client_streaming(async |requests| {
            let mut requests = requests.into_message();
            while requests.recv().await?.is_some() {}
            Ok(Response::new(msg("done")))
        })
        .bidi_streaming(async |requests, mut responses| {
            let mut requests = requests.into_message();
            while let Some(request) = requests.recv().await? {
                responses.send(request).await?;
            }
            Ok(())
        })
}

fn mark(value: &'static str) -> Metadata {
    Metadata::from_pairs([("x-mark", value)]).expect("valid")
}

fn recorded(server: Server, wants_messages: bool) -> (TestServer, Recording) {
    let recording = Recording {
        wants_messages,
        ..Recording::default()
    };
    let server = serve_with(server.stats_handler(recording.clone()), marking());
    (server, recording)
}

async fn unary(server: &TestServer, body: &str) -> Result<Response<Message>, Status> {
    let client = server.client();
    soon(async { client.unary(msg(body)).metadata("x-mark", "sent").await }).await
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_unary_call() {
    for (wants_messages, seen) in [(false, "unseen"), (true, "hello")] {
        let (server, recording) = recorded(new_server(), wants_messages);
        unary(&server, "hello").await.expect("OK");
        let len = encoded("hello").len();
        let message = format!("{seen} ({len}, {len}, {})", len + 5);
        assert_eq!(
            recording.of_calls(),
            [
                "begin Unary unary true false",
                "in header sent",
                &format!("in payload {message}"),
                "out header head",
                &format!("out payload {message}"),
                "out trailer tail",
                "end OK by server",
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptors_answer_is_what_is_recorded() {
    let server = new_server().interceptor(async |call: IncomingCall, next: ServerNext| {
        assert_eq!(call.extensions().get(), Some(&Tag("call")));
        next.run(call).await?;
        Err(Status::data_loss("the response is gone"))
    });
    let (server, recording) = recorded(server, true);
    unary(&server, "hello").await.expect_err("replaced");
    let events = recording.of_calls();
    assert_eq!(events[0], "begin Unary unary true false");
    assert!(events.iter().all(|event| !event.starts_with("out payload")));
    assert_eq!(events.last().expect("some"), "end DATA_LOSS by server");
}

#[tokio::test(start_paused = true)]
async fn the_events_of_streaming_calls() {
    let (server, recording) = recorded(new_server(), true);
    let client = server.client();
    let mut responses = soon(async { client.server_streaming(msg("go")).await })
        .await
        .expect("begun");
    while soon(responses.recv()).await.expect("OK").is_some() {}
    assert_eq!(
        recording.of_calls(),
        [
            "begin ServerStreaming server-streaming true false",
            "in header none",
            "in payload go (4, 4, 9)",
            "out header head",
            "out payload a (3, 3, 8)",
            "out payload b (3, 3, 8)",
            "out trailer tail",
            "end OK by server",
        ]
    );

    let mut call = soon(async { client.client_streaming().await })
        .await
        .expect("begun");
    for body in ["a", "b"] {
        soon(call.send(msg(body))).await.expect("sent");
    }
    soon(call.close_and_recv()).await.expect("OK");
    assert_eq!(
        recording.of_calls(),
        [
            "begin ClientStreaming client-streaming true false",
            "in header none",
            "in payload a (3, 3, 8)",
            "in payload b (3, 3, 8)",
            "out header none",
            "out payload done (6, 6, 11)",
            "out trailer none",
            "end OK by server",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn compressed_and_uncompressed_sizes_are_told_apart() {
    let (server, recording) = recorded(new_server(), false);
    let body = "a".repeat(1_000);
    let client = server.client();
    soon(async { client.unary(msg(&body)).compressor("gzip").await })
        .await
        .expect("OK");
    let (mut requests, mut responses) =
        soon(async { client.bidi_streaming().compressor("gzip").await })
            .await
            .expect("begun");
    soon(requests.send(msg(&body))).await.expect("sent");
    soon(responses.recv()).await.expect("OK").expect("one");
    let payloads: Vec<_> = recording
        .of_calls()
        .into_iter()
        .filter(|event| event.contains("payload"))
        .collect();
    assert_eq!(payloads.len(), 4);
    let len = encoded(&body).len();
    for event in payloads {
        assert!(event.contains(&format!("({len}, ")), "{event}");
        assert!(!event.contains(&format!(", {len}, ")), "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_has_trailers_and_no_headers() {
    let (server, recording) = recorded(new_server(), false);
    unary(&server, "fail").await.expect_err("as asked");
    let events = recording.of_calls();
    assert_eq!(events[3..], ["out trailer none", "end ABORTED by server"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_or_refused_has_an_end_as_well() {
    let (server, recording) = recorded(new_server(), false);
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("hang")).end_stream()).await;
    settle().await;
    peer.send(rst_stream(1, ErrorCode::CANCEL)).await;
    settle().await;
    let events = recording.of_calls();
    assert_eq!(events.last().expect("some"), "end CANCELLED by client");
    assert!(events.iter().all(|event| !event.starts_with("out")));

    peer.send(grpc_request(3, "/other.Service/Method").end_stream())
        .await;
    peer.expect_response(3).await;
    assert_eq!(
        recording.of_calls(),
        [
            "begin Method bidirectional false false",
            "in header none",
            "out trailer none",
            "end UNIMPLEMENTED by server",
        ]
    );

    peer.send(grpc_request(5, STUB_UNARY).field("grpc-timeout", "1S"))
        .await;
    let response = peer.expect_response(5).await;
    assert_eq!(response.trailers.code, Code::DeadlineExceeded as u32);
    let events = recording.of_calls();
    assert_eq!(events[0], "begin Unary unary true true");
    assert_eq!(
        events.last().expect("some"),
        "end DEADLINE_EXCEEDED by deadline"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_sampled_has_no_events_and_keeps_its_tag() {
    let (server, recording) = recorded(new_server(), false);
    let client = server.client();
    soon(async { client.unary(msg("")).metadata("x-unsampled", "1").await })
        .await
        .expect("OK");
    assert_eq!(recording.of_calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_begins_before_its_calls_and_ends_after_them() {
    let (server, recording) = recorded(new_server(), false);
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("hang")).end_stream()).await;
    settle().await;
    drop(peer);
    settle().await;
    let events = recording.take();
    assert_eq!(events[0], "connection begins from pipe");
    assert_eq!(events[1], "begin Unary unary true false");
    assert_eq!(
        events[events.len() - 2..],
        [
            "end CANCELLED by connection",
            "connection ends: the peer closed it"
        ]
    );
}

/// A stats handler that always panics.
struct Panicking;

impl StatsHandler for Panicking {
    fn begin_call(&self, _: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        Some(Arc::new(Self))
    }

    fn begin_connection(&self, _: &mut ConnectionBegin<'_>) -> Option<Arc<dyn ConnectionStats>> {
        panic!("of a test");
    }
}

impl CallStats for Panicking {
    fn event(&self, _: &CallEvent<'_>) {
        panic!("of a test");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_stats_handler_changes_nothing_for_calls_and_other_handlers() {
    let (server, recording) = recorded(new_server().stats_handler(Panicking), false);
    let response = unary(&server, "hello").await.expect("OK");
    assert_eq!(text(response.message()), "hello");
    assert_eq!(recording.of_calls().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_prepared_message_has_sizes_and_no_message() {
    let recording = Recording {
        wants_messages: true,
        ..Recording::default()
    };
    let service = StubService::new().server_streaming(async |_, mut responses| {
        let prepared = rgrpc::PreparedMessage::new(rgrpc::ProtoCodec, &msg("ready"))?;
        responses.send_prepared(&prepared).await
    });
    let server = new_server().stats_handler(recording.clone());
    let server = serve_with(server, service);
    let client = server.client();
    let mut responses = soon(async { client.server_streaming(msg("")).await })
        .await
        .expect("begun");
    while soon(responses.recv()).await.expect("OK").is_some() {}
    let events = recording.of_calls();
    assert!(
        events.contains(&"out payload unseen (7, 7, 12)".to_owned()),
        "{events:?}"
    );
}
