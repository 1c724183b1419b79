//! Interceptors of a client: when they run, what they see, and what they may do.
//!
//! Source: grpc-go's `TestUnaryClientInterceptor`, `TestStreamClientInterceptor`,
//! `TestChainUnaryClientInterceptor`, `TestChainStreamClientInterceptor`; connect-go's
//! `interceptor_ext_test.go`.

mod answers;
mod call_ends;
mod messages;

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rgrpc::credentials::{MetadataFuture, PerRpcCredentials, RequestInfo, SecurityLevel};
use rgrpc::prost::Message as _;
use rgrpc::prost_types::{FileDescriptorSet, MethodDescriptorProto};
use rgrpc::{
    CallKind, CallOptions, CallOutcome, CancelHandle, ClientConn, ClientConnBuilder,
    ClientInterceptor, ClientNext, ClientReply, Code, EndedBy, FileDesc, IncomingCall, Intercepted,
    Invoke, MessageInterceptor, MessageView, Metadata, MethodDescriptor, MethodInfo, MethodName,
    OutgoingCall, ProtoCodec, Request, Response, ServerNext, ServiceInfo, Status, StubMethod,
    UnaryCall, credentials, test_streams,
};
use rgrpc_e2e::proto::STUB_DESCRIPTOR_SET;
use rgrpc_e2e::{
    Message, STUB_CLIENT_STREAMING, STUB_UNARY, StubClient, StubService, TestServer,
    channel_builder, encoded, framed, msg, new_server, scripted_by, serve, serve_with, settle,
    soon, text,
};
use rgrpc_test_support::{ErrorCode, data, grpc_response, grpc_trailers, rst_stream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

type Reply = Result<ClientReply, Status>;

/// The recorded events, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, entry: impl Into<String>) {
        self.0.lock().expect("no panic").push(entry.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

/// A channel to the server with these options.
fn channel(
    server: &TestServer,
    options: impl FnOnce(ClientConnBuilder) -> ClientConnBuilder,
) -> ClientConn {
    let builder = channel_builder("passthrough:///stub.test", credentials::insecure())
        .dialer(server.connector());
    options(builder).build().expect("valid")
}

/// A channel to an echo server with this interceptor.
fn echo(interceptor: impl ClientInterceptor) -> (TestServer, StubClient) {
    let server = serve(StubService::echo());
    let conn = channel(&server, |builder| builder.interceptor(interceptor));
    (server, StubClient::new(conn))
}

async fn call(client: &StubClient, body: &str) -> Result<Response<Message>, Status> {
    soon(async { client.unary(msg(body)).await }).await
}

/// An interceptor that notes when it begins and how the rest has ended.
fn noting(name: &'static str, diary: &Diary) -> impl ClientInterceptor {
    let diary = diary.clone();
    move |call: OutgoingCall, next: ClientNext| {
        let diary = diary.clone();
        async move {
            diary.note(format!("{name} begins"));
            let reply = next.run(call).await;
            diary.note(match &reply {
                Ok(_) => format!("{name} ends"),
                Err(status) => format!("{name} ends with {}", status.code()),
            });
            reply
        }
    }
}

/// Makes a call of each kind with the message "a"; returns the outcomes.
async fn call_each_kind(client: &StubClient) -> Vec<Result<String, Status>> {
    let unary = call(client, "a").await;
    let mut outcomes = vec![unary.map(|response| text(response.message()).to_owned())];
    let streaming = async {
        let mut responses = client.server_streaming(msg("a")).await?;
        let mut bodies = String::new();
        while let Some(response) = responses.recv().await? {
            bodies.push_str(text(&response));
        }
        Ok(bodies)
    };
    outcomes.push(soon(streaming).await);
    let streaming = async {
        let mut call = client.client_streaming().await?;
        call.send(msg("a")).await?;
        let response = call.close_and_recv().await?;
        Ok(text(response.message()).to_owned())
    };
    outcomes.push(soon(streaming).await);
    let streaming = async {
        let (mut requests, mut responses) = client.bidi_streaming().await?;
        requests.send(msg("a")).await?;
        requests.close();
        let mut bodies = String::new();
        while let Some(response) = responses.recv().await? {
            bodies.push_str(text(&response));
        }
        Ok(bodies)
    };
    outcomes.push(soon(streaming).await);
    outcomes
}

#[tokio::test(start_paused = true)]
async fn the_first_interceptor_is_the_outermost_and_those_of_a_stub_are_outside() {
    let diary = Diary::default();
    let told = diary.clone();
    let server = serve(StubService::new().unary(move |request| {
        told.note("handler");
        async { Ok(Response::new(request.into_message())) }
    }));
    let conn = channel(&server, |builder| {
        builder
            .interceptor(noting("three", &diary))
            .interceptor(noting("four", &diary))
    });
    let stub = StubClient::new(
        conn.intercepted(noting("one", &diary))
            .intercepted(noting("two", &diary)),
    );
    soon(async { stub.unary(msg("")).await }).await.expect("OK");
    let around = [
        "one begins",
        "two begins",
        "three begins",
        "four begins",
        "handler",
        "four ends",
        "three ends",
        "two ends",
        "one ends",
    ];
    assert_eq!(diary.take(), around);

    // The channel's alone.
    call(&StubClient::new(conn.clone()), "").await.expect("OK");
    assert_eq!(diary.take().len(), 5);

    // A wrapper of a wrapper, and one whose channel has none.
    let wrapped = Intercepted::new(
        conn.intercepted(noting("two", &diary)),
        noting("one", &diary),
    );
    let stub = StubClient::new(wrapped);
    soon(async { stub.unary(msg("")).await }).await.expect("OK");
    assert_eq!(diary.take(), around);
    let stub = StubClient::new(server.conn().intercepted(noting("one", &diary)));
    soon(async { stub.unary(msg("")).await }).await.expect("OK");
    assert_eq!(diary.take(), ["one begins", "handler", "one ends"]);
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_runs_once_for_a_call_of_each_kind() {
    let diary = Diary::default();
    let (_server, client) = echo(noting("it", &diary));
    for outcome in call_each_kind(&client).await {
        assert_eq!(outcome.expect("OK"), "a");
    }
    assert_eq!(diary.take(), ["it begins", "it ends"].repeat(4));
}

#[derive(Clone, Debug, PartialEq)]
struct Tenant(&'static str);

#[tokio::test(start_paused = true)]
async fn an_interceptor_sees_method_kind_deadline_options_and_extensions() {
    let diary = Diary::default();
    let told = diary.clone();
    let see = move |call: OutgoingCall, next: ClientNext| {
        told.note(format!(
            "{} {} {} {} {:?} {} {} {:?}",
            call.service_name(),
            call.method_name(),
            call.kind(),
            call.deadline().is_some(),
            call.metadata().get("x-own"),
            call.options().wait_for_ready(),
            call.options().max_receive_message_size(),
            call.extensions().get::<Tenant>().map(|tenant| tenant.0),
        ));
        assert!(call.parent().is_none());
        next.run(call)
    };
    let server = serve(StubService::echo());
    let mut defaults = CallOptions::new();
    defaults.set_max_receive_message_size(77);
    let conn = channel(&server, |builder| {
        builder.default_call_options(defaults).interceptor(see)
    });
    let client = StubClient::new(conn);
    soon(async {
        client
            .unary(msg(""))
            .timeout(Duration::from_secs(1))
            .metadata("x-own", "1")
            .wait_for_ready(true)
            .extension(Tenant("acme"))
            .await
    })
    .await
    .expect("OK");
    for outcome in call_each_kind(&client).await {
        outcome.expect("OK");
    }
    let seen = diary.take();
    assert_eq!(
        seen[0],
        "rgrpc.e2e.Stub Unary unary true Some(\"1\") true 77 Some(\"acme\")"
    );
    for (seen, expected) in seen[1..].iter().zip([
        "Unary unary",
        "ServerStreaming server-streaming",
        "ClientStreaming client-streaming",
        "BidiStreaming bidirectional",
    ]) {
        assert_eq!(
            *seen,
            format!("rgrpc.e2e.Stub {expected} false None false 77 None")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_opened_without_a_stub_is_of_the_kind_in_its_method_s_descriptor() {
    static SERVICE: ServiceInfo = ServiceInfo::new(
        "rgrpc.e2e.Stub",
        &[
            MethodInfo::server_streaming("ServerStreaming"),
            MethodInfo::client_streaming("ClientStreaming"),
            MethodInfo::bidi_streaming("BidiStreaming"),
        ],
        FileDesc {
            name: "stub.proto",
            descriptor_set: b"",
        },
    );
    static SERVER_STREAMING: StubMethod =
        StubMethod::new("/rgrpc.e2e.Stub/ServerStreaming", &SERVICE, 0);
    static CLIENT_STREAMING: StubMethod =
        StubMethod::new("/rgrpc.e2e.Stub/ClientStreaming", &SERVICE, 1);
    static BIDI_STREAMING: StubMethod =
        StubMethod::new("/rgrpc.e2e.Stub/BidiStreaming", &SERVICE, 2);

    let diary = Diary::default();
    let told = diary.clone();
    let server = serve(StubService::echo());
    let conn = channel(&server, |builder| {
        builder.interceptor(move |call: OutgoingCall, next: ClientNext| {
            told.note(call.kind().to_string());
            next.run(call)
        })
    });
    for (method, kind) in [
        (MethodName::from(&SERVER_STREAMING), "server-streaming"),
        (MethodName::from(&CLIENT_STREAMING), "client-streaming"),
        (MethodName::from(&BIDI_STREAMING), "bidirectional"),
        (STUB_CLIENT_STREAMING.into(), "bidirectional"),
    ] {
        let options = CallOptions::new();
        let opened = conn.new_stream::<_, Message, Message>(ProtoCodec, method, options);
        let (mut requests, mut responses) = soon(opened).await.expect("begun");
        soon(requests.send(msg("a"))).await.expect("sent");
        requests.close();
        let response = soon(responses.recv()).await.expect("OK").expect("one");
        assert_eq!(response, msg("a"), "{kind}");
        assert_eq!(diary.take(), [kind]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_sees_the_descriptor_of_a_stub_s_method_and_none_without_a_stub() {
    let diary = Diary::default();
    let told = diary.clone();
    let see = move |call: OutgoingCall, next: ClientNext| {
        told.note(match call.descriptor() {
            None => "none".to_owned(),
            Some(MethodDescriptor {
                service, method, ..
            }) => {
                let set = FileDescriptorSet::decode(service.file.descriptor_set).expect("valid");
                let last = set.file.last().expect("the file itself");
                assert_eq!(last.name(), service.file.name);
                let declared = last.service[0].method.iter();
                let declared: Vec<_> = declared.map(MethodDescriptorProto::name).collect();
                assert!(declared.contains(&method.name));
                let kind = CallKind::new(method.client_streams, method.server_streams);
                assert_eq!(kind, call.kind());
                format!("{}/{}", service.name, method.name)
            }
        });
        next.run(call)
    };
    let descriptor_set: Arc<Mutex<&'static [u8]>> = Arc::default();
    let of_server = Arc::clone(&descriptor_set);
    let server = new_server().interceptor(move |call: IncomingCall, next: ServerNext| {
        let found = call.descriptor().map(|found| found.service.file);
        *of_server.lock().expect("no panic") = found.expect("known").descriptor_set;
        async move { next.run(call).await }
    });
    let server = serve_with(server, StubService::echo());
    let conn = channel(&server, |builder| builder.interceptor(see));
    for outcome in call_each_kind(&StubClient::new(conn.clone())).await {
        assert_eq!(outcome.expect("OK"), "a");
    }
    let methods = [
        "Unary",
        "ServerStreaming",
        "ClientStreaming",
        "BidiStreaming",
    ];
    assert_eq!(
        diary.take(),
        methods.map(|method| format!("rgrpc.e2e.Stub/{method}"))
    );
    // The stub's name, in the channel's interceptors behind a wrapper of the channel.
    let wrapped =
        StubClient::new(conn.intercepted(async |call, next: ClientNext| next.run(call).await));
    soon(async { wrapped.unary(msg("")).await })
        .await
        .expect("OK");
    assert_eq!(diary.take(), ["rgrpc.e2e.Stub/Unary"]);

    for name in [STUB_UNARY.into(), STUB_UNARY.to_owned().into()] {
        let name: MethodName = name;
        let call = UnaryCall::<_, Message, Message>::new(&conn, ProtoCodec, name, msg("").into());
        soon(async { call.await }).await.expect("OK");
        assert_eq!(diary.take(), ["none"]);
    }
    // Both sides of a program have the bytes once.
    let of_server = *descriptor_set.lock().expect("no panic");
    assert!(std::ptr::eq(of_server, STUB_DESCRIPTOR_SET));
}

#[tokio::test(start_paused = true)]
async fn changed_metadata_options_and_extensions_reach_later_interceptors_and_the_server() {
    let server = serve(StubService::new().unary(async |request| {
        let added = request.metadata().get_all("x-added").count();
        let encoding = request.metadata().get("grpc-encoding").is_some();
        let has_deadline = request.deadline().is_some();
        Ok(Response::new(msg(format!(
            "{added} {encoding} {has_deadline}"
        ))))
    }));
    let conn = channel(&server, |builder| {
        builder
            .interceptor(async |mut call: OutgoingCall, next: ClientNext| {
                call.extensions_mut().insert(Tenant("acme"));
                call.metadata_mut().append("x-added", "1").expect("valid");
                call.options_mut().timeout(Duration::from_secs(1));
                next.run(call).await
            })
            .interceptor(async |mut call: OutgoingCall, next: ClientNext| {
                assert_eq!(call.extensions().get(), Some(&Tenant("acme")));
                assert_eq!(call.metadata().get("x-added"), Some("1"));
                assert!(call.deadline().is_some());
                call.options_mut().append_metadata("x-added", "2");
                next.run(call).await
            })
    });
    let response = call(&StubClient::new(conn), "").await.expect("OK");
    assert_eq!(text(response.message()), "2 false true");
}

#[tokio::test(start_paused = true)]
async fn a_call_made_in_a_handler_shows_the_call_that_it_serves() {
    let diary = Diary::default();
    let told = diary.clone();
    let (_backend, upstream) = echo(move |call: OutgoingCall, next: ClientNext| {
        let parent = call.parent().map(|parent| parent.method().to_owned());
        told.note(format!("{parent:?}"));
        next.run(call)
    });
    let front = serve(StubService::new().unary(move |request| {
        let upstream = upstream.clone();
        async move { upstream.unary(request.outgoing(msg("a"))).await }
    }));
    call(&front.client(), "").await.expect("OK");
    assert_eq!(diary.take(), ["Some(\"/rgrpc.e2e.Stub/Unary\")"]);
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_ends_a_call_of_each_kind_with_a_status() {
    let reached = Arc::new(AtomicBool::new(false));
    let server = serve(StubService::new());
    let conn = channel(&server, |builder| {
        let reached = Arc::clone(&reached);
        builder
            .interceptor(async |_: OutgoingCall, _: ClientNext| {
                Reply::Err(Status::permission_denied("not from here"))
            })
            .interceptor(move |call: OutgoingCall, next: ClientNext| {
                reached.store(true, Ordering::SeqCst);
                next.run(call)
            })
    });
    for outcome in call_each_kind(&StubClient::new(conn.clone())).await {
        assert_eq!(outcome.expect_err("refused").code(), Code::PermissionDenied);
    }
    assert!(!reached.load(Ordering::SeqCst));
    // Nothing has made the channel connect.
    assert_eq!(conn.state(), rgrpc::ConnectivityState::Idle);
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_answers_a_unary_call_itself() {
    let server = serve(StubService::new());
    let conn = channel(&server, |builder| {
        builder.interceptor(async |_: OutgoingCall, _: ClientNext| {
            let mut response = Response::new(msg("of the interceptor"));
            response.trailer_mut().append("x-by", "it").expect("valid");
            Ok(ClientReply::new(response))
        })
    });
    let response = call(&StubClient::new(conn), "").await.expect("OK");
    assert_eq!(text(response.message()), "of the interceptor");
    assert_eq!(response.trailer().get("x-by"), Some("it"));
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_answers_streaming_calls_by_halves_of_its_own() {
    let answer = async |call: OutgoingCall, next: ClientNext| {
        if call.kind() == CallKind::Unary {
            return next.run(call).await;
        }
        let (requests, responses, mut answer) = test_streams::<_, Message, Message>(ProtoCodec);
        tokio::spawn(async move {
            while let Ok(Some(request)) = answer.recv().await {
                let body = format!("not {}", text(&request));
                answer.send(msg(body)).await.expect("the caller is there");
            }
            answer.finish(Ok(Metadata::new()));
        });
        Ok(ClientReply::streams(requests, responses))
    };
    let (_server, client) = echo(answer);
    let outcomes: Vec<_> = call_each_kind(&client).await;
    let bodies: Vec<_> = outcomes.into_iter().map(|body| body.expect("OK")).collect();
    assert_eq!(bodies, ["a", "not a", "not a", "not a"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_type_or_kind_is_internal() {
    for unary in [true, false] {
        let (_server, client) = echo(move |_: OutgoingCall, _: ClientNext| async move {
            if unary {
                return Ok(ClientReply::new(Response::new("text")));
            }
            let (requests, responses, _) = test_streams::<_, (), ()>(ProtoCodec);
            Ok(ClientReply::streams(requests, responses))
        });
        for outcome in call_each_kind(&client).await {
            let status = outcome.expect_err("not the method's");
            assert_eq!(status.code(), Code::Internal);
            assert!(status.message().contains("an interceptor"), "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_read_and_changed() {
    let server = serve(StubService::new().unary(async |request| {
        request.set_header(Metadata::from_pairs([("x-head", "1")]).expect("valid"))?;
        request.set_trailer(Metadata::from_pairs([("x-tail", "1")]).expect("valid"));
        Ok(Response::new(request.into_message()))
    }));
    let conn = channel(&server, |builder| {
        builder.interceptor(async |call: OutgoingCall, next: ClientNext| {
            let mut reply = next.run(call).await?;
            assert!(!reply.is_streamed());
            assert_eq!(reply.metadata().get("x-head"), Some("1"));
            assert_eq!(reply.trailer().get("x-tail"), Some("1"));
            assert_eq!(
                reply.peer().expect("of the server").remote.to_string(),
                "pipe"
            );
            assert!(reply.message::<String>().is_none());
            assert!(reply.streams_mut::<Message, Message>().is_none());
            let head = reply.metadata_mut().expect("unary");
            head.append("x-head", "2").expect("valid");
            let tail = reply.trailer_mut().expect("unary");
            tail.append("x-tail", "2").expect("valid");
            *reply.message_mut::<Message>().expect("its type") = msg("changed");
            Ok(reply)
        })
    });
    let response = call(&StubClient::new(conn), "a").await.expect("OK");
    assert_eq!(text(response.message()), "changed");
    assert_eq!(response.metadata().get_all("x-head").count(), 2);
    assert_eq!(response.trailer().get_all("x-tail").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_halves_of_a_stream_are_read_before_the_caller_has_them() {
    let server = serve(
        StubService::new().bidi_streaming(async |request, responses| {
            request.send_header(Metadata::from_pairs([("x-head", "1")]).expect("valid"))?;
            drop(responses);
            Ok(())
        }),
    );
    let conn = channel(&server, |builder| {
        builder.interceptor(async |call: OutgoingCall, next: ClientNext| {
            let mut reply = next.run(call).await?;
            assert!(reply.is_streamed());
            assert!(reply.metadata().is_empty() && reply.metadata_mut().is_none());
            assert!(reply.trailer().is_empty() && reply.trailer_mut().is_none());
            assert!(reply.peer().is_none() && reply.message::<Message>().is_none());
            let streams = reply.streams_mut::<Message, Message>();
            let (_, responses) = streams.expect("of these types");
            assert_eq!(responses.header().await.get("x-head"), Some("1"));
            Ok(reply)
        })
    });
    let client = StubClient::new(conn);
    let (_requests, mut responses) = soon(async { client.bidi_streaming().await })
        .await
        .expect("begun");
    assert_eq!(soon(responses.header()).await.get("x-head"), Some("1"));
    assert_eq!(soon(responses.recv()).await.expect("OK"), None);
}

/// A service that fails the first call of each kind.
fn failing_first() -> (StubService, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let first = move || match count.fetch_add(1, Ordering::SeqCst) {
        0 => Err(Status::unavailable("at first")),
        _ => Ok(()),
    };
    let service = StubService::new().unary(move |request| {
        let begun = first();
        async move {
            begun?;
            Ok(Response::new(request.into_message()))
        }
    });
    (service, calls)
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_the_chain_runs_again_with_a_clone_of_the_call() {
    let (service, calls) = failing_first();
    let server = serve(service);
    let finished = Diary::default();
    let told = finished.clone();
    let conn = channel(&server, |builder| {
        builder.interceptor(async |call: OutgoingCall, next: ClientNext| {
            match next.run(call.clone()).await {
                Err(status) if status.code() == Code::Unavailable => next.run(call).await,
                reply => reply,
            }
        })
    });
    let client = StubClient::new(conn);
    let response = soon(async {
        let call = client.unary(msg("a"));
        call.on_finish(move |outcome| told.note(format!("{:?}", outcome.is_ok())))
            .await
    });
    assert_eq!(text(response.await.expect("the second run").message()), "a");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    // For the user it is one call.
    assert_eq!(finished.take(), ["true"]);
}

#[tokio::test(start_paused = true)]
async fn runs_may_be_under_way_at_once_and_a_dropped_one_is_cancelled() {
    let ended = Diary::default();
    let told = ended.clone();
    let calls = Arc::new(AtomicUsize::new(0));
    let server = serve(StubService::new().unary(move |request| {
        let hangs = calls.fetch_add(1, Ordering::SeqCst) == 0;
        let told = told.clone();
        let context = request.context().expect("in a handler").clone();
        context.on_end(move |outcome| told.note(outcome.code().to_string()));
        async move {
            if hangs {
                pending::<()>().await;
            }
            Ok(Response::new(request.into_message()))
        }
    }));
    let conn = channel(&server, |builder| {
        builder.interceptor(async |call: OutgoingCall, next: ClientNext| {
            let slow = next.run(call.clone());
            tokio::select! {
                biased;
                reply = slow => reply,
                reply = async {
                    settle().await;
                    next.run(call).await
                } => reply,
            }
        })
    });
    let response = call(&StubClient::new(conn), "a").await.expect("the second");
    assert_eq!(text(response.message()), "a");
    settle().await;
    let mut ends = ended.take();
    ends.sort_unstable();
    assert_eq!(ends, ["CANCELLED", "OK"]);
}

/// A service config that retries, and one that hedges, for all methods.
const RETRIES: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 3, "initialBackoff": "1s", "maxBackoff": "1s",
    "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]
}}]}"#;
const HEDGES: &str = r#"{"methodConfig": [{"name": [{}], "hedgingPolicy": {
    "maxAttempts": 3, "hedgingDelay": "1s", "nonFatalStatusCodes": ["UNAVAILABLE"]
}}]}"#;

/// Credentials that count how often they are asked.
struct Counting(Arc<AtomicUsize>);

impl PerRpcCredentials for Counting {
    fn metadata<'a>(&'a self, _: RequestInfo<'a>) -> MetadataFuture<'a> {
        let asked = self.0.fetch_add(1, Ordering::SeqCst);
        let metadata = Metadata::from_pairs([("x-asked", asked.to_string())]);
        Box::pin(async { metadata.map_err(|error| Status::internal(error.to_string())) })
    }

    fn min_security_level(&self) -> SecurityLevel {
        SecurityLevel::NoSecurity
    }
}

#[tokio::test(start_paused = true)]
async fn retries_hedges_and_credentials_are_inside_of_interceptors() {
    for config in [RETRIES, HEDGES] {
        let diary = Diary::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let (service, calls) = failing_first();
        let server = serve(service);
        let conn = channel(&server, |builder| {
            builder
                .default_service_config(config)
                .per_rpc_credentials(Counting(Arc::clone(&asked)))
                .interceptor(noting("it", &diary))
                .interceptor(async |call: OutgoingCall, next: ClientNext| {
                    assert!(call.metadata().get("x-asked").is_none());
                    next.run(call).await
                })
        });
        call(&StubClient::new(conn), "").await.expect("OK");
        assert_eq!(diary.take(), ["it begins", "it ends"]);
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_may_wait_and_the_deadline_bounds_the_rest() {
    let (_server, client) = echo(async |call: OutgoingCall, next: ClientNext| {
        tokio::time::sleep(Duration::from_secs(2)).await;
        next.run(call).await
    });
    call(&client, "").await.expect("it waits");
    let status = soon(async { client.unary(msg("")).timeout(Duration::from_secs(1)).await })
        .await
        .expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_is_dropped_with_the_call() {
    struct Dropped(Diary);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.note("dropped");
        }
    }
    let diary = Diary::default();
    let told = diary.clone();
    let (_server, client) = echo(move |call: OutgoingCall, next: ClientNext| {
        let guard = Dropped(told.clone());
        async move {
            pending::<()>().await;
            let reply = next.run(call).await;
            drop(guard);
            reply
        }
    });
    let made = tokio::spawn(async move { client.unary(msg("")).await });
    settle().await;
    assert_eq!(diary.take(), [""; 0]);
    made.abort();
    settle().await;
    assert_eq!(diary.take(), ["dropped"]);
}

/// An interceptor with state, which needs no `Arc` for it.
struct Limit {
    left: AtomicUsize,
}

impl ClientInterceptor for Limit {
    async fn intercept(&self, call: OutgoingCall, next: ClientNext) -> Reply {
        let took = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if took.is_err() {
            return Err(Status::resource_exhausted("too many calls"));
        }
        let reply = next.run(call).await;
        // Something is awaited, so that the reference is held across it.
        poll_fn(|_| Poll::Ready(())).await;
        self.left.fetch_add(1, Ordering::SeqCst);
        reply
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_may_be_a_type_with_state() {
    let left = AtomicUsize::new(1);
    let (_server, client) = echo(Limit { left });
    for _ in 0..3 {
        call(&client, "").await.expect("one at a time");
    }
    let none = AtomicUsize::new(0);
    let (_server, client) = echo(Limit { left: none });
    let status = call(&client, "").await.expect_err("none left");
    assert_eq!(status.code(), Code::ResourceExhausted);
}

/// A request is sent as it was passed, whatever the interceptors.
#[tokio::test(start_paused = true)]
async fn a_pass_through_interceptor_changes_nothing_on_the_wire() {
    let (conn, mut server) = scripted_by("passthrough:///stub.test", |builder| {
        builder.interceptor(|call: OutgoingCall, next: ClientNext| next.run(call))
    });
    let client = StubClient::new(conn);
    let made = tokio::spawn(async move {
        let request = Request::new(msg("please"));
        client.unary(request).metadata("x-own", "1").await
    });
    let mut peer = server.accept().await;
    let request = peer.expect_request(1).await;
    assert_eq!(request.messages[0].body, framed("please")[5..]);
    assert_eq!(request.headers.get("x-own"), Some("1"));
    peer.send(grpc_response(1)).await;
    peer.send(data(1, framed("answer"))).await;
    peer.send(grpc_trailers(1, 0)).await;
    let response = soon(made).await.expect("no panic").expect("OK");
    assert_eq!(text(response.message()), "answer");
}
