//! Panics of user code on the path of a client's call, on the caller's task: they end the call with
//! INTERNAL and the name of the code, and the channel goes on.

use std::error::Error;
use std::future::{Future, ready};
use std::io::{self, Read};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use rgrpc::credentials::{
    self, AuthInfo, ChannelCredentials, ClientHandshake, ClientHandshakeInfo, HandshakeResult,
    MetadataFuture, PerRpcCredentials, RequestInfo, Secured, SecurityLevel,
};
use rgrpc::io::{BoxedIo, Peer};
use rgrpc::{
    BidiStreamingCall, ClientConn, ClientConnBuilder, ClientNext, ClientReply, Code, Codec,
    CodecError, Compressor, MessageBuffer, MessageBytes, MessageInterceptor, MessageView,
    OutgoingCall, PreparedMessage, ProtoCodec, Request, Response, Status, UnaryCall,
};
use rgrpc_e2e::{
    Message, STUB_BIDI_STREAMING, STUB_UNARY, StubClient, StubService, TestServer, channel_builder,
    msg, new_server, serve, serve_with, soon, text,
};

const SECRET: &str = "the password is swordfish";

fn builder(server: &TestServer) -> ClientConnBuilder {
    channel_builder("passthrough:///stub.test", credentials::insecure()).dialer(server.connector())
}

fn channel(
    server: &TestServer,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> ClientConn {
    options(builder(server)).build().expect("a valid channel")
}

#[track_caller]
fn assert_panicked<T>(outcome: Result<T, Status>, what: &str) {
    let status = outcome.err().expect("the code panics");
    assert_eq!(status.code(), Code::Internal, "{what}: {status}");
    let expected = format!("{what} panicked; the log has its message");
    assert_eq!(status.message(), expected);
}

async fn assert_goes_on(client: &StubClient<impl rgrpc::Invoke>) {
    let response = soon(client.unary(msg("alive")).into_future()).await;
    assert_eq!(text(response.expect("OK").message()), "alive");
}

/// Per-RPC credentials that panic in one place.
#[derive(Clone, Copy)]
enum Credentials {
    Level,
    Made,
    Polled,
}

impl PerRpcCredentials for Credentials {
    fn metadata<'a>(&'a self, _: RequestInfo<'a>) -> MetadataFuture<'a> {
        match self {
            Self::Made => panic!("{SECRET}"),
            _ => Box::pin(async { panic!("{SECRET}") }),
        }
    }

    fn min_security_level(&self) -> SecurityLevel {
        match self {
            Self::Level => panic!("{SECRET}"),
            _ => SecurityLevel::NoSecurity,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_per_rpc_credentials_ends_the_call_alone() {
    let server = serve(StubService::echo());
    let client = server.client();
    for credentials in [Credentials::Level, Credentials::Made, Credentials::Polled] {
        let call = client.unary(msg("")).per_rpc_credentials(credentials);
        assert_panicked(soon(call.into_future()).await, "the per-RPC credentials");
        let call = client.bidi_streaming().per_rpc_credentials(credentials);
        assert_panicked(soon(call.into_future()).await, "the per-RPC credentials");
        assert_goes_on(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_fail_and_whose_name_panics_fail_with_their_status() {
    struct Nameless;

    impl PerRpcCredentials for Nameless {
        fn metadata<'a>(&'a self, _: RequestInfo<'a>) -> MetadataFuture<'a> {
            Box::pin(ready(Err(Status::unauthenticated("expired"))))
        }

        fn min_security_level(&self) -> SecurityLevel {
            SecurityLevel::NoSecurity
        }

        fn name(&self) -> &str {
            panic!("{SECRET}")
        }
    }

    let server = serve(StubService::echo());
    let client = server.client();
    let call = client.unary(msg("")).per_rpc_credentials(Nameless);
    let status = soon(call.into_future()).await.expect_err("they fail");
    assert_eq!(status.code(), Code::Unauthenticated);
    let expected = "the per-RPC credentials without a name failed: expired";
    assert_eq!(status.message(), expected);
    assert_goes_on(&client).await;
}

/// A handshake that authenticates nobody and whose check of a host panics.
struct Unchecked;

impl ClientHandshake for Unchecked {
    fn protocol(&self) -> &'static str {
        "unchecked"
    }

    fn check_host(&self, _: &str, _: &Peer) -> Result<(), Box<dyn Error + Send + Sync>> {
        panic!("{SECRET}")
    }

    fn handshake(
        &self,
        io: BoxedIo,
        _: ClientHandshakeInfo<'_>,
    ) -> impl Future<Output = HandshakeResult> + Send {
        ready(Ok(Secured::new(io, AuthInfo::insecure())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_check_host_ends_the_call_alone() {
    let server = serve(StubService::echo());
    let credentials = ChannelCredentials::new(Unchecked);
    let builder = channel_builder("passthrough:///stub.test", credentials);
    let conn = builder.dialer(server.connector()).build();
    let client = StubClient::new(conn.expect("a valid channel"));
    let what = "the check_host of the channel's credentials";
    let call = client.unary(msg("")).authority("other.test");
    assert_panicked(soon(call.into_future()).await, what);
    let call = client.bidi_streaming().authority("other.test");
    assert_panicked(soon(call.into_future()).await, what);
    assert_goes_on(&client).await;
}

/// Panics before the rest of the chain, if the metadata says so, or behind it.
async fn panicking(call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
    let at = call
        .options()
        .metadata()
        .get("panic")
        .unwrap_or_default()
        .to_owned();
    assert_ne!(at, "before", "{SECRET}");
    let reply = next.run(call).await;
    assert_ne!(at, "behind", "{SECRET}");
    reply
}

/// Panics when it is called, not when its future is polled.
fn panicking_at_once(
    call: OutgoingCall,
    next: ClientNext,
) -> impl Future<Output = Result<ClientReply, Status>> + Send {
    let at = call.options().metadata().get("panic").unwrap_or_default();
    assert_ne!(at, "at once", "{SECRET}");
    async move { next.run(call).await }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_interceptor_ends_the_call_alone() {
    let what = "an interceptor of the call";
    let server = serve(StubService::echo());
    let conns = [
        channel(&server, |builder| {
            builder
                .interceptor(panicking)
                .interceptor(panicking_at_once)
        }),
        channel(&server, |builder| {
            builder
                .interceptor(panicking_at_once)
                .interceptor(panicking)
        }),
    ];
    for client in conns.map(StubClient::new) {
        for at in ["at once", "before", "behind"] {
            let call = client.unary(msg("")).metadata("panic", at);
            assert_panicked(soon(call.into_future()).await, what);
            let call = client.bidi_streaming().metadata("panic", at);
            assert_panicked(soon(call.into_future()).await, what);
        }
        assert_goes_on(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_interceptor_panics_tells_its_hooks_of_the_end() {
    let server = serve(StubService::echo());
    let client = StubClient::new(channel(&server, |builder| builder.interceptor(panicking)));
    let (sender, ended) = std::sync::mpsc::channel();
    let call = client.unary(msg("")).metadata("panic", "before");
    let call = call.on_finish(move |outcome| {
        sender.send(outcome.map_err(Status::code)).expect("a test");
    });
    soon(call.into_future()).await.expect_err("it panics");
    assert_eq!(ended.try_recv(), Ok(Err(Code::Internal)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_on_finish_hook_changes_no_end() {
    let server = serve(StubService::echo());
    let client = server.client();
    let call = client.unary(msg("")).on_finish(|_| panic!("{SECRET}"));
    soon(call.into_future()).await.expect("OK");
    let call = client.bidi_streaming().on_finish(|_| panic!("{SECRET}"));
    let (mut requests, mut responses) = soon(call.into_future()).await.expect("a stream");
    requests.close();
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
    // Dropped before its end.
    let call = client.bidi_streaming().on_finish(|_| panic!("{SECRET}"));
    drop(soon(call.into_future()).await.expect("a stream"));
    assert_goes_on(&client).await;
}

/// Message interceptors that panic in one place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Messages {
    Sending,
    Received,
    PollSend,
    PollReceive,
}

impl Messages {
    fn pass(self, place: Self) {
        assert!(self != place, "{SECRET}");
    }
}

impl MessageInterceptor for Messages {
    fn received(&self, _: &MessageView<'_>) -> Result<(), Status> {
        self.pass(Self::Received);
        Ok(())
    }

    fn sending(&self, _: &MessageView<'_>) -> Result<(), Status> {
        self.pass(Self::Sending);
        Ok(())
    }

    fn poll_receive(&self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.pass(Self::PollReceive);
        Poll::Ready(Ok(()))
    }

    fn poll_send(&self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.pass(Self::PollSend);
        Poll::Ready(Ok(()))
    }
}

/// Sends a message and receives one, in a call that has both halves.
async fn exchange(client: &StubClient<impl rgrpc::Invoke>) -> Result<Option<Message>, Status> {
    let (mut requests, mut responses) = soon(client.bidi_streaming().into_future()).await?;
    soon(requests.send(msg("one"))).await?;
    soon(responses.recv()).await
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_message_interceptor_ends_the_call_alone() {
    let what = "a message interceptor of the call";
    let server = serve(StubService::echo());
    let conn = channel(&server, |builder| builder);
    for place in [
        Messages::Sending,
        Messages::Received,
        Messages::PollSend,
        Messages::PollReceive,
    ] {
        let client = StubClient::new(conn.clone().intercepted(
            move |mut call: OutgoingCall, next: ClientNext| {
                call.intercept_messages(place);
                next.run(call)
            },
        ));
        assert_panicked(exchange(&client).await, what);
        if matches!(place, Messages::Sending | Messages::Received) {
            assert_panicked(soon(client.unary(msg("")).into_future()).await, what);
        }
        assert_goes_on(&StubClient::new(conn.clone())).await;
    }
}

/// A codec that panics for messages with this body when it encodes or decodes them.
#[derive(Clone, Copy)]
struct Fragile;

impl Codec<Message> for Fragile {
    const NAME: &'static str = <ProtoCodec as Codec<Message>>::NAME;

    fn encoded_len(message: &Message) -> usize {
        ProtoCodec::encoded_len(message)
    }

    fn encode(message: &Message, buffer: &mut MessageBuffer) -> Result<(), CodecError> {
        assert_ne!(text(message), "encode", "{SECRET}");
        ProtoCodec::encode(message, buffer)
    }

    fn decode(bytes: MessageBytes) -> Result<Message, CodecError> {
        let message = ProtoCodec::decode(bytes)?;
        assert_ne!(text(&message), "decode", "{SECRET}");
        Ok(message)
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_codec_ends_the_call_alone() {
    let what = "the codec of the call";
    let server = serve(StubService::echo());
    let conn = channel(&server, |builder| builder);
    for at in ["encode", "decode"] {
        let call: UnaryCall<'_, _, Message, Message, _> =
            UnaryCall::new(&conn, Fragile, STUB_UNARY, Request::new(msg(at)));
        assert_panicked(soon(call.into_future()).await, what);
        let call: BidiStreamingCall<'_, _, Message, Message, _> =
            BidiStreamingCall::new(&conn, Fragile, STUB_BIDI_STREAMING);
        let (mut requests, mut responses) = soon(call.into_future()).await.expect("a stream");
        let sent = soon(requests.send(msg(at))).await;
        if at == "encode" {
            assert_panicked(sent, what);
        } else {
            sent.expect("it is sent");
            assert_panicked(soon(responses.recv()).await, what);
        }
        assert_goes_on(&StubClient::new(conn.clone())).await;
    }
}

/// A compressor that changes nothing, and may panic.
struct Flat {
    compress: bool,
    decompress: bool,
}

impl Compressor for Flat {
    fn name(&self) -> &str {
        "x-flat"
    }

    fn compress(&self, message: MessageBytes, output: &mut Vec<u8>) -> io::Result<()> {
        assert!(!self.compress, "{SECRET}");
        output.put(message);
        Ok(())
    }

    fn decompress(&self, message: MessageBytes) -> io::Result<Box<dyn Read + '_>> {
        assert!(!self.decompress, "{SECRET}");
        Ok(Box::new(message.reader()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_compressor_ends_the_call_alone() {
    let sound = Flat {
        compress: false,
        decompress: false,
    };
    let server = serve_with(new_server().compressor(sound), StubService::echo());
    for compress in [true, false] {
        let flat = Flat {
            compress,
            decompress: !compress,
        };
        let conn = channel(&server, |builder| builder.compressor(flat));
        let client = StubClient::new(conn.clone());
        let what = match compress {
            true => "the codec or the compressor of the call",
            false => "the decompressor of the call",
        };
        let call = client.unary(msg("abc")).compressor("x-flat");
        assert_panicked(soon(call.into_future()).await, what);
        let call = client.bidi_streaming().compressor("x-flat");
        let (mut requests, mut responses) = soon(call.into_future()).await.expect("a stream");
        let sent = soon(requests.send(msg("abc"))).await;
        if compress {
            assert_panicked(sent, what);
            let prepared = PreparedMessage::new(ProtoCodec, &msg("abc")).expect("it is encoded");
            let sent = soon(requests.send_prepared(&prepared)).await;
            assert_panicked(sent, "the compressor of the call");
        } else {
            sent.expect("it is sent");
            assert_panicked(soon(responses.recv()).await, what);
        }
        assert_goes_on(&client).await;
    }
}

/// A hedged call runs the same code from a call of its own kind.
#[tokio::test(start_paused = true)]
async fn a_panic_in_a_hedged_call_ends_the_call_alone() {
    let server = serve(
        StubService::new()
            .unary(async |request| Ok::<_, Status>(Response::new(msg(text(request.message()))))),
    );
    let conn = channel(&server, |builder| {
        builder.default_service_config(
            r#"{"methodConfig": [{"name": [{}], "hedgingPolicy":
                {"maxAttempts": 2, "hedgingDelay": "1s"}}]}"#,
        )
    });
    for (at, what) in [
        ("encode", "the codec of the call"),
        ("decode", "the codec of the call"),
    ] {
        let call: UnaryCall<'_, _, Message, Message, _> =
            UnaryCall::new(&conn, Fragile, STUB_UNARY, Request::new(msg(at)));
        assert_panicked(soon(call.into_future()).await, what);
    }
    let client = StubClient::new(conn);
    let call = client
        .unary(msg(""))
        .per_rpc_credentials(Credentials::Polled);
    assert_panicked(soon(call.into_future()).await, "the per-RPC credentials");
    assert_goes_on(&client).await;
}
