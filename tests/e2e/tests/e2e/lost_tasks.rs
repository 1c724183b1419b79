//! Waiters of a task are told when it has panicked, or was dropped with its runtime; a channel
//! then restarts.

mod panics;

use std::future::{pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use rgrpc::balancer::{
    Balancer, BalancerBuilder, BalancerOptions, BalancerUpdate, ChannelControl, Pick, PickInfo,
    PickResult, Picker, SubConnId, SubConnState,
};
use rgrpc::io::{Address, BoxedIo, Connected, Dial, Listener, PipeConnector, PipeListener, pipe};
use rgrpc::resolver::{
    Resolver, ResolverBuilder, ResolverControl, ResolverError, ResolverFuture, ResolverOptions,
    ResolverState, Target,
};
use rgrpc::{
    ClientConn, ClientConnBuilder, Code, ConnectivityState, RecvStream, SendStream, Status,
    credentials,
};
use rgrpc_e2e::{
    FnDialer, Message, StubClient, StubService, channel_builder, msg, new_server, register_stub,
    serve, settle, soon, text, unary,
};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

const SHUT_DOWN: &str = "the tokio runtime of its task was shut down";

/// The making and the end of a runtime: what a test holds for all of them.
#[derive(Clone, Copy, Debug)]
struct Kind {
    threads: bool,
    in_background: bool,
}

const KINDS: [Kind; 4] = [
    Kind {
        threads: false,
        in_background: false,
    },
    Kind {
        threads: true,
        in_background: false,
    },
    Kind {
        threads: false,
        in_background: true,
    },
    Kind {
        threads: true,
        in_background: true,
    },
];

impl Kind {
    fn start(self) -> Runtime {
        let mut builder = if self.threads {
            Builder::new_multi_thread()
        } else {
            Builder::new_current_thread()
        };
        let builder = builder.worker_threads(1).enable_all();
        builder.build().expect("a runtime")
    }

    fn end(self, runtime: Runtime) {
        if self.in_background {
            runtime.shutdown_background();
        } else {
            drop(runtime);
        }
    }
}

/// Runs this on another runtime than the channel's.
fn elsewhere<F: Future>(future: F) -> F::Output {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(soon(future))
}

/// A server with a runtime and a thread of its own, which outlive the channel's.
struct Elsewhere {
    connector: PipeConnector,
    _runtime: Runtime,
}

fn serve_elsewhere(service: StubService) -> Elsewhere {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let mut server = new_server();
    register_stub(&mut server, service).expect("a server without the stub service");
    let (listener, connector) = pipe();
    runtime.spawn(server.serve_listener(listener));
    Elsewhere {
        connector,
        _runtime: runtime,
    }
}

fn builder(dialer: impl Dial) -> ClientConnBuilder {
    channel_builder("passthrough:///stub.test", credentials::insecure()).dialer(dialer)
}

fn channel(dialer: impl Dial) -> ClientConn {
    builder(dialer).build().expect("a valid channel")
}

async fn echoes(conn: &ClientConn) {
    let client = StubClient::new(conn.clone());
    let response = client.unary(msg("hello")).await.expect("the call works");
    assert_eq!(text(response.message()), "hello");
}

/// Returns whether a future is not ready when it is polled once.
async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

fn expect_lost(status: &Status, texts: &[&str]) {
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    for text in texts {
        assert!(status.message().contains(text), "{status}");
    }
}

#[test]
fn a_channel_whose_runtime_is_gone_restarts_on_that_of_the_next_call() {
    for kind in KINDS {
        let server = serve_elsewhere(StubService::echo());
        let conn = channel(server.connector.clone());
        for _ in 0..3 {
            let runtime = kind.start();
            runtime.block_on(soon(echoes(&conn)));
            kind.end(runtime);
            // In the background it takes a moment, in which calls fail.
            while conn.state() != ConnectivityState::Idle {
                std::thread::yield_now();
            }
        }
        elsewhere(async {
            echoes(&conn).await;
            assert_eq!(conn.state(), ConnectivityState::Ready, "{kind:?}");
        });
    }
}

#[test]
fn a_channel_whose_runtime_is_gone_is_idle_and_can_be_connected_waited_for_and_closed() {
    let server = serve_elsewhere(StubService::echo());
    let conn = channel(server.connector.clone());
    let runtime = KINDS[0].start();
    runtime.block_on(soon(echoes(&conn)));
    drop(runtime);
    assert_eq!(conn.state(), ConnectivityState::Idle);
    elsewhere(async {
        let deadline = Instant::now() + Duration::from_secs(20);
        conn.wait_ready(deadline).await.expect("it connects");
    });
    assert_eq!(conn.state(), ConnectivityState::Idle);
    conn.close();
    assert_eq!(conn.state(), ConnectivityState::Shutdown);
    let closed = elsewhere(StubClient::new(conn).unary(msg("")).into_future());
    assert_eq!(closed.expect_err("closed").code(), Code::Cancelled);
}

#[test]
fn a_waiter_for_another_state_sees_idle_when_the_channels_runtime_is_gone() {
    for kind in KINDS {
        let conn = channel(FnDialer::new(|_| pending::<io::Result<Connected>>()));
        let runtime = kind.start();
        runtime.block_on(async {
            conn.connect().expect("within a runtime");
            let state = conn.wait_for_state_change(ConnectivityState::Idle);
            assert_eq!(soon(state).await, ConnectivityState::Connecting);
        });
        let waiting = {
            let conn = conn.clone();
            std::thread::spawn(move || {
                elsewhere(async {
                    conn.wait_for_state_change(ConnectivityState::Connecting)
                        .await
                })
            })
        };
        kind.end(runtime);
        let state = waiting.join().expect("it ends");
        assert_eq!(state, ConnectivityState::Idle, "{kind:?}");
    }
}

#[test]
fn a_call_that_waits_for_a_connection_fails_when_the_runtime_is_gone_unless_it_waits_for_ready() {
    for kind in KINDS {
        // The first connection is never made.
        let server = serve_elsewhere(StubService::echo());
        let connector = server.connector.clone();
        let dials = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&dials);
        let conn = channel(FnDialer::new(move |address| {
            let dial = connector.dial(address);
            let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if is_first {
                    pending().await
                } else {
                    dial.await
                }
            }
        }));
        let runtime = kind.start();
        runtime.block_on(async {
            conn.connect().expect("within a runtime");
            while dials.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        });
        let (began, begin) = std::sync::mpsc::channel();
        let calls = [false, true].map(|wait_for_ready| {
            let client = StubClient::new(conn.clone());
            let began = began.clone();
            std::thread::spawn(move || {
                elsewhere(async {
                    let call = client.unary(msg("hello")).wait_for_ready(wait_for_ready);
                    let mut call = pin!(call.into_future());
                    // Once, so that it waits.
                    assert!(is_pending(call.as_mut()).await);
                    began.send(()).expect("the test waits");
                    call.await
                        .map(|response| text(response.message()).to_owned())
                })
            })
        });
        for _ in &calls {
            begin.recv().expect("both begin");
        }
        kind.end(runtime);
        let [fails, works] = calls.map(|call| call.join().expect("it ends"));
        expect_lost(&fails.expect_err("its channel was lost"), &[SHUT_DOWN]);
        assert_eq!(works.expect("it waits for ready"), "hello", "{kind:?}");
    }
}

/// A policy whose picker connects the channel when it is dropped.
#[derive(Clone, Default)]
struct Reconnecting(Arc<OnceLock<ClientConn>>);

impl BalancerBuilder for Reconnecting {
    fn name(&self) -> &str {
        "reconnecting"
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(self.clone())
    }
}

impl Balancer for Reconnecting {
    fn update(
        &mut self,
        _update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let picker = Arc::new(self.clone());
        control.update_state(ConnectivityState::Connecting, picker);
        Ok(())
    }

    fn resolver_error(&mut self, _error: &Status, _control: &mut dyn ChannelControl) {}

    fn subconn_state(
        &mut self,
        _subconn: SubConnId,
        _state: &SubConnState,
        _control: &mut dyn ChannelControl,
    ) {
    }

    fn exit_idle(&mut self, _control: &mut dyn ChannelControl) {}
}

impl Picker for Reconnecting {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        PickResult::Queue
    }
}

impl Drop for Reconnecting {
    fn drop(&mut self) {
        if let Some(conn) = self.0.get() {
            // There may be no runtime.
            let _ = conn.connect();
        }
    }
}

#[test]
fn a_picker_that_is_dropped_with_its_channels_runtime_may_use_the_channel() {
    for kind in KINDS {
        let policy = Reconnecting::default();
        let conn = builder(FnDialer::new(|_| pending::<io::Result<Connected>>()))
            .balancer(policy.clone())
            .default_service_config(r#"{"loadBalancingConfig": [{"reconnecting": {}}]}"#)
            .build()
            .expect("a valid channel");
        let runtime = kind.start();
        runtime.block_on(async {
            let client = StubClient::new(conn.clone());
            let mut call = pin!(client.unary(msg("")).into_future());
            assert!(is_pending(call.as_mut()).await);
            let state = conn.wait_for_state_change(ConnectivityState::Idle);
            soon(state).await;
            settle().await;
        });
        policy.0.set(conn.clone()).expect("once");
        let (ended, end) = std::sync::mpsc::channel();
        let ending = std::thread::spawn(move || {
            kind.end(runtime);
            ended.send(()).expect("the test waits");
        });
        end.recv_timeout(Duration::from_secs(30))
            .expect("the runtime ends");
        ending.join().expect("no panic");
        conn.close();
    }
}

/// A stream that was opened on a runtime that is gone.
fn orphaned(kind: Kind, conn: &ClientConn) -> (SendStream<Message>, RecvStream<Message>) {
    let runtime = kind.start();
    let client = StubClient::new(conn.clone());
    let stream = runtime.block_on(async {
        let (mut requests, mut responses) = soon(client.bidi_streaming().into_future())
            .await
            .expect("the server is there");
        soon(requests.send(msg("one"))).await.expect("it is sent");
        let response = soon(responses.recv()).await.expect("it is answered");
        assert_eq!(text(&response.expect("with the same")), "one");
        (requests, responses)
    });
    kind.end(runtime);
    stream
}

#[test]
fn the_halves_of_a_stream_whose_channel_s_runtime_is_gone_end_with_the_reason() {
    for kind in KINDS {
        let server = serve_elsewhere(StubService::echo());
        let conn = channel(server.connector.clone());
        let (mut requests, mut responses) = orphaned(kind, &conn);
        elsewhere(async {
            let status = responses.recv().await.expect_err("the connection is lost");
            expect_lost(&status, &["the connection", "was lost", SHUT_DOWN]);
            requests.send(msg("two")).await.expect_err("as above");
        });
    }
}

#[test]
fn a_waiter_on_another_thread_sees_that_the_channels_runtime_is_gone() {
    for kind in KINDS {
        let (service, mut watch) = StubService::hanging();
        let server = serve_elsewhere(service);
        let conn = channel(server.connector.clone());
        let runtime = kind.start();
        runtime.block_on(async {
            let deadline = Instant::now() + Duration::from_secs(20);
            conn.wait_ready(deadline).await.expect("it connects");
        });
        let client = StubClient::new(conn.clone());
        let receiving = {
            let client = client.clone();
            std::thread::spawn(move || {
                elsewhere(async {
                    let (_requests, mut responses) = client.bidi_streaming().await?;
                    responses.recv().await.map(drop)
                })
            })
        };
        let sending = {
            let client = client.clone();
            std::thread::spawn(move || {
                elsewhere(async {
                    let (mut requests, _responses) = client.bidi_streaming().await?;
                    // More than the windows take: it waits for flow control.
                    loop {
                        requests.send(msg("x".repeat(1 << 20))).await?;
                    }
                })
            })
        };
        let unary =
            std::thread::spawn(move || elsewhere(async { client.unary(msg("")).await.map(drop) }));
        // A runtime of one thread runs as long as it is asked to.
        runtime.block_on(async {
            for _ in 0..3 {
                watch.begun().await;
            }
        });
        kind.end(runtime);
        for waiting in [receiving, unary] {
            let status = waiting.join().expect("it ends").expect_err("lost");
            expect_lost(&status, &[SHUT_DOWN]);
        }
        let status: Result<(), Status> = sending.join().expect("it ends");
        assert_eq!(status.expect_err("lost").code(), Code::Unavailable);
        drop(conn);
    }
}

#[test]
fn a_stream_with_a_deadline_ends_when_the_runtime_that_it_was_opened_on_is_gone() {
    for kind in KINDS {
        let (service, _watch) = StubService::hanging();
        let server = serve_elsewhere(service);
        let conn = channel(server.connector.clone());
        let client = StubClient::new(conn.clone());
        let channels = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let channels = channels.expect("a runtime");
        channels.block_on(async {
            let deadline = Instant::now() + Duration::from_secs(20);
            conn.wait_ready(deadline).await.expect("it connects");
        });
        let runtime = kind.start();
        let (_requests, mut responses) = runtime
            .block_on(async {
                client
                    .bidi_streaming()
                    .timeout(Duration::from_secs(600))
                    .await
            })
            .expect("the channel is ready");
        kind.end(runtime);
        let status = elsewhere(responses.recv()).expect_err("its deadline cannot be kept");
        let why = "the call's deadline is not watched over any more";
        expect_lost(&status, &[why, SHUT_DOWN]);
    }
}

#[test]
fn a_call_on_a_runtime_that_is_being_shut_down_fails_instead_of_starting_for_ever() {
    let server = serve_elsewhere(StubService::echo());
    let conn = channel(server.connector.clone());
    let runtime = KINDS[1].start();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let client = StubClient::new(conn.clone());
    let guard = handle.enter();
    for wait_for_ready in [false, true] {
        let call = client.unary(msg("")).wait_for_ready(wait_for_ready);
        let status = futures_executor(call.into_future()).expect_err("there is no runtime");
        expect_lost(&status, &[SHUT_DOWN]);
        expect_lost(&conn.connect().expect_err("as above"), &[SHUT_DOWN]);
    }
    drop(guard);
    elsewhere(echoes(&conn));
}

/// Runs a future outside of tokio.
fn futures_executor<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        std::thread::park_timeout(Duration::from_secs(30));
    }
}

#[test]
fn a_handler_s_streams_that_are_read_elsewhere_end_with_the_server_s_runtime() {
    for kind in KINDS {
        let runtime = kind.start();
        let (given, taken) = std::sync::mpsc::channel();
        let service = StubService::new().bidi_streaming(move |requests, responses| {
            given.send((requests, responses)).expect("the test waits");
            async { pending().await }
        });
        let mut server = new_server();
        register_stub(&mut server, service).expect("a server without the stub service");
        let (listener, connector) = pipe();
        let handle = server.handle();
        runtime.spawn(server.serve_listener(listener));
        let client = StubClient::new(channel(connector));
        let (mut requests, responses) = runtime.block_on(async {
            let (_requests, _responses) = soon(client.bidi_streaming().into_future())
                .await
                .expect("the server is there");
            soon(async {
                loop {
                    match taken.try_recv() {
                        Ok(streams) => break streams,
                        Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                    }
                }
            })
            .await
        });
        kind.end(runtime);
        elsewhere(async {
            let requests = requests.message_mut();
            requests.recv().await.expect_err("the connection is gone");
            handle.stopped().await;
        });
        drop(responses);
    }
}
