//! The options of a call, and the defaults of its channel.
//!
//! Source: grpc-go's tests `TestOnFinish…`, `TestCallAuthority…`, `TestAuthority…`,
//! `TestPeer…`, `TestPerRPCCredentials…`, `TestPreparedMsg…`.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rgrpc::credentials::{MetadataFuture, PerRpcCredentials, RequestInfo, SecurityLevel};
use rgrpc::io::Address;
use rgrpc::{
    BuildError, CallOptions, ClientConn, ClientConnBuilder, Code, Metadata, PreparedMessage,
    ProtoCodec, Response, Status, UnaryCall, credentials,
};
use rgrpc_e2e::{
    Message, STUB_UNARY, StubClient, StubService, TestServer, channel_builder, msg, scripted,
    serve, settle, soon, text,
};
use rgrpc_test_support::{grpc_response, grpc_trailers};

fn conn(
    server: &TestServer,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> ClientConn {
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure());
    let builder = options(builder.dialer(server.connector()));
    builder.build().expect("a valid channel")
}

/// A hook that keeps the ends of its calls.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<Option<Code>>>>);

impl Ends {
    /// A hook; `None` stands for OK.
    fn hook(&self) -> impl Fn(Result<(), &Status>) + Send + Sync + 'static {
        let ends = self.clone();
        move |outcome| {
            let code = outcome.err().map(Status::code);
            ends.0.lock().expect("not poisoned").push(code);
        }
    }

    fn take(&self) -> Vec<Option<Code>> {
        std::mem::take(&mut *self.0.lock().expect("not poisoned"))
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_call_is_reported_once_with_its_status() {
    let service =
        StubService::echo().unary(async |request| match request.message().body.is_empty() {
            true => Err(Status::not_found("nothing")),
            false => Ok(Response::new(request.into_message())),
        });
    let server = serve(service);
    let client = server.client();
    let ends = Ends::default();

    client
        .unary(msg("a"))
        .on_finish(ends.hook())
        .await
        .expect("OK");
    assert_eq!(ends.take(), [None]);
    let call = client.unary(msg("")).on_finish(ends.hook());
    call.await.expect_err("nothing");
    assert_eq!(ends.take(), [Some(Code::NotFound)]);
    // A failure on this side is an end as well.
    let call = client.unary(msg("a")).metadata("not a key", "");
    call.on_finish(ends.hook()).await.expect_err("malformed");
    assert_eq!(ends.take(), [Some(Code::Internal)]);
    let call = client.bidi_streaming().metadata("not a key", "");
    call.on_finish(ends.hook()).await.expect_err("malformed");
    assert_eq!(ends.take(), [Some(Code::Internal)]);

    let call = client.server_streaming(msg("a")).max_send_message_size(1);
    call.on_finish(ends.hook()).await.expect_err("too large");
    assert_eq!(ends.take(), [Some(Code::ResourceExhausted)]);

    let call = client.bidi_streaming().on_finish(ends.hook());
    let (mut requests, mut responses) = call.await.expect("a stream");
    requests.send(msg("a")).await.expect("sent");
    soon(responses.recv()).await.expect("OK").expect("one");
    requests.close();
    assert_eq!(ends.take(), []);
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
    assert_eq!(ends.take(), [None]);
    drop((requests, responses));
    assert_eq!(ends.take(), []);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_or_late_tells_that() {
    let server = serve(
        StubService::new()
            .unary(|_| pending())
            .bidi_streaming(|_, _| pending()),
    );
    let client = server.client();
    let ends = Ends::default();

    let dropped = tokio::spawn({
        let (client, hook) = (client.clone(), ends.hook());
        async move { client.unary(msg("")).on_finish(hook).await }
    });
    settle().await;
    assert_eq!(ends.take(), []);
    dropped.abort();
    settle().await;
    assert_eq!(ends.take(), [Some(Code::Cancelled)]);

    let call = client.unary(msg("")).timeout(Duration::from_secs(1));
    call.on_finish(ends.hook()).await.expect_err("late");
    assert_eq!(ends.take(), [Some(Code::DeadlineExceeded)]);

    let call = client.bidi_streaming().on_finish(ends.hook());
    drop(call.await.expect("a stream"));
    assert_eq!(ends.take(), [Some(Code::Cancelled)]);

    // Nobody polls it when its time is over.
    let call = client.bidi_streaming().timeout(Duration::from_secs(1));
    let halves = call.on_finish(ends.hook()).await.expect("a stream");
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(halves);
    assert_eq!(ends.take(), [Some(Code::DeadlineExceeded)]);

    let call = client.unary(msg("")).on_finish(ends.hook());
    drop(call);
    assert_eq!(ends.take(), [], "it has not begun");
}

#[tokio::test(start_paused = true)]
async fn a_response_tells_whom_it_came_from() {
    let server = serve(StubService::echo());
    let client = server.client();
    let response = client.unary(msg("a")).await.expect("OK");
    let peer = response.peer().expect("it came by a connection");
    assert_eq!(peer.remote, Address::Pipe);
    assert_eq!(peer.tls(), None);

    let (mut requests, mut responses) = client.bidi_streaming().await.expect("a stream");
    assert!(responses.peer().is_none(), "no server has answered");
    requests.send(msg("a")).await.expect("sent");
    soon(responses.recv()).await.expect("OK").expect("one");
    let peer = responses.peer().expect("one has");
    assert_eq!(peer.remote, Address::Pipe);
    assert!(Response::new(()).peer().is_none());
}

/// Echoes the metadata of these keys, and the authority.
fn showing(keys: &'static [&'static str]) -> StubService {
    StubService::new().unary(move |request| {
        let metadata = request.metadata();
        let shown = keys.iter().map(|key| {
            let values = metadata.get_all(key).map(String::from_utf8_lossy);
            format!("{key}={}", values.collect::<Vec<_>>().join(","))
        });
        let shown = shown.collect::<Vec<_>>().join(" ");
        async move { Ok(Response::new(msg(shown))) }
    })
}

async fn shown(call: impl IntoFuture<Output = Result<Response<Message>, Status>>) -> String {
    let response = soon(call.into_future()).await.expect("OK");
    text(response.message()).to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_channels_defaults_are_for_what_a_call_does_not_say() {
    let server = serve(showing(&[":authority", "key"]));
    let ends = Ends::default();
    let mut defaults = CallOptions::new();
    defaults.append_metadata("key", "default");
    defaults.set_authority("default.test");
    defaults.on_finish(ends.hook());
    let client = StubClient::new(conn(&server, |builder| {
        builder.default_call_options(defaults)
    }));
    assert_eq!(
        shown(client.unary(msg(""))).await,
        ":authority=default.test key=default"
    );
    let call = client.unary(msg("")).authority("own.test");
    assert_eq!(
        shown(call.metadata("key", "own")).await,
        ":authority=own.test key=default,own"
    );
    assert_eq!(ends.take(), [None, None]);
}

#[test]
fn an_invalid_default_is_refused() {
    let with = |options| {
        channel_builder("localhost", credentials::insecure())
            .default_call_options(options)
            .build()
            .expect_err("it cannot be a default")
    };
    let mut options = CallOptions::new();
    options.append_metadata("not a key", "");
    assert!(matches!(with(options), BuildError::DefaultCallOptions(_)));
}

#[tokio::test]
async fn a_deadline_cannot_be_a_default() {
    let mut options = CallOptions::new();
    options.timeout(Duration::from_secs(1));
    let error = channel_builder("localhost", credentials::insecure())
        .default_call_options(options)
        .build()
        .expect_err("a point in time");
    let text = error.to_string();
    assert!(
        text.contains("the option is default_call_options"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_can_have_an_authority_of_its_own() {
    let server = serve(showing(&[":authority"]));
    let client = server.client();
    for (authority, expected) in [
        (None, ":authority=stub.test"),
        (Some("other.test:8080"), ":authority=other.test:8080"),
        (None, ":authority=stub.test"),
    ] {
        let call = client.unary(msg(""));
        let call = match authority {
            Some(authority) => call.authority(authority),
            None => call,
        };
        assert_eq!(shown(call).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_cannot_be_sent_fails_the_call_before_anything_is_sent() {
    let server = serve(StubService::echo());
    let client = server.client();
    let call = client.unary(msg("")).authority("no host");
    let status = call.await.expect_err("malformed");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("\"no host\""), "{status}");
}

/// Credentials that put what they are asked for into `asked-for`.
struct Told {
    secure: bool,
    outcome: Result<(), Code>,
}

const TOLD: Told = Told {
    secure: false,
    outcome: Ok(()),
};

impl PerRpcCredentials for Told {
    fn metadata<'a>(&'a self, request: RequestInfo<'a>) -> MetadataFuture<'a> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.outcome.map_err(|code| Status::new(code, "no token"))?;
            let mut metadata = Metadata::new();
            let asked = format!("{} {}", request.method(), request.service_url());
            metadata
                .append("asked-for", asked)
                .map_err(|error| Status::internal(error.to_string()))?;
            Ok(metadata)
        })
    }

    fn min_security_level(&self) -> SecurityLevel {
        if self.secure {
            SecurityLevel::PrivacyAndIntegrity
        } else {
            SecurityLevel::NoSecurity
        }
    }

    fn name(&self) -> &str {
        "told"
    }
}

const ASKED: &str = "/rgrpc.e2e.Stub/Unary https://stub.test/rgrpc.e2e.Stub";

#[tokio::test(start_paused = true)]
async fn credentials_of_the_channel_and_of_the_call_add_metadata() {
    let server = serve(showing(&["key", "asked-for"]));
    let client = server.client();
    let call = client.unary(msg("")).metadata("key", "own");
    assert_eq!(
        shown(call.per_rpc_credentials(TOLD)).await,
        format!("key=own asked-for={ASKED}")
    );
    let both = conn(&server, |builder| {
        builder.per_rpc_credentials(TOLD).per_rpc_credentials(TOLD)
    });
    let client = StubClient::new(both);
    assert_eq!(
        shown(client.unary(msg("")).per_rpc_credentials(TOLD)).await,
        format!("key= asked-for={ASKED},{ASKED},{ASKED}")
    );
}

#[tokio::test(start_paused = true)]
async fn credentials_that_need_security_are_not_sent_without() {
    let secure = || Told {
        secure: true,
        ..TOLD
    };
    let error = channel_builder("localhost", credentials::insecure())
        .per_rpc_credentials(secure())
        .build()
        .expect_err("insecure");
    assert!(matches!(error, BuildError::PerRpcCredentials(ref name) if name == "told"));
    assert!(error.to_string().contains("told"), "{error}");

    let server = serve(StubService::echo());
    let client = server.client();
    let call = client.unary(msg("")).per_rpc_credentials(secure());
    let status = call.await.expect_err("insecure");
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().contains("told"), "{status}");
    let call = client.bidi_streaming().per_rpc_credentials(secure());
    assert_eq!(
        call.await.expect_err("insecure").code(),
        Code::Unauthenticated
    );
}

#[tokio::test(start_paused = true)]
async fn credentials_that_fail_fail_the_call_and_are_named() {
    let server = serve(StubService::echo());
    let client = server.client();
    for (code, expected) in [
        (Code::Unauthenticated, Code::Unauthenticated),
        (Code::Unavailable, Code::Unavailable),
        // As if a server had said so about the call's arguments, which none has (gRFC A54).
        (Code::NotFound, Code::Internal),
    ] {
        let call = client.unary(msg("")).per_rpc_credentials(Told {
            outcome: Err(code),
            ..TOLD
        });
        let status = call.await.expect_err("no token");
        assert_eq!(status.code(), expected);
        assert!(status.message().contains("credentials told"), "{status}");
        assert!(status.message().contains("no token"), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_credentials_as_well() {
    let server = serve(StubService::echo());
    let client = server.client();
    let call = client.unary(msg("")).timeout(Duration::from_millis(2));
    let status = call
        .per_rpc_credentials(TOLD)
        .await
        .expect_err("it takes 5 ms");
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_encoded_once_and_sent_many_times() {
    let server = serve(StubService::echo());
    let conn = conn(&server, |builder| builder);
    let prepared = PreparedMessage::new(ProtoCodec, &msg("again")).expect("short");
    for _ in 0..3 {
        let call = UnaryCall::new(&conn, ProtoCodec, STUB_UNARY, prepared.clone().into());
        let response: Response<Message> = call.await.expect("OK");
        assert_eq!(text(response.message()), "again");
    }
    let client = StubClient::new(conn.clone());
    let (mut requests, mut responses) = client.bidi_streaming().await.expect("a stream");
    for _ in 0..3 {
        requests.send_prepared(&prepared).await.expect("sent");
        let response = soon(responses.recv()).await.expect("OK").expect("one");
        assert_eq!(text(&response), "again");
    }
    requests.close();
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);

    let call = UnaryCall::new(&conn, ProtoCodec, STUB_UNARY, prepared.clone().into());
    let call: UnaryCall<'_, _, _, Message> = call.max_send_message_size(3);
    let status = call.await.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn trailers_of_a_stream_come_with_its_reported_end() {
    let (conn, mut server) = scripted();
    let client = StubClient::new(conn);
    let ends = Ends::default();
    let call = tokio::spawn({
        let hook = ends.hook();
        async move {
            let mut responses = client.server_streaming(msg("")).on_finish(hook).await?;
            while responses.recv().await?.is_some() {}
            Ok::<_, Status>(responses)
        }
    });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(grpc_response(1)).await;
    peer.send(grpc_trailers(1, 0).field("x-end", "well")).await;
    let responses = soon(call).await.expect("no panic").expect("OK");
    assert_eq!(responses.trailer().get("x-end"), Some("well"));
    assert_eq!(ends.take(), [None]);
}
