//! Config selectors of resolvers: what they see, what they give a call, and the commit of calls.
//!
//! Source: gRFC A31; grpc-go `test/config_selector_test.go`.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rgrpc::balancer::{
    Balancer, BalancerBuilder, BalancerOptions, BaseBalancer, ChannelControl, EndpointChild,
    PickInfo, PickResult, Picker, PickerBuilder, PolicyConfig, RequestHash, RingHashBuilder,
    RingHashConfig,
};
use rgrpc::io::{Address, Dial};
use rgrpc::resolver::{Attributes, Endpoint, ManualResolver, ResolverState, StaticResolverBuilder};
use rgrpc::stats::{CallBegin, CallEvent, CallStats, StatsHandler};
use rgrpc::{
    ClientConnBuilder, ClientNext, ClientReply, Code, ConfigSelector, HedgingPolicy,
    MessageInterceptor, MessageView, Metadata, MethodConfig, OutgoingCall, Response, RetryPolicy,
    SelectInfo, SelectedConfig, Status, credentials,
};
use rgrpc_e2e::{
    FnDialer, StubClient, StubService, TestServer, channel_builder, msg, serve, settle, soon, text,
};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// A selector that is a function.
struct Select<F>(F);

impl<F> ConfigSelector for Select<F>
where
    F: Fn(&SelectInfo<'_>) -> Result<SelectedConfig, Status> + Send + Sync + 'static,
{
    fn select(&self, call: &SelectInfo<'_>) -> Result<SelectedConfig, Status> {
        self.0(call)
    }
}

fn selecting(
    endpoints: Vec<Endpoint>,
    select: impl Fn(&SelectInfo<'_>) -> Result<SelectedConfig, Status> + Send + Sync + 'static,
) -> ResolverState {
    ResolverState::new(endpoints).with_config_selector(Select(select))
}

fn address(name: &str) -> Address {
    Address::Name(name.to_owned())
}

/// The builder of a channel whose resolver gives this state once. A backend is at the address of
/// its name.
fn channel(state: ResolverState, servers: &[(&'static str, &TestServer)]) -> ClientConnBuilder {
    builder("shop:///orders", servers).resolver(StaticResolverBuilder::of_state("shop", state))
}

fn builder(target: &str, servers: &[(&'static str, &TestServer)]) -> ClientConnBuilder {
    let servers = servers.iter();
    let connectors: Vec<_> = servers
        .map(|(name, server)| (address(name), server.connector()))
        .collect();
    let dialer = FnDialer::new(move |to: Address| {
        let mut found = connectors.iter().filter(|(at, _)| *at == to);
        let (_, connector) = found.next().expect("an address of the state");
        connector.dial(to)
    });
    channel_builder(target, credentials::insecure()).dialer(dialer)
}

fn connect(state: ResolverState, server: &TestServer) -> StubClient {
    let builder = channel(state, &[("backend", server)]);
    StubClient::new(builder.build().expect("valid"))
}

fn backend() -> Vec<Endpoint> {
    vec![Endpoint::from(address("backend"))]
}

/// A server that answers with its name.
fn named(name: &'static str) -> TestServer {
    serve(StubService::new().unary(move |_| async move { Ok(Response::new(msg(name))) }))
}

/// The cluster of a call, and of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cluster(&'static str);

/// The policy `by_cluster`: picks the endpoint that has the cluster of the call.
struct ByCluster;

impl BalancerBuilder for ByCluster {
    fn name(&self) -> &'static str {
        "by_cluster"
    }

    fn build(&self, _: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(BaseBalancer::new(Self))
    }
}

impl PickerBuilder for ByCluster {
    fn build(&mut self, ready: &[&EndpointChild], _: &mut dyn ChannelControl) -> Arc<dyn Picker> {
        let pickers = ready.iter().filter_map(|child| {
            let cluster = child.endpoint().attributes.get::<Cluster>()?;
            Some((cluster.clone(), Arc::clone(child.picker())))
        });
        Arc::new(ClusterPicker(pickers.collect()))
    }
}

struct ClusterPicker(BTreeMap<Cluster, Arc<dyn Picker>>);

impl Picker for ClusterPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let cluster = call.extensions.get::<Cluster>();
        match cluster.and_then(|cluster| self.0.get(cluster)) {
            Some(picker) => picker.pick(call),
            None => PickResult::Queue,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_routes_each_call_by_a_header_to_a_cluster_that_its_policy_without_json_picks() {
    let servers = [named("stable"), named("canary")];
    let endpoints = ["stable", "canary"].map(|name| {
        Endpoint::from(address(name)).with_attributes(Attributes::new().with(Cluster(name)))
    });
    let state = selecting(endpoints.to_vec(), |call| {
        assert_eq!(call.method, "/rgrpc.e2e.Stub/Unary");
        let cluster = match call.metadata.get("x-env") {
            Some("canary") => Cluster("canary"),
            _ => Cluster("stable"),
        };
        Ok(SelectedConfig::new(MethodConfig::new()).with_extension(cluster))
    })
    .with_policy(PolicyConfig::new(Arc::new(ByCluster), Arc::new(())));
    let builder = channel(state, &[("stable", &servers[0]), ("canary", &servers[1])]);
    let client = StubClient::new(builder.build().expect("valid"));
    for environment in ["canary", "stable", "other", "canary"] {
        let call = async { client.unary(msg("")).metadata("x-env", environment).await };
        let answer = soon(call).await.expect("OK");
        let expected = if environment == "canary" {
            "canary"
        } else {
            "stable"
        };
        assert_eq!(text(answer.message()), expected, "{environment}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_selector_gives_ring_hash_the_hash_of_a_call() {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    let servers = NAMES.map(named);
    let endpoints = NAMES.map(|name| Endpoint::from(address(name))).to_vec();
    let ring = RingHashConfig::new().with_ring_size(64, 64).expect("valid");
    let policy = PolicyConfig::new(Arc::new(RingHashBuilder::new()), Arc::new(ring));
    let state = selecting(endpoints, |call| {
        let user = call.metadata.get("user").unwrap_or_default();
        let number: u64 = user.parse().expect("a number");
        let hash = RequestHash(u64::MAX / 32 * number);
        Ok(SelectedConfig::new(MethodConfig::new()).with_extension(hash))
    })
    .with_policy(policy);
    let [a, b, c] = &servers;
    let builder = channel(state, &[("a", a), ("b", b), ("c", c)]);
    let client = StubClient::new(builder.build().expect("valid"));
    let mut used = BTreeMap::<String, u32>::new();
    for user in 0..32 {
        let mut answers = Vec::new();
        for _ in 0..2 {
            let call = async {
                client
                    .unary(msg(""))
                    .metadata("user", user.to_string())
                    .await
            };
            let answer = soon(call).await.expect("OK");
            answers.push(text(answer.message()).to_owned());
        }
        assert_eq!(answers[0], answers[1], "{user}");
        *used.entry(answers.remove(0)).or_default() += 1;
    }
    assert_eq!(used.len(), 3, "{used:?}");
}

#[tokio::test(start_paused = true)]
async fn the_selected_method_config_takes_the_place_of_the_service_configs() {
    let server = serve(StubService::new().unary(|_| async {
        sleep(10 * SECOND).await;
        Ok(Response::new(msg("late")))
    }));
    let of_service = r#"{"methodConfig": [{"name": [{}], "timeout": "1s"}]}"#;
    for (config, limit) in [
        (MethodConfig::new().with_timeout(3 * SECOND), Some(3)),
        (MethodConfig::new(), None),
    ] {
        let state = selecting(backend(), move |_| Ok(SelectedConfig::new(config.clone())))
            .with_service_config(of_service);
        let client = connect(state, &server);
        let start = Instant::now();
        let result = client.unary(msg("")).await;
        match limit {
            Some(seconds) => {
                let status = result.expect_err("late");
                assert_eq!(status.code(), Code::DeadlineExceeded);
                assert_eq!(start.elapsed().as_secs(), seconds);
            }
            None => drop(result.expect("there is no timeout")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_selector_fails_the_call_as_that_of_a_control_plane() {
    let server = named("backend");
    for (code, expected) in [
        (Code::Unavailable, Code::Unavailable),
        (Code::PermissionDenied, Code::PermissionDenied),
        (Code::NotFound, Code::Internal),
        (Code::InvalidArgument, Code::Internal),
        (Code::DataLoss, Code::Internal),
    ] {
        let state = selecting(backend(), move |_| Err(Status::new(code, "no route")));
        let client = connect(state, &server);
        let unary = soon(async { client.unary(msg("")).wait_for_ready(true).await }).await;
        let unary = unary.expect_err("refused");
        let stream = soon(async { client.bidi_streaming().await }).await;
        let stream = stream.expect_err("refused");
        for status in [unary, stream] {
            assert_eq!(status.code(), expected, "{code}");
            assert!(status.message().contains("no route"), "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_selector_that_panics_fails_that_call_alone() {
    let server = named("backend");
    let state = selecting(backend(), |call| {
        assert!(call.metadata.get("bad").is_none(), "user code");
        Ok(SelectedConfig::new(MethodConfig::new()))
    });
    let client = connect(state, &server);
    let bad = soon(async { client.unary(msg("")).metadata("bad", "1").await }).await;
    let status = bad.expect_err("it has panicked");
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("the config selector panicked"));
    soon(async { client.unary(msg("")).await })
        .await
        .expect("OK");
}

/// A server that answers a unary call with the values of its metadata key `x`, comma-separated.
fn echoing_x() -> TestServer {
    serve(StubService::new().unary(|request| {
        let values: Vec<_> = request
            .metadata()
            .get_all("x")
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        async move { Ok(Response::new(msg(values.join(",")))) }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_selector_may_change_the_metadata_that_it_sees() {
    let server = echoing_x();
    let state = selecting(backend(), |call| {
        let mut metadata = Metadata::new();
        let seen = call.metadata.get("x").unwrap_or_default();
        metadata
            .append("x", format!("{seen} selected"))
            .expect("valid");
        Ok(SelectedConfig::new(MethodConfig::new()).with_metadata(metadata))
    });
    let client = connect(state, &server);
    let answer = soon(async { client.unary(msg("")).metadata("x", "user").await }).await;
    assert_eq!(text(answer.expect("OK").message()), "user selected");
}

#[tokio::test(start_paused = true)]
async fn filters_run_after_the_selection_and_inside_of_the_channels_interceptors() {
    async fn add(mut call: OutgoingCall, next: ClientNext, x: &str) -> Result<ClientReply, Status> {
        let cluster = call.extensions().get::<Cluster>().map_or("none", |it| it.0);
        let value = format!("{x} {cluster}");
        call.options_mut().append_metadata("x", value);
        next.run(call).await
    }
    let server = echoing_x();
    let state = selecting(backend(), |call| {
        let seen = call.metadata.get("x").unwrap_or_default();
        assert_eq!(seen, "channel none", "the interceptor runs before");
        let first = |call, next| add(call, next, "first");
        let second = |call, next| add(call, next, "second");
        Ok(SelectedConfig::new(MethodConfig::new())
            .with_extension(Cluster("a"))
            .with_filter(first)
            .with_filter(second))
    });
    let conn = channel(state, &[("backend", &server)])
        .interceptor(|call, next| add(call, next, "channel"))
        .build();
    let client = StubClient::new(conn.expect("valid"));
    let answer = soon(async { client.unary(msg("")).await }).await;
    let answer = answer.expect("OK");
    assert_eq!(text(answer.message()), "channel none,first a,second a");
}

#[tokio::test(start_paused = true)]
async fn a_filter_may_end_a_call_of_any_kind_and_its_time_counts_into_the_selected_timeout() {
    async fn delay(call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
        sleep(3 * SECOND).await;
        if call.metadata().get("abort").is_some() {
            return Err(Status::resource_exhausted("a fault"));
        }
        next.run(call).await
    }
    let server = serve(StubService::echo());
    let state = selecting(backend(), |call| {
        let mut config = MethodConfig::new();
        if call.metadata.get("short").is_some() {
            config = config.with_timeout(2 * SECOND);
        }
        Ok(SelectedConfig::new(config).with_filter(delay))
    });
    let client = connect(state, &server);
    for (key, code) in [
        ("abort", Code::ResourceExhausted),
        ("short", Code::DeadlineExceeded),
    ] {
        let unary = client.unary(msg("a")).metadata(key, "1").await;
        assert_eq!(unary.expect_err(key).code(), code);
        let stream = client.bidi_streaming().metadata(key, "1").await;
        assert_eq!(stream.expect_err(key).code(), code);
    }
    let answer = client.unary(msg("a")).await.expect("OK");
    assert_eq!(text(answer.message()), "a");
    let (mut requests, mut responses) = client.bidi_streaming().await.expect("halves");
    requests.send(msg("b")).await.expect("taken");
    let answer = responses.recv().await.expect("OK").expect("a message");
    assert_eq!(text(&answer), "b");
}

/// Counts the selections and the commits of calls.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicUsize; 2]>);

impl Counts {
    fn select(&self, config: MethodConfig) -> SelectedConfig {
        self.0[0].fetch_add(1, Ordering::Relaxed);
        let counts = self.clone();
        SelectedConfig::new(config).on_commit(move || {
            counts.0[1].fetch_add(1, Ordering::Relaxed);
        })
    }

    /// The numbers of selections and of commits.
    fn get(&self) -> (usize, usize) {
        let [selected, committed] = &*self.0;
        (
            selected.load(Ordering::Relaxed),
            committed.load(Ordering::Relaxed),
        )
    }
}

/// A server that fails the first `failures` attempts, and records the number of attempts.
fn failing(failures: u32) -> (TestServer, Arc<AtomicU32>) {
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    let server = serve(StubService::new().unary(move |_| {
        let attempt = counter.fetch_add(1, Ordering::Relaxed);
        async move {
            if attempt < failures {
                return Err(Status::unavailable("not yet"));
            }
            Ok(Response::new(msg("OK")))
        }
    }));
    (server, attempts)
}

#[tokio::test(start_paused = true)]
async fn a_call_is_committed_once_whatever_the_number_of_its_attempts() {
    let retries = RetryPolicy::new(4, [Code::Unavailable]).expect("valid");
    let retried = MethodConfig::new().with_retry_policy(retries);
    let hedges = HedgingPolicy::new(4).expect("valid");
    let hedged = MethodConfig::new().with_hedging_policy(
        hedges
            .with_delay(SECOND)
            .with_non_fatal_codes([Code::Unavailable]),
    );
    for (config, failures, attempts, succeeds) in [
        (MethodConfig::new(), 0, 1, true),
        (MethodConfig::new(), 9, 1, false),
        (retried.clone(), 0, 1, true),
        (retried.clone(), 3, 4, true),
        (hedged.clone(), 0, 1, true),
        (hedged.clone(), 2, 3, true),
        (hedged, 9, 4, false),
        (retried, 9, 4, false),
    ] {
        let (server, made) = failing(failures);
        let counts = Counts::default();
        let counter = counts.clone();
        let name = format!("{config:?}, {failures} failures");
        let state = selecting(backend(), move |_| Ok(counter.select(config.clone())));
        let client = connect(state, &server);
        let result = client.unary(msg("")).await;
        assert_eq!(result.is_ok(), succeeds, "{name}: {result:?}");
        assert_eq!(made.load(Ordering::Relaxed), attempts, "{name}");
        assert_eq!(counts.get(), (1, 1), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_channels_maximum_number_of_attempts_bounds_a_selected_policy() {
    for (max, disabled, attempts) in [(2, false, 2), (5, false, 4), (5, true, 1)] {
        let (server, made) = failing(9);
        let policy = RetryPolicy::new(4, [Code::Unavailable]).expect("valid");
        let config = MethodConfig::new().with_retry_policy(policy);
        let state = selecting(backend(), move |_| Ok(SelectedConfig::new(config.clone())));
        let conn = channel(state, &[("backend", &server)])
            .max_call_attempts(max)
            .disable_retry(disabled)
            .build();
        let client = StubClient::new(conn.expect("valid"));
        client.unary(msg("")).await.expect_err("it fails always");
        assert_eq!(made.load(Ordering::Relaxed), attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_committed_when_its_headers_come_and_a_dropped_call_at_its_end() {
    let server = serve(StubService::echo());
    let counts = Counts::default();
    let counter = counts.clone();
    let state = selecting(backend(), move |_| Ok(counter.select(MethodConfig::new())));
    let client = connect(state, &server);

    let (mut requests, mut responses) = client.bidi_streaming().await.expect("halves");
    settle().await;
    assert_eq!(counts.get(), (1, 0), "nothing has come");
    requests.send(msg("a")).await.expect("taken");
    responses.recv().await.expect("OK").expect("a message");
    assert_eq!(counts.get(), (1, 1), "while the call goes on");
    drop((requests, responses));
    assert_eq!(counts.get(), (1, 1));

    let halves = client.bidi_streaming().await.expect("halves");
    settle().await;
    assert_eq!(counts.get(), (2, 1));
    drop(halves);
    assert_eq!(counts.get(), (2, 2), "dropped before anything came");

    let unary = client.unary(msg("a"));
    let unary = async move { unary.await };
    drop(unary);
    assert_eq!(counts.get(), (2, 2), "it has not begun");
    let hanging = serve(StubService::new().unary(|_| std::future::pending()));
    let counter = counts.clone();
    let state = selecting(backend(), move |_| Ok(counter.select(MethodConfig::new())));
    let client = connect(state, &hanging);
    let call = tokio::spawn(async move { client.unary(msg("a")).await });
    settle().await;
    assert_eq!(counts.get(), (3, 2));
    call.abort();
    settle().await;
    assert_eq!(counts.get(), (3, 3), "dropped while it waits");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_filter_refuses_is_committed_once() {
    let server = named("backend");
    let counts = Counts::default();
    let counter = counts.clone();
    let state = selecting(backend(), move |_| {
        let refuse = |_: OutgoingCall, _: ClientNext| async {
            Err::<ClientReply, _>(Status::permission_denied("no"))
        };
        Ok(counter.select(MethodConfig::new()).with_filter(refuse))
    });
    let client = connect(state, &server);
    let status = soon(async { client.unary(msg("")).await }).await;
    assert_eq!(status.expect_err("refused").code(), Code::PermissionDenied);
    assert_eq!(counts.get(), (1, 1));
    let status = soon(async { client.bidi_streaming().await }).await;
    assert_eq!(status.expect_err("refused").code(), Code::PermissionDenied);
    assert_eq!(counts.get(), (2, 2));
}

/// A stats handler that writes down the begin and the end of calls, and their messages.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    fn note(&self, event: String) {
        self.0.lock().expect("not poisoned").push(event);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

impl StatsHandler for Events {
    fn begin_call(&self, begin: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        self.note(format!("begin {}", begin.kind));
        Some(Arc::new(self.clone()))
    }
}

impl CallStats for Events {
    fn event(&self, event: &CallEvent<'_>) {
        match event {
            CallEvent::OutPayload(_) => self.note("out".to_owned()),
            CallEvent::InPayload(_) => self.note("in".to_owned()),
            CallEvent::End(outcome) => self.note(format!("end {}", outcome.code())),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_through_filters_is_one_call_for_stats_handlers_and_its_messages_are_seen() {
    let server = serve(StubService::echo());
    let events = Events::default();
    let state = selecting(backend(), |call| {
        let refuses = call.metadata.get("refuse").is_some();
        let filter = move |mut call: OutgoingCall, next: ClientNext| async move {
            if refuses {
                return Err(Status::permission_denied("no"));
            }
            call.intercept_messages(Seen(Arc::default()));
            next.run(call).await
        };
        Ok(SelectedConfig::new(MethodConfig::new()).with_filter(filter))
    });
    let conn = channel(state, &[("backend", &server)])
        .stats_handler(events.clone())
        .build();
    let client = StubClient::new(conn.expect("valid"));
    // The first call waits for the resolver.
    for _ in 0..2 {
        let refused = soon(async { client.unary(msg("a")).metadata("refuse", "1").await }).await;
        refused.expect_err("by the filter");
        assert_eq!(events.take(), ["begin unary", "end PERMISSION_DENIED"]);
    }
    soon(async { client.unary(msg("a")).await })
        .await
        .expect("OK");
    assert_eq!(events.take(), ["begin unary", "out", "in", "end OK"]);
    let refused = soon(async { client.bidi_streaming().metadata("refuse", "1").await }).await;
    refused.expect_err("by the filter");
    let end = "end PERMISSION_DENIED";
    assert_eq!(events.take(), ["begin bidirectional", end]);
    let (mut requests, mut responses) = client.bidi_streaming().await.expect("halves");
    requests.send(msg("b")).await.expect("taken");
    requests.close();
    while soon(responses.recv()).await.expect("OK").is_some() {}
    assert_eq!(
        events.take(),
        ["begin bidirectional", "out", "in", "end OK"]
    );
    let mut call = Box::pin(async { client.unary(msg("a")).await });
    assert!(futures_poll(&mut call).is_pending());
    drop(call);
    assert_eq!(events.take(), ["begin unary", "out", "end CANCELLED"]);
}

/// Polls a future once.
fn futures_poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Counts the messages of a call.
#[derive(Clone)]
struct Seen(Arc<AtomicUsize>);

impl MessageInterceptor for Seen {
    fn sending(&self, _: &MessageView<'_>) -> Result<(), Status> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_filter_and_an_interceptor_of_the_channel_both_see_the_messages() {
    let server = serve(StubService::echo());
    let counts: [Seen; 2] = std::array::from_fn(|_| Seen(Arc::default()));
    let [outer, inner] = counts.clone();
    let state = selecting(backend(), move |_| {
        let inner = inner.clone();
        let filter = move |mut call: OutgoingCall, next: ClientNext| {
            call.intercept_messages(inner.clone());
            async move { next.run(call).await }
        };
        Ok(SelectedConfig::new(MethodConfig::new()).with_filter(filter))
    });
    let conn = channel(state, &[("backend", &server)])
        .interceptor(move |mut call: OutgoingCall, next: ClientNext| {
            call.intercept_messages(outer.clone());
            async move { next.run(call).await }
        })
        .build();
    let client = StubClient::new(conn.expect("valid"));
    soon(async { client.unary(msg("a")).await })
        .await
        .expect("OK");
    let seen = counts.map(|count| count.0.load(Ordering::Relaxed));
    assert_eq!(seen, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn each_state_of_the_resolver_has_its_own_selector_or_none() {
    let server = echoing_x();
    let resolver = ManualResolver::new("manual");
    let marked = |mark: &'static str| {
        selecting(backend(), move |_| {
            let mut metadata = Metadata::new();
            metadata.append("x", mark).expect("valid");
            Ok(SelectedConfig::new(MethodConfig::new()).with_metadata(metadata))
        })
    };
    resolver.update(marked("first"));
    let conn = builder("manual:///a", &[("backend", &server)])
        .resolver(resolver.clone())
        .build();
    let client = StubClient::new(conn.expect("valid"));
    let x = async || {
        let answer = soon(async { client.unary(msg("")).metadata("x", "own").await }).await;
        text(answer.expect("OK").message()).to_owned()
    };
    assert_eq!(x().await, "first");
    for (state, expected) in [
        (marked("second"), "second"),
        (ResolverState::new(backend()), "own"),
        (marked("third"), "third"),
    ] {
        resolver.update(state);
        resolver.taken().await.expect("usable");
        assert_eq!(x().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_ignores_service_configs_ignores_the_selector_and_the_policy() {
    let server = echoing_x();
    let state = selecting(backend(), |_| Err(Status::unavailable("selected")))
        .with_policy(PolicyConfig::new(Arc::new(ByCluster), Arc::new(())));
    let conn = channel(state, &[("backend", &server)])
        .disable_service_config(true)
        .build();
    let client = StubClient::new(conn.expect("valid"));
    let answer = soon(async { client.unary(msg("")).metadata("x", "own").await }).await;
    assert_eq!(text(answer.expect("OK").message()), "own");
}

#[tokio::test(start_paused = true)]
async fn a_selection_is_of_its_channel_also_when_a_filter_makes_the_call_on_another_one() {
    let (first, second) = (echoing_x(), echoing_x());
    let marked = |mark: &'static str| {
        move |call: &SelectInfo<'_>| {
            let mut metadata = call.metadata.clone();
            metadata.append("x", mark).expect("valid");
            Ok(SelectedConfig::new(MethodConfig::new()).with_metadata(metadata))
        }
    };
    let other = channel(
        selecting(backend(), marked("second")),
        &[("backend", &second)],
    );
    let other = other.build().expect("valid");
    let seen = Arc::new(Mutex::new(None));
    let (fallback, kept) = (other.clone(), Arc::clone(&seen));
    let select = marked("first");
    let state = selecting(backend(), move |call| {
        let (fallback, kept) = (fallback.clone(), Arc::clone(&kept));
        let filter = move |call: OutgoingCall, _: ClientNext| {
            let (fallback, kept) = (fallback.clone(), Arc::clone(&kept));
            async move {
                let (codec, method) = (rgrpc::ProtoCodec, rgrpc_e2e::STUB_UNARY.into());
                let options = call.options().clone();
                let response: Response<rgrpc_e2e::Message> =
                    rgrpc::Invoke::invoke(&fallback, codec, method, msg(""), options).await?;
                let text = text(response.message()).to_owned();
                *kept.lock().expect("not poisoned") = Some(text);
                Ok(ClientReply::new(response))
            }
        };
        Ok(select(call)?.with_filter(filter))
    });
    let conn = channel(state, &[("backend", &first)]).build();
    let client = StubClient::new(conn.expect("valid"));
    soon(async { client.unary(msg("")).await })
        .await
        .expect("OK");
    let seen = seen.lock().expect("not poisoned").take();
    assert_eq!(seen.as_deref(), Some("first,second"));
}
