//! Panics of tasks and of user code on them: dialers, connections, resolvers, policies.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_dialer_that_panics_has_failed_to_connect_and_is_tried_again() {
    let server = serve(StubService::echo());
    let connector = server.connector();
    let dials = AtomicUsize::new(0);
    let conn = channel(FnDialer::new(move |address| {
        let dial = connector.dial(address);
        let count = dials.fetch_add(1, Ordering::SeqCst);
        assert!(count != 0, "secret: the first makes no future");
        async move {
            assert!(count != 1, "secret: the second makes one that panics");
            dial.await
        }
    }));
    for (attempt, after) in [(1, 0), (2, 1300)] {
        tokio::time::sleep(Duration::from_millis(after)).await;
        let client = StubClient::new(conn.clone());
        let status = soon(client.unary(msg("")).into_future()).await;
        let status = status.expect_err("there is no connection");
        let attempt = format!("(attempt {attempt}, next in ");
        let why = "stub.test: the dialer panicked; the log has its message";
        expect_lost(&status, &[why, &attempt]);
        assert!(!status.message().contains("secret"), "{status}");
        assert_eq!(conn.state(), ConnectivityState::TransientFailure);
    }
    let state = conn.wait_for_state_change(ConnectivityState::TransientFailure);
    assert_eq!(soon(state).await, ConnectivityState::Ready);
    soon(echoes(&conn)).await;
}

/// A connection that panics when it has been read once it is armed.
struct PanickingIo {
    io: BoxedIo,
    is_armed: Arc<AtomicBool>,
}

impl tokio::io::AsyncRead for PanickingIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            let is_armed = self.is_armed.swap(false, Ordering::SeqCst);
            assert!(!is_armed, "secret: something was read");
        }
        read
    }
}

impl tokio::io::AsyncWrite for PanickingIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

fn panicking(connected: Connected, is_armed: Arc<AtomicBool>) -> Connected {
    let io = PanickingIo {
        io: connected.io,
        is_armed,
    };
    Connected::new(Box::new(io), connected.peer)
}

#[tokio::test(start_paused = true)]
async fn calls_on_a_connection_whose_task_panics_fail_and_the_channel_reconnects() {
    let server = serve(StubService::echo());
    let connector = server.connector();
    let is_armed = Arc::new(AtomicBool::new(false));
    let arm = Arc::clone(&is_armed);
    let conn = channel(FnDialer::new(move |address| {
        let dial = connector.dial(address);
        let is_armed = Arc::clone(&is_armed);
        async move { dial.await.map(|connected| panicking(connected, is_armed)) }
    }));
    for _ in 0..3 {
        soon(echoes(&conn)).await;
        let client = StubClient::new(conn.clone());
        let streams = soon(client.bidi_streaming().into_future()).await;
        let (mut requests, mut responses) = streams.expect("the connection is there");
        settle().await;
        arm.store(true, Ordering::SeqCst);
        let unary = soon(client.unary(msg("")).into_future()).await;
        let streaming = soon(responses.recv()).await;
        for status in [unary.map(drop), streaming.map(drop)] {
            let status = status.expect_err("its connection is lost");
            let why = "its task panicked; the log has the message";
            expect_lost(&status, &["the connection", "was lost", why]);
            assert!(!status.message().contains("secret"), "{status}");
        }
        soon(requests.send(msg(""))).await.expect_err("as above");
    }
    soon(echoes(&conn)).await;
}

/// A listener whose connections panic when they have been read once they are armed.
struct PanickingListener(PipeListener, Arc<AtomicBool>);

impl Listener for PanickingListener {
    async fn accept(&mut self) -> io::Result<Option<Connected>> {
        let connected = self.0.accept().await?;
        Ok(connected.map(|connected| panicking(connected, Arc::clone(&self.1))))
    }

    fn local_address(&self) -> Address {
        self.0.local_address()
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_connection_s_task_panics_drops_its_calls_and_stops_all_the_same() {
    let (service, mut watch) = StubService::hanging();
    let mut server = new_server();
    register_stub(&mut server, service).expect("a server without the stub service");
    let (listener, connector) = pipe();
    let is_armed = Arc::new(AtomicBool::new(false));
    let listener = PanickingListener(listener, Arc::clone(&is_armed));
    let handle = server.handle();
    let serving = tokio::spawn(server.serve_listener(listener));
    let client = StubClient::new(channel(connector));
    let begun = unary(&client, "");
    watch.begun().await;
    settle().await;
    is_armed.store(true, Ordering::SeqCst);
    let breaks = unary(&client, "");
    for call in [begun, breaks] {
        let lost = soon(call).await.expect("no panic here");
        let status = lost.expect_err("its connection is lost");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
    watch.dropped().await;
    handle.stop();
    soon(handle.stopped()).await;
    soon(serving).await.expect("no panic").expect("stopped");
}

/// Panics at its first runs, before or after it has found something.
struct PanickingResolver {
    runs: Arc<AtomicUsize>,
    finds_something: bool,
}

impl ResolverBuilder for PanickingResolver {
    fn scheme(&self) -> &str {
        "panicking"
    }

    fn build(&self, _: &Target, _: &ResolverOptions) -> Result<Box<dyn Resolver>, ResolverError> {
        Ok(Box::new(PanickingResolver {
            runs: Arc::clone(&self.runs),
            finds_something: self.finds_something,
        }))
    }
}

impl Resolver for PanickingResolver {
    fn run(self: Box<Self>, control: ResolverControl) -> ResolverFuture {
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        assert!(run != 0, "secret: the first makes no future");
        Box::pin(async move {
            let name = Address::Name("stub.test".to_owned());
            if self.finds_something || run > 1 {
                let state = ResolverState::of_addresses([name]);
                control.update(state).await.expect("it is taken");
            }
            assert!(run > 1, "secret: the second makes one that panics");
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_panics_fails_calls_that_do_not_wait_for_ready_and_is_run_again() {
    for finds_something in [false, true] {
        let server = serve(StubService::echo());
        let runs = Arc::default();
        let resolver = PanickingResolver {
            runs: Arc::clone(&runs),
            finds_something,
        };
        let conn = channel_builder("panicking:///shop", credentials::insecure())
            .resolver(resolver)
            .dialer(server.connector())
            .build()
            .expect("a valid channel");
        let client = StubClient::new(conn.clone());
        let status = soon(client.unary(msg("")).into_future()).await;
        let why = "panicking:///shop: the resolver panicked; the log has its message";
        expect_lost(&status.expect_err("nothing was found"), &[why]);
        let call = client.unary(msg("")).wait_for_ready(true).into_future();
        soon(call).await.expect("the resolver finds it at last");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(runs.load(Ordering::SeqCst), 3, "{finds_something}");
        soon(echoes(&conn)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_s_builder_that_panics_fails_calls_that_do_not_wait_for_ready_and_is_asked_again()
 {
    struct Panicking(AtomicUsize);
    impl ResolverBuilder for Panicking {
        fn scheme(&self) -> &str {
            "panicking"
        }

        fn build(
            &self,
            _: &Target,
            _: &ResolverOptions,
        ) -> Result<Box<dyn Resolver>, ResolverError> {
            // The first time is when the channel is built.
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => {}
                1 => panic!("secret"),
                2 => return Err(ResolverError::invalid_target("not today")),
                _ => {}
            }
            Ok(Box::new(PanickingResolver {
                runs: Arc::new(AtomicUsize::new(2)),
                finds_something: true,
            }))
        }
    }
    let server = serve(StubService::echo());
    let conn = channel_builder("panicking:///shop", credentials::insecure())
        .resolver(Panicking(AtomicUsize::new(0)))
        .dialer(server.connector())
        .build()
        .expect("a valid channel");
    let client = StubClient::new(conn.clone());
    let status = soon(client.unary(msg("")).into_future()).await;
    let why = "the resolver's builder panicked; the log has its message (retry in ";
    expect_lost(&status.expect_err("there is no resolver"), &[why]);
    tokio::time::sleep(Duration::from_millis(1300)).await;
    let status = soon(client.unary(msg("")).into_future()).await;
    expect_lost(&status.expect_err("there is no resolver"), &["not today"]);
    let call = client.unary(msg("")).wait_for_ready(true).into_future();
    soon(call).await.expect("there is one at last");
}

/// A policy that panics at a given place, and otherwise acts as `pick_first`.
#[derive(Clone)]
struct PanickingPolicy {
    at: &'static str,
    times: Arc<AtomicUsize>,
}

impl PanickingPolicy {
    /// The first two times that it comes here.
    fn pass(&self, place: &str) {
        if place == self.at {
            let time = self.times.fetch_add(1, Ordering::SeqCst);
            assert!(time > 1, "secret: {place}");
        }
    }
}

impl BalancerBuilder for PanickingPolicy {
    fn name(&self) -> &str {
        "panicking"
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        self.pass("build");
        Box::new(Panicking {
            policy: self.clone(),
            subconns: Vec::new(),
        })
    }
}

struct Panicking {
    policy: PanickingPolicy,
    subconns: Vec<rgrpc::balancer::SubConn>,
}

struct PanickingPicker(PanickingPolicy, rgrpc::balancer::SubConn);

impl Picker for PanickingPicker {
    fn pick(&self, _: &PickInfo<'_>) -> PickResult<'_> {
        self.0.pass("pick");
        PickResult::Pick(Pick::new(&self.1))
    }
}

impl Balancer for Panicking {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        self.policy.pass("update");
        for endpoint in update.endpoints {
            let address = endpoint.addresses[0].clone();
            let subconn =
                control.create_subconn(address, rgrpc::balancer::SubConnOptions::default());
            subconn.connect();
            self.subconns.push(subconn);
        }
        Ok(())
    }

    fn resolver_error(&mut self, _: &Status, _: &mut dyn ChannelControl) {}

    fn subconn_state(
        &mut self,
        _: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        self.policy.pass("subconn_state");
        if let SubConnState::Ready(_) = state {
            let pick = PanickingPicker(self.policy.clone(), self.subconns[0].clone());
            control.update_state(ConnectivityState::Ready, Arc::new(pick));
        }
    }

    fn exit_idle(&mut self, _: &mut dyn ChannelControl) {}

    fn wake_at(&self) -> Option<Instant> {
        self.policy.pass("wake_at");
        None
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        self.policy.pass("drop");
    }
}

fn with_policy(policy: PanickingPolicy, dialer: PipeConnector) -> ClientConn {
    let config = r#"{"loadBalancingConfig": [{"panicking": {}}]}"#;
    let builder = builder(dialer)
        .balancer(policy)
        .default_service_config(config);
    builder.build().expect("a valid channel")
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_fails_calls_that_do_not_wait_for_ready_and_restarts() {
    for at in ["build", "update", "subconn_state", "wake_at"] {
        let server = serve(StubService::echo());
        let times = Arc::default();
        let policy = PanickingPolicy {
            at,
            times: Arc::clone(&times),
        };
        let conn = with_policy(policy, server.connector());
        let client = StubClient::new(conn.clone());
        let status = soon(client.unary(msg("")).into_future()).await;
        let status = status.expect_err("there is no policy");
        let why =
            "stub.test: the channel's load balancing policy panicked; the log has its message";
        expect_lost(&status, &[why, "(retry in "]);
        assert!(!status.message().contains("secret"), "{status}");
        assert_eq!(conn.state(), ConnectivityState::TransientFailure);
        let call = client.unary(msg("")).wait_for_ready(true).into_future();
        soon(call).await.expect("the policy works at last");
        assert!(times.load(Ordering::SeqCst) > 1, "{at}");
        soon(echoes(&conn)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_picker_s_panic_is_the_call_s_alone() {
    let server = serve(StubService::echo());
    let policy = PanickingPolicy {
        at: "pick",
        times: Arc::default(),
    };
    let conn = with_policy(policy, server.connector());
    let client = StubClient::new(conn.clone());
    for _ in 0..2 {
        let status = soon(client.unary(msg("")).into_future()).await;
        let status = status.expect_err("it panics");
        assert_eq!(status.code(), Code::Internal, "{status}");
        let why = "the picker panicked; the log has its message";
        assert_eq!(status.message(), why);
    }
    soon(echoes(&conn)).await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_when_it_is_dropped_keeps_no_channel_from_closing() {
    let server = serve(StubService::echo());
    let policy = PanickingPolicy {
        at: "drop",
        times: Arc::default(),
    };
    let conn = with_policy(policy, server.connector());
    soon(echoes(&conn)).await;
    conn.close();
    settle().await;
    assert_eq!(conn.state(), ConnectivityState::Shutdown);
    let client = StubClient::new(conn);
    let status = soon(client.unary(msg("")).into_future()).await;
    let status = status.expect_err("closed");
    assert_eq!(status.code(), Code::Cancelled, "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_shutdown_future_is_the_error_of_serving() {
    let server = new_server();
    let serving = tokio::spawn(async move {
        let shutdown = async { panic!("no signal can be had") };
        server.serve_with_shutdown("127.0.0.1:0", shutdown).await
    });
    let ended = tokio::time::timeout(Duration::from_secs(30), serving).await;
    assert!(ended.expect("it ends").expect_err("it panics").is_panic());
}
