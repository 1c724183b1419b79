//! Compression of messages: what is compressed, by what, and what happens when it cannot be read.
//!
//! [`server`] and [`client`] look at one side, over the wire or from a handler; here both are
//! rgrpc.
//!
//! Source: `doc/compression.md` of the gRPC documents; grpc-go's tests `TestCompress*`,
//! `TestUnsupportedEncodingResponse`, `TestIdentityEncoding`, `TestGzipBadChecksum`,
//! `TestClientForwardsGrpcAcceptEncodingHeader`, `TestSetSendCompressor*`,
//! `TestCancelWhileRecvingWithCompression`.

mod client;
mod server;

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rgrpc::{
    ClientConn, ClientConnBuilder, Code, Compressor, Gzip, MessageBytes, PreparedMessage,
    ProtoCodec, Response, Status, UnaryCall, credentials,
};
use rgrpc_e2e::{
    Message, STUB_UNARY, StubClient, StubService, TestServer, channel_builder, encoded, msg,
    new_server, serve, serve_with, soon, text,
};
use rgrpc_test_support::message_with;

/// The encoded message with this body, compressed.
fn gzipped(body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut output = Vec::new();
    let message = MessageBytes::from(Bytes::from(encoded(body)));
    let compressed = Gzip::new().compress(message, &mut output);
    compressed.expect("gzip takes anything");
    output.to_vec()
}

/// As it stands in DATA.
fn framed_gzip(body: impl AsRef<[u8]>) -> Bytes {
    flagged(&gzipped(body))
}

/// A message with the compressed-flag set, as in DATA.
fn flagged(data: &[u8]) -> Bytes {
    message_with(1, data.len() as u32, data)
}

/// The encoded message that was compressed.
fn gunzipped(data: &Bytes) -> Vec<u8> {
    let gzip = Gzip::new();
    let mut message = Vec::new();
    let mut reader = gzip
        .decompress(data.clone().into())
        .expect("a reader of anything");
    reader.read_to_end(&mut message).expect("gzip");
    message
}

/// gzip by another name, which counts what it does.
#[derive(Clone)]
struct Counting {
    name: &'static str,
    gzip: Arc<Gzip>,
    compressed: Arc<AtomicUsize>,
    decompressed: Arc<AtomicUsize>,
}

impl Counting {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            gzip: Arc::default(),
            compressed: Arc::default(),
            decompressed: Arc::default(),
        }
    }

    /// The numbers of compressed and of decompressed messages.
    fn counts(&self) -> (usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        (count(&self.compressed), count(&self.decompressed))
    }
}

impl Compressor for Counting {
    fn name(&self) -> &str {
        self.name
    }

    fn compress(&self, message: MessageBytes, output: &mut Vec<u8>) -> io::Result<()> {
        self.compressed.fetch_add(1, Ordering::Relaxed);
        self.gzip.compress(message, output)
    }

    fn decompress(&self, message: MessageBytes) -> io::Result<Box<dyn Read + '_>> {
        self.decompressed.fetch_add(1, Ordering::Relaxed);
        self.gzip.decompress(message)
    }
}

/// A channel to the server with these options.
fn conn(
    server: &TestServer,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> ClientConn {
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure());
    let builder = options(builder.dialer(server.connector()));
    builder.build().expect("a valid channel")
}

/// A server that echoes and a client of it, each with a compressor of this name that counts.
fn counted(name: &'static str) -> (TestServer, StubClient, [Counting; 2]) {
    let counters = [Counting::new(name), Counting::new(name)];
    let [of_server, of_client] = counters.clone();
    let server = serve_with(new_server().compressor(of_server), StubService::echo());
    let conn = conn(&server, |builder| builder.compressor(of_client));
    (server, StubClient::new(conn), counters)
}

#[tokio::test(start_paused = true)]
async fn calls_of_all_kinds_are_compressed_both_ways() {
    let (_server, client, [of_server, of_client]) = counted("x-counting");
    let response = client.unary(msg("one")).compressor("x-counting").await;
    assert_eq!(text(response.expect("OK").message()), "one");
    assert_eq!((of_client.counts(), of_server.counts()), ((1, 1), (1, 1)));

    let call = client.server_streaming(msg("two")).compressor("x-counting");
    let mut responses = call.await.expect("a stream");
    let mut all = Vec::new();
    while let Some(message) = responses.recv().await.expect("OK") {
        all.extend(message.body);
    }
    assert_eq!(all, b"two");
    assert_eq!((of_client.counts(), of_server.counts()), ((2, 4), (4, 2)));

    let call = client.client_streaming().compressor("x-counting");
    let mut call = call.await.expect("a stream");
    for part in ["th", "ree"] {
        call.send(msg(part)).await.expect("the call is open");
    }
    let response = call.close_and_recv().await.expect("OK");
    assert_eq!(text(response.message()), "three");
    assert_eq!((of_client.counts(), of_server.counts()), ((4, 5), (5, 4)));

    let call = client.bidi_streaming().compressor("x-counting");
    let (mut requests, mut responses) = call.await.expect("a stream");
    for part in ["f", "our"] {
        requests.send(msg(part)).await.expect("the call is open");
        let echo = responses.recv().await.expect("OK").expect("a message");
        assert_eq!(text(&echo), part);
    }
    requests.close();
    assert!(responses.recv().await.expect("OK").is_none());
    assert_eq!((of_client.counts(), of_server.counts()), ((6, 7), (7, 6)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_ask_for_it_is_not_compressed() {
    let (_server, client, counters) = counted("x-counting");
    let response = client.unary(msg("one")).await.expect("OK");
    assert_eq!(text(response.message()), "one");
    assert_eq!(counters.map(|one| one.counts()), [(0, 0); 2]);
}

#[tokio::test(start_paused = true)]
async fn a_compressor_takes_the_place_of_the_one_of_its_name() {
    let (_server, client, counters) = counted("gzip");
    let response = client.unary(msg("one")).compressor("gzip").await;
    assert_eq!(text(response.expect("OK").message()), "one");
    assert_eq!(counters.map(|one| one.counts()), [(1, 1); 2]);
}

#[tokio::test(start_paused = true)]
async fn empty_messages_are_never_compressed() {
    let (_server, client, counters) = counted("x-counting");
    let response = client.unary(msg("")).compressor("x-counting").await;
    assert_eq!(text(response.expect("OK").message()), "");
    assert_eq!(counters.map(|one| one.counts()), [(0, 0); 2]);
}

#[tokio::test(start_paused = true)]
async fn single_messages_of_a_compressed_stream_are_sent_as_they_are() {
    let counting = Counting::new("x-counting");
    let service = StubService::new().bidi_streaming(async |requests, mut responses| {
        let mut requests = requests.into_message();
        while let Some(message) = requests.recv().await? {
            responses.set_message_compression(text(&message) != "secret");
            responses.send(message).await?;
        }
        Ok(())
    });
    let server = serve_with(new_server().compressor(counting.clone()), service);
    let conn = conn(&server, |builder| {
        builder.compressor(Counting::new("x-counting"))
    });
    let client = StubClient::new(conn);
    let call = client.bidi_streaming().compressor("x-counting");
    let (mut requests, mut responses) = call.await.expect("a stream");
    for (message, counts) in [("one", (1, 1)), ("secret", (1, 1)), ("two", (2, 2))] {
        requests.set_message_compression(message != "secret");
        requests.send(msg(message)).await.expect("it is open");
        let echo = responses.recv().await.expect("OK").expect("a message");
        assert_eq!(text(&echo), message);
        assert_eq!(counting.counts(), counts);
    }
}

#[tokio::test(start_paused = true)]
async fn large_messages_come_back_whole() {
    let server = serve(StubService::echo());
    let client = server.client();
    let body: Vec<u8> = (0..1_000_000_u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    let response = client.unary(msg(&body)).compressor("gzip").await;
    assert!(response.expect("OK").message().body == body);
}

#[tokio::test(start_paused = true)]
async fn the_send_limit_holds_for_the_compressed_size() {
    let zeros = [0; 10_000];
    let server = serve_with(
        new_server().max_send_message_size(1_000),
        StubService::echo(),
    );
    let client = server.client();

    let response = client.unary(msg(zeros)).compressor("gzip").await;
    assert_eq!(response.expect("OK").message().body, zeros);
    let error = client.unary(msg(zeros)).await.expect_err("too large");
    assert_eq!(error.code(), Code::ResourceExhausted);

    let call = client.unary(msg(zeros)).max_send_message_size(1_000);
    assert!(call.compressor("gzip").await.is_ok());
    let call = client.unary(msg(zeros)).max_send_message_size(10);
    let error = call.compressor("gzip").await.expect_err("too large");
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert!(error.message().contains(" vs. 10)"), "{error}");

    let call = client.bidi_streaming().max_send_message_size(1_000);
    let (mut requests, _responses) = call.compressor("gzip").await.expect("a stream");
    let sent = requests.send(msg(zeros)).await;
    sent.expect("it is smaller when it is sent");
}

#[tokio::test(start_paused = true)]
async fn a_retried_message_is_compressed_once() {
    let retry = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
        "maxAttempts": 3, "initialBackoff": "1s", "maxBackoff": "1s",
        "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]
    }}]}"#;
    let hedging = r#"{"methodConfig": [{"name": [{}], "hedgingPolicy": {
        "maxAttempts": 3, "hedgingDelay": "1s", "nonFatalStatusCodes": ["UNAVAILABLE"]
    }}]}"#;
    for policy in [retry, hedging] {
        let counting = Counting::new("x-counting");
        let attempts = Arc::new(AtomicUsize::new(0));
        let third = {
            let attempts = Arc::clone(&attempts);
            move || match attempts.fetch_add(1, Ordering::Relaxed) % 3 {
                2 => Ok(()),
                _ => Err(Status::unavailable("not yet")),
            }
        };
        let third_unary = third.clone();
        let service = StubService::new()
            .unary(move |request| {
                let outcome = third_unary();
                async move { outcome.map(|()| Response::new(request.into_message())) }
            })
            .client_streaming(move |requests| {
                let third = third.clone();
                async move {
                    let mut requests = requests.into_message();
                    let first = requests.recv().await?.unwrap_or_default();
                    third().map(|()| Response::new(first))
                }
            });
        let server = serve_with(
            new_server().compressor(Counting::new("x-counting")),
            service,
        );
        let conn = conn(&server, |builder| {
            builder
                .compressor(counting.clone())
                .default_service_config(policy)
        });
        let client = StubClient::new(conn);

        let call = client.unary(msg("one")).compressor("x-counting");
        let response = soon(call.into_future()).await.expect("OK");
        assert_eq!(text(response.message()), "one");
        assert_eq!(attempts.load(Ordering::Relaxed), 3);
        assert_eq!(counting.counts(), (1, 1), "{policy}");

        let call = client.client_streaming().compressor("x-counting");
        let mut call = call.await.expect("a stream");
        call.send(msg("two")).await.expect("the call is open");
        let response = soon(call.close_and_recv()).await.expect("OK");
        assert_eq!(text(response.message()), "two");
        assert_eq!(attempts.load(Ordering::Relaxed), 6);
        assert_eq!(counting.counts(), (2, 2), "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_prepared_message_is_compressed_once_for_all_its_calls() {
    let (server, _, _) = counted("x-counting");
    let counting = Counting::new("x-counting");
    let conn = conn(&server, |builder| builder.compressor(counting.clone()));
    let prepared = PreparedMessage::new(ProtoCodec, &msg("one")).expect("it fits");
    for _ in 0..3 {
        let call: UnaryCall<'_, _, _, Message> =
            UnaryCall::new(&conn, ProtoCodec, STUB_UNARY, prepared.clone().into());
        let response = call.compressor("x-counting").await.expect("OK");
        assert_eq!(text(response.message()), "one");
    }
    let client = StubClient::new(conn);
    let call = client.bidi_streaming();
    let (mut requests, mut responses) = call.compressor("x-counting").await.expect("a stream");
    for _ in 0..3 {
        let sent = requests.send_prepared(&prepared).await;
        sent.expect("the call is open");
        let echo = responses.recv().await.expect("OK").expect("a message");
        assert_eq!(text(&echo), "one");
    }
    assert_eq!(counting.counts(), (1, 6));
}

#[tokio::test(start_paused = true)]
async fn a_call_can_be_cancelled_while_it_receives_compressed_messages() {
    let service = StubService::new().server_streaming(async |request, mut responses| {
        loop {
            responses.send(request.message().clone()).await?;
        }
    });
    let server = serve(service);
    let client = server.client();
    // Hardly smaller when it is compressed, so that few of them fit into the window.
    let body: Vec<u8> = (0..50_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for count in 0..5 {
        let call = client.server_streaming(msg(&body)).compressor("gzip");
        let mut responses = call.await.expect("a stream");
        for _ in 0..count {
            let message = responses.recv().await.expect("OK").expect("a message");
            assert!(message.body == body);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressor_that_panics_fails_the_call_alone() {
    /// Panics when it compresses.
    struct Panicking;

    impl Compressor for Panicking {
        fn name(&self) -> &str {
            "x-counting"
        }

        fn compress(&self, _: MessageBytes, _: &mut Vec<u8>) -> io::Result<()> {
            panic!("not this")
        }

        fn decompress(&self, message: MessageBytes) -> io::Result<Box<dyn Read + '_>> {
            let counting = Counting::new("x-counting");
            let mut decompressed = Vec::new();
            counting
                .decompress(message)?
                .read_to_end(&mut decompressed)?;
            Ok(Box::new(io::Cursor::new(decompressed)))
        }
    }

    let server = serve_with(new_server().compressor(Panicking), StubService::echo());
    let conn = conn(&server, |builder| {
        builder.compressor(Counting::new("x-counting"))
    });
    let client = StubClient::new(conn);
    let error = client.unary(msg("one")).compressor("x-counting").await;
    let error = error.expect_err("the handler cannot answer");
    assert_eq!(error.code(), Code::Internal);
    assert_eq!(error.message(), "the server's handler panicked");
    let response = client.unary(msg("two")).await.expect("OK");
    assert_eq!(text(response.message()), "two");
}

#[tokio::test(start_paused = true)]
async fn a_compressor_whose_name_cannot_be_sent_is_refused_at_its_use() {
    for name in ["", "identity", "a,b", "Gzip"] {
        let builder = channel_builder("passthrough:///stub.test", credentials::insecure());
        let error = builder.compressor(Counting::new(name)).build();
        let error = error.expect_err("refused");
        assert!(
            matches!(&error, rgrpc::BuildError::Compressor(refused) if refused == name),
            "{error}"
        );
        let server = new_server().compressor(Counting::new(name));
        let error = soon(server.serve("127.0.0.1:0")).await;
        let error = error.expect_err("refused");
        assert!(
            matches!(&error, rgrpc::ServeError::Compressor(refused) if refused == name),
            "{error}"
        );
    }
}
