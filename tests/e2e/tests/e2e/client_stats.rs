//! Stats handlers of a channel: the events of calls, attempts and connections, and their order.
//!
//! Source: grpc-go's `stats/stats_test.go`; gRFC A72.

mod attempts;
mod connections;

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::credentials::{MetadataFuture, PerRpcCredentials, RequestInfo, SecurityLevel};
use rgrpc::io::Dial;
use rgrpc::stats::{
    AttemptBegin, CallBegin, CallEvent, CallStats, ConnectionBegin, ConnectionEnd, ConnectionStats,
    StatsHandler,
};
use rgrpc::{
    ClientConn, ClientConnBuilder, ClientNext, Extensions, MessageView, Metadata, OutgoingCall,
    Response, Side, Status, credentials,
};
use rgrpc_e2e::{
    FnDialer, Message, StubClient, StubService, TestServer, answer, channel_builder, encoded, msg,
    new_server, scripted_by, serve, serve_with, settle, soon, text, unary,
};
use rgrpc_test_support::{ErrorCode, rst_stream};
use tokio::time::Instant;

/// A stats handler that writes the events down.
#[derive(Clone, Default)]
struct Recording {
    events: Arc<Mutex<Vec<String>>>,
    wants_messages: bool,
    /// Tells attempts apart.
    attempts: bool,
    /// The recorder of an attempt: its number, from 1.
    attempt: usize,
    begun: Arc<AtomicUsize>,
}

/// A value that the handler finds in calls and their parents.
#[derive(Clone, Debug, PartialEq)]
struct Tag(&'static str);

impl Recording {
    fn note(&self, event: impl Into<String>) {
        let event = event.into();
        let event = match self.attempt {
            0 => event,
            attempt => format!("{attempt}: {event}"),
        };
        self.events.lock().expect("no panic").push(event);
    }

    /// The events since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.events.lock().expect("no panic"))
    }
}

impl StatsHandler for Recording {
    fn begin_call(&self, begin: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        assert_eq!(begin.side, Side::Client);
        assert!(begin.peer.is_none() && begin.connection.is_empty());
        assert_eq!(begin.target, Some("passthrough:///stub.test"));
        let method = begin.method.rsplit('/').next().expect("one at least");
        let described = begin.descriptor.map(|found| found.method.name);
        assert!(described.is_none_or(|described| described == method && begin.is_registered));
        if begin.metadata.get("x-unsampled").is_some() {
            return None;
        }
        let own: Option<&Tag> = begin.extensions.get();
        let parent: Option<&Tag> = begin.parent.and_then(|parent| parent.get());
        let tags: String = own
            .into_iter()
            .chain(parent)
            .map(|tag| format!(" {}", tag.0))
            .collect();
        self.note(format!(
            "begin {method} {} {} {}{tags}",
            begin.kind,
            begin.is_registered,
            begin.deadline.is_some(),
        ));
        self.begun.store(0, Ordering::SeqCst);
        Some(Arc::new(self.clone()))
    }

    fn begin_connection(
        &self,
        begin: &mut ConnectionBegin<'_>,
    ) -> Option<Arc<dyn ConnectionStats>> {
        assert_eq!(begin.side, Side::Client);
        self.note(format!("connection begins to {}", begin.peer.remote));
        Some(Arc::new(self.clone()))
    }
}

impl CallStats for Recording {
    fn event(&self, event: &CallEvent<'_>) {
        let marks = |metadata: &Metadata| metadata.get("x-mark").unwrap_or("none").to_owned();
        let message = |view: &MessageView<'_>| {
            let body = view.downcast_ref::<Message>().map(text).unwrap_or("unseen");
            let sizes = (view.encoded_len(), view.compressed_len(), view.wire_len());
            format!("{body} {sizes:?}")
        };
        self.note(match event {
            CallEvent::NameResolutionDelayed(_) => "name resolved".to_owned(),
            CallEvent::PickDelayed(_) => "pick delayed".to_owned(),
            CallEvent::Picked(picked) => format!("picked {}", picked.peer.remote),
            CallEvent::InHeader(metadata) => format!("in header {}", marks(metadata)),
            CallEvent::InPayload(view) => format!("in payload {}", message(view)),
            CallEvent::InTrailer(metadata) => format!("in trailer {}", marks(metadata)),
            CallEvent::OutHeader(metadata) => format!("out header {}", marks(metadata)),
            CallEvent::OutPayload(view) => format!("out payload {}", message(view)),
            CallEvent::OutTrailer(metadata) => format!("out trailer {}", marks(metadata)),
            CallEvent::End(outcome) => {
                assert!(outcome.elapsed() < Duration::from_secs(30));
                format!("end {} by {}", outcome.code(), outcome.ended_by())
            }
            other => panic!("{other:?}"),
        });
    }

    fn begin_attempt(&self, begin: &mut AttemptBegin<'_>) -> Option<Arc<dyn CallStats>> {
        if !self.attempts {
            return None;
        }
        let attempt = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let own = Self {
            attempt,
            ..self.clone()
        };
        own.note(format!(
            "begin {} {} {} {}",
            begin.previous_attempts,
            begin.is_transparent_retry,
            begin.is_hedged,
            begin.metadata().get("x-mark").unwrap_or("none"),
        ));
        begin
            .metadata_mut()
            .insert("x-attempt", attempt.to_string())
            .expect("valid");
        Some(Arc::new(own))
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

fn channel(
    server: &TestServer,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> ClientConn {
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(server.connector());
    options(builder).build().expect("valid")
}

/// Waits until the channel is ready.
async fn connect(conn: &ClientConn) {
    let deadline = Instant::now() + Duration::from_secs(30);
    soon(conn.wait_ready(deadline)).await.expect("it connects");
}

/// A channel that is ready, so that its calls wait for nothing.
async fn ready(server: &TestServer, recording: &Recording) -> StubClient {
    let conn = channel(server, |builder| builder.stats_handler(recording.clone()));
    connect(&conn).await;
    recording.take();
    StubClient::new(conn)
}

async fn call(client: &StubClient, body: &str) -> Result<Response<Message>, Status> {
    soon(async { client.unary(msg(body)).metadata("x-mark", "sent").await }).await
}

fn wanting() -> Recording {
    Recording {
        wants_messages: true,
        ..Recording::default()
    }
}

fn telling_attempts() -> Recording {
    Recording {
        attempts: true,
        ..Recording::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_unary_call() {
    let server = serve(marking());
    for (wants_messages, seen) in [(false, "unseen"), (true, "hello")] {
        let recording = Recording {
            wants_messages,
            ..Recording::default()
        };
        let client = ready(&server, &recording).await;
        call(&client, "hello").await.expect("OK");
        let len = encoded("hello").len();
        let message = format!("{seen} ({len}, {len}, {})", len + 5);
        assert_eq!(
            recording.take(),
            [
                "begin Unary unary true false",
                "picked pipe",
                "out header sent",
                &format!("out payload {message}"),
                "out trailer none",
                "in header head",
                &format!("in payload {message}"),
                "in trailer tail",
                "end OK by server",
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_events_of_streaming_calls() {
    let server = serve(marking());
    let recording = wanting();
    let client = ready(&server, &recording).await;
    let call = soon(async { client.server_streaming(msg("go")).await });
    let mut responses = call.await.expect("begun");
    while soon(responses.recv()).await.expect("OK").is_some() {}
    assert_eq!(
        recording.take(),
        [
            "begin ServerStreaming server-streaming true false",
            "picked pipe",
            "out header none",
            "out payload go (4, 4, 9)",
            "out trailer none",
            "in header head",
            "in payload a (3, 3, 8)",
            "in payload b (3, 3, 8)",
            "in trailer tail",
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
        recording.take(),
        [
            "begin ClientStreaming client-streaming true false",
            "picked pipe",
            "out header none",
            "out payload a (3, 3, 8)",
            "out payload b (3, 3, 8)",
            "out trailer none",
            "in header none",
            "in payload done (6, 6, 11)",
            "in trailer none",
            "end OK by server",
        ]
    );

    let (mut requests, mut responses) = soon(async { client.bidi_streaming().await })
        .await
        .expect("begun");
    soon(requests.send(msg("a"))).await.expect("sent");
    soon(responses.recv()).await.expect("OK").expect("one");
    requests.close();
    requests.close();
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
    assert_eq!(
        recording.take(),
        [
            "begin BidiStreaming bidirectional true false",
            "picked pipe",
            "out header none",
            "out payload a (3, 3, 8)",
            "in header none",
            "in payload a (3, 3, 8)",
            "out trailer none",
            "in trailer none",
            "end OK by server",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn waits_for_the_resolver_and_for_a_connection_are_told() {
    let server = serve(marking());
    for attempts in [false, true] {
        let recording = Recording {
            attempts,
            ..Recording::default()
        };
        let of_attempt = if attempts { "1: " } else { "" };
        let connector = server.connector();
        let slow = FnDialer::new(move |address| {
            let dialing = connector.dial(address);
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                dialing.await
            }
        });
        let conn = channel(&server, |builder| {
            builder.dialer(slow).stats_handler(recording.clone())
        });
        call(&StubClient::new(conn), "").await.expect("OK");
        let mut events = recording.take();
        events.retain(|event| !event.contains("begin "));
        assert_eq!(
            events[..4],
            [
                "name resolved".to_owned(),
                "connection begins to pipe".to_owned(),
                format!("{of_attempt}pick delayed"),
                format!("{of_attempt}picked pipe"),
            ]
        );
    }
}

/// A service config that retries, and one that hedges, for all methods.
const RETRIES: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 3, "initialBackoff": "1s", "maxBackoff": "1s",
    "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]
}}]}"#;
const HEDGES: &str = r#"{"methodConfig": [{"name": [{}], "hedgingPolicy": {
    "maxAttempts": 2, "hedgingDelay": "1s", "nonFatalStatusCodes": ["UNAVAILABLE"]
}}]}"#;

#[tokio::test(start_paused = true)]
async fn compressed_and_uncompressed_sizes_are_told_apart() {
    let server = serve(marking());
    let recording = Recording::default();
    let client = ready(&server, &recording).await;
    let body = "a".repeat(1_000);
    let call = soon(async { client.unary(msg(&body)).compressor("gzip").await });
    call.await.expect("OK");
    let call = soon(async { client.bidi_streaming().compressor("gzip").await });
    let (mut requests, mut responses) = call.await.expect("begun");
    soon(requests.send(msg(&body))).await.expect("sent");
    soon(responses.recv()).await.expect("OK").expect("one");
    let mut payloads = recording.take();
    payloads.retain(|event| event.contains("payload"));
    assert_eq!(payloads.len(), 4);
    let len = encoded(&body).len();
    for event in payloads {
        assert!(event.contains(&format!("({len}, ")), "{event}");
        assert!(!event.contains(&format!(", {len}, ")), "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_or_is_cancelled_has_an_end_as_well() {
    let server = serve(marking());
    for attempts in [false, true] {
        let recording = Recording {
            attempts,
            ..Recording::default()
        };
        let of_attempt = |event: &str| match attempts {
            true => format!("1: {event}"),
            false => event.to_owned(),
        };
        let ends = |end: &str| match attempts {
            true => vec![format!("1: {end}"), end.to_owned()],
            false => vec![end.to_owned()],
        };
        let client = ready(&server, &recording).await;
        call(&client, "fail").await.expect_err("as asked");
        let events = recording.take();
        let mut expected = vec![of_attempt("in trailer none")];
        expected.extend(ends("end ABORTED by server"));
        assert!(events.ends_with(&expected), "{events:#?}");

        let second = Duration::from_secs(1);
        let call = soon(async { client.unary(msg("hang")).timeout(second).await });
        call.await.expect_err("too late");
        let events = recording.take();
        assert_eq!(events[0], "begin Unary unary true true");
        let expected = ends("end DEADLINE_EXCEEDED by deadline");
        assert!(events.ends_with(&expected), "{events:#?}");
        let received = |event: &String| event.trim_start_matches("1: ").starts_with("in ");
        assert!(!events.iter().any(received), "{events:#?}");

        let dropped = client.clone();
        let call = tokio::spawn(async move { dropped.unary(msg("hang")).await });
        settle().await;
        recording.take();
        call.abort();
        settle().await;
        assert_eq!(recording.take(), ends("end CANCELLED by client"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_sampled_has_no_events() {
    let server = serve(marking());
    let recording = Recording::default();
    let client = ready(&server, &recording).await;
    let call = soon(async { client.unary(msg("")).metadata("x-unsampled", "1").await });
    call.await.expect("OK");
    assert_eq!(recording.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_the_values_of_the_call_and_of_its_parent() {
    let recording = Recording::default();
    let backend = serve(marking());
    let upstream = ready(&backend, &recording).await;
    let front = new_server().head_hook(|head: &mut rgrpc::CallHead<'_>| {
        head.extensions_mut().insert(Tag("parent"));
        Ok(())
    });
    let front = serve_with(
        front,
        StubService::new().unary(move |request| {
            let upstream = upstream.clone();
            async move {
                let call = upstream.unary(request.outgoing(msg("a")));
                call.extension(Tag("own")).await
            }
        }),
    );
    let client = front.client();
    soon(async { client.unary(msg("")).await })
        .await
        .expect("OK");
    assert_eq!(
        recording.take()[0],
        "begin Unary unary true false own parent"
    );
}

/// Credentials that mark the request.
struct Marking;

impl PerRpcCredentials for Marking {
    fn metadata<'a>(&'a self, _: RequestInfo<'a>) -> MetadataFuture<'a> {
        Box::pin(async { Ok(mark("by credentials")) })
    }

    fn min_security_level(&self) -> SecurityLevel {
        SecurityLevel::NoSecurity
    }
}

#[tokio::test(start_paused = true)]
async fn the_sent_header_has_the_metadata_of_credentials_and_of_the_attempt() {
    let server = serve(StubService::new().unary(async |request| {
        let attempt = request.metadata().get("x-attempt").map(str::to_owned);
        Ok(Response::new(msg(attempt.unwrap_or_default())))
    }));
    let recording = telling_attempts();
    let conn = channel(&server, |builder| {
        builder
            .stats_handler(recording.clone())
            .per_rpc_credentials(Marking)
    });
    let client = StubClient::new(conn);
    let response = soon(async { client.unary(msg("")).await })
        .await
        .expect("OK");
    assert_eq!(text(response.message()), "1");
    let events = recording.take();
    assert!(
        events.contains(&"1: out header by credentials".to_owned()),
        "{events:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn stats_handlers_are_inside_of_interceptors() {
    let server = serve(marking());
    let recording = Recording::default();
    let conn = channel(&server, |builder| {
        builder.stats_handler(recording.clone()).interceptor(
            async |mut call: OutgoingCall, next: ClientNext| {
                if call.metadata().get("x-refused").is_some() {
                    return Err(Status::permission_denied("not from here"));
                }
                call.metadata_mut()
                    .insert("x-mark", "by it")
                    .expect("valid");
                next.run(call.clone()).await?;
                next.run(call).await
            },
        )
    });
    connect(&conn).await;
    recording.take();
    let client = StubClient::new(conn);
    let refused = soon(async { client.unary(msg("")).metadata("x-refused", "1").await });
    refused.await.expect_err("refused");
    assert_eq!(recording.take(), [""; 0]);
    call(&client, "").await.expect("OK");
    let events = recording.take();
    // Each run is a call.
    for (event, count) in [
        ("begin Unary unary true false", 2),
        ("out header by it", 2),
        ("end OK by server", 2),
    ] {
        let found = events.iter().filter(|found| *found == event).count();
        assert_eq!(found, count, "{event} {events:#?}");
    }
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

    fn begin_attempt(&self, _: &mut AttemptBegin<'_>) -> Option<Arc<dyn CallStats>> {
        panic!("of a test");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_stats_handler_changes_nothing_for_calls_and_other_handlers() {
    let server = serve(marking());
    let recording = telling_attempts();
    let conn = channel(&server, |builder| {
        builder
            .stats_handler(Panicking)
            .stats_handler(recording.clone())
    });
    connect(&conn).await;
    recording.take();
    let response = call(&StubClient::new(conn), "hello").await.expect("OK");
    assert_eq!(text(response.message()), "hello");
    assert_eq!(recording.take().len(), 13);
}
