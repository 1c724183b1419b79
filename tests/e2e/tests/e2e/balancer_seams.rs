//! The interface of policies and resolvers to their channel: build options, metadata of a pick, the
//! end of an attempt, attributes of states and of subchannels, typed errors.
//!
//! Source: grpc-go `balancer.BuildOptions`, `PickResult`, `DoneInfo`, `resolver.BuildOptions`.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rgrpc::balancer::{
    Balancer, BalancerBuilder, BalancerEvent, BalancerOptions, BalancerUpdate, BaseBalancer,
    ChannelControl, ControlLayer, DoneInfo, EndpointChild, FailingPicker, GracefulSwitch, PickInfo,
    PickResult, Picker, PickerBuilder, PolicyConfig, QueuingPicker, SubConn, SubConnId,
    SubConnOptions, SubConnState, handle_events,
};
use rgrpc::credentials::SecurityLevel;
use rgrpc::io::{Address, Dial, DialFuture};
use rgrpc::resolver::{
    Attributes, Endpoint, LookupError, ManualResolver, Resolver, ResolverBuilder, ResolverControl,
    ResolverError, ResolverFuture, ResolverOptions, ResolverState, StaticResolver,
    StaticResolverBuilder, Target,
};
use rgrpc::{
    BuildError, ClientConn, ClientConnBuilder, Code, ConnectivityState, Metadata, Response, Status,
    credentials,
};
use rgrpc_e2e::{
    FnDialer, ScriptedServer, StubClient, StubService, TestServer, channel_builder, msg,
    scripted_by, serve, soon, text,
};
use rgrpc_test_support::{ErrorCode, rst_stream, trailers_only};
use tokio::time::Instant;

/// The end of an attempt, as a policy has heard it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    code: Code,
    trailer: Option<String>,
    bytes_sent: bool,
    bytes_received: bool,
}

/// The policy `tokens`: gives each attempt a token in its metadata, as grpclb does, and records how
/// each ends.
#[derive(Clone, Default)]
struct Tokens {
    given: Arc<Mutex<u32>>,
    heard: Arc<Mutex<Vec<Heard>>>,
    zones: Arc<Mutex<Vec<String>>>,
}

impl Tokens {
    fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().expect("not poisoned"))
    }
}

impl BalancerBuilder for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }

    fn build(&self, _: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(BaseBalancer::new(self.clone()))
    }
}

impl PickerBuilder for Tokens {
    fn build(&mut self, ready: &[&EndpointChild], _: &mut dyn ChannelControl) -> Arc<dyn Picker> {
        Arc::new(TokenPicker {
            child: Arc::clone(ready[0].picker()),
            tokens: self.clone(),
        })
    }
}

struct TokenPicker {
    child: Arc<dyn Picker>,
    tokens: Tokens,
}

impl Picker for TokenPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let PickResult::Pick(pick) = self.child.pick(call) else {
            return PickResult::Queue;
        };
        if let Some(zone) = pick.subconn.attributes().get::<String>() {
            let mut zones = self.tokens.zones.lock().expect("not poisoned");
            zones.push(zone.clone());
        }
        let mut given = self.tokens.given.lock().expect("not poisoned");
        *given += 1;
        let token = format!("token {given}");
        let metadata = Metadata::from_pairs([("lb-token", token)]).expect("valid");
        let heard = Arc::clone(&self.tokens.heard);
        let hear = move |done: &DoneInfo<'_>| {
            let trailer = done.trailers.get("x-trailer").map(str::to_owned);
            heard.lock().expect("not poisoned").push(Heard {
                code: done.failure.map_or(Code::Ok, Status::code),
                trailer,
                bytes_sent: done.bytes_sent,
                bytes_received: done.bytes_received,
            });
        };
        PickResult::Pick(pick.with_metadata(metadata).on_done(hear))
    }
}

fn backend() -> Endpoint {
    Endpoint::from(Address::Name("backend".to_owned()))
}

/// The builder of a channel to this server whose resolver gives this state once.
fn channel(state: ResolverState, server: &TestServer) -> ClientConnBuilder {
    let connector = server.connector();
    channel_builder("shop:///orders", credentials::insecure())
        .resolver(StaticResolverBuilder::of_state("shop", state))
        .dialer(FnDialer::new(move |address| connector.dial(address)))
}

fn by(policy: impl BalancerBuilder) -> PolicyConfig {
    PolicyConfig::new(Arc::new(policy), Arc::new(()))
}

/// A server that answers with the tokens of a call, and fails the first attempts.
fn telling_tokens(failures: u32) -> TestServer {
    let left = Mutex::new(failures);
    serve(StubService::new().unary(move |request| {
        let mut left = left.lock().expect("not poisoned");
        let fails = *left > 0;
        *left = left.saturating_sub(1);
        let tokens = request.metadata().get_all("lb-token");
        let tokens: Vec<_> = tokens
            .map(|token| String::from_utf8_lossy(token).into_owned())
            .collect();
        let user = request.metadata().get("authorization").unwrap_or_default();
        let answer = format!("{} {user}", tokens.join(","));
        async move {
            if fails {
                return Err(Status::unavailable("not yet"));
            }
            let mut response = Response::new(msg(answer));
            let added = response.trailer_mut().append("x-trailer", "1");
            added.expect("valid");
            Ok(response)
        }
    }))
}

struct User;

impl rgrpc::credentials::PerRpcCredentials for User {
    fn metadata<'a>(
        &'a self,
        _: rgrpc::credentials::RequestInfo<'a>,
    ) -> rgrpc::credentials::MetadataFuture<'a> {
        Box::pin(async { Ok(Metadata::from_pairs([("authorization", "ada")]).expect("valid")) })
    }

    fn min_security_level(&self) -> SecurityLevel {
        SecurityLevel::NoSecurity
    }
}

#[tokio::test(start_paused = true)]
async fn the_metadata_of_a_pick_goes_with_its_attempt_alone_also_beside_credentials() {
    const RETRIES: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
        "maxAttempts": 3, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1,
        "retryableStatusCodes": ["UNAVAILABLE"]
    }}]}"#;
    for secured in [false, true] {
        let server = telling_tokens(2);
        let tokens = Tokens::default();
        let state = ResolverState::new(vec![backend()])
            .with_service_config(RETRIES)
            .with_policy(by(tokens.clone()));
        let mut builder = channel(state, &server);
        if secured {
            builder = builder.per_rpc_credentials(User);
        }
        let client = StubClient::new(builder.build().expect("valid"));
        let answer = soon(async { client.unary(msg("")).await }).await;
        let answer = text(answer.expect("OK").message()).to_owned();
        assert_eq!(
            answer,
            format!("token 3 {}", if secured { "ada" } else { "" })
        );
        let failed = Heard {
            code: Code::Unavailable,
            trailer: None,
            bytes_sent: true,
            bytes_received: true,
        };
        let succeeded = Heard {
            code: Code::Ok,
            trailer: Some("1".to_owned()),
            ..failed.clone()
        };
        assert_eq!(tokens.take(), [failed.clone(), failed, succeeded]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_hears_whether_anything_was_sent_and_whether_anything_came() {
    let tokens = Tokens::default();
    let policy = tokens.clone();
    let (conn, mut server): (_, ScriptedServer) = scripted_by("ipv4:127.0.0.1:1", |builder| {
        let config = r#"{"loadBalancingConfig": [{"tokens": {}}]}"#;
        builder.balancer(policy).default_service_config(config)
    });
    let client = StubClient::new(conn);
    let call = |client: &StubClient| {
        let client = client.clone();
        tokio::spawn(async move { client.unary(msg("")).await })
    };
    let first = call(&client);
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    peer.send(rst_stream(1, ErrorCode::CANCEL)).await;
    soon(first).await.expect("no panic").expect_err("reset");
    let second = call(&client);
    peer.expect_request(3).await;
    peer.send(trailers_only(3, 7)).await;
    soon(second).await.expect("no panic").expect_err("refused");
    let third = call(&client);
    peer.expect_request(5).await;
    third.abort();
    third.await.expect_err("dropped");
    let heard: Vec<_> = tokens.take().into_iter().collect();
    let ends = heard.iter();
    let ends: Vec<_> = ends
        .map(|heard| (heard.code, heard.bytes_sent, heard.bytes_received))
        .collect();
    assert_eq!(
        ends,
        [
            (Code::Cancelled, true, false),
            (Code::PermissionDenied, true, true),
            (Code::Cancelled, true, false),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn pickers_see_the_attributes_of_the_address_on_the_subchannel() {
    let server = telling_tokens(0);
    let tokens = Tokens::default();
    let address = Address::Name("backend".to_owned());
    let endpoint = backend()
        .with_connection_attributes(Attributes::new().with(7_u8).with("for all".to_owned()))
        .with_address_attributes(address, Attributes::new().with("its own".to_owned()));
    let state = ResolverState::new(vec![endpoint]).with_policy(by(tokens.clone()));
    let client = StubClient::new(channel(state, &server).build().expect("valid"));
    soon(async { client.unary(msg("")).await })
        .await
        .expect("OK");
    assert_eq!(*tokens.zones.lock().expect("not poisoned"), ["its own"]);
}

/// A dialer that records the zones of the addresses.
struct ZoneDialer {
    connector: rgrpc::io::PipeConnector,
    zones: Arc<Mutex<Vec<Option<String>>>>,
}

impl Dial for ZoneDialer {
    fn dial(&self, address: Address) -> DialFuture {
        self.connector.dial(address)
    }

    fn dial_with(&self, address: Address, attributes: &Attributes) -> DialFuture {
        let zone = attributes.get::<String>().cloned();
        self.zones.lock().expect("not poisoned").push(zone);
        self.dial(address)
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialer_sees_the_attributes_of_the_subchannel() {
    let server = telling_tokens(0);
    for zone in [None, Some("eu-1".to_owned())] {
        let attributes = zone.clone().map(|zone| Attributes::new().with(zone));
        let endpoint = backend().with_connection_attributes(attributes.unwrap_or_default());
        let zones = Arc::new(Mutex::new(Vec::new()));
        let dialer = ZoneDialer {
            connector: server.connector(),
            zones: Arc::clone(&zones),
        };
        let state = ResolverState::new(vec![endpoint]);
        let conn = channel(state, &server).dialer(dialer).build();
        let client = StubClient::new(conn.expect("valid"));
        soon(async { client.unary(msg("")).await })
            .await
            .expect("OK");
        assert_eq!(*zones.lock().expect("not poisoned"), [zone]);
    }
}

/// A policy and a resolver that record the options they are built with.
#[derive(Clone, Default)]
struct Recording {
    balancers: Arc<Mutex<Vec<BalancerOptions>>>,
    resolvers: Arc<Mutex<Vec<ResolverOptions>>>,
    snapshots: Arc<Mutex<Vec<Option<u32>>>>,
}

impl BalancerBuilder for Recording {
    fn name(&self) -> &'static str {
        "recording"
    }

    fn build(&self, options: &BalancerOptions) -> Box<dyn Balancer> {
        let mut balancers = self.balancers.lock().expect("not poisoned");
        balancers.push(options.clone());
        Box::new(BaseBalancer::new(self.clone()))
    }
}

impl PickerBuilder for Recording {
    fn update(&mut self, update: &BalancerUpdate) -> Result<(), Status> {
        let snapshot = update.attributes.get::<u32>().copied();
        self.snapshots.lock().expect("not poisoned").push(snapshot);
        Ok(())
    }

    fn build(&mut self, ready: &[&EndpointChild], _: &mut dyn ChannelControl) -> Arc<dyn Picker> {
        Arc::clone(ready[0].picker())
    }
}

impl ResolverBuilder for Recording {
    fn scheme(&self) -> &'static str {
        "recording"
    }

    fn build(
        &self,
        _: &Target,
        options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, ResolverError> {
        self.resolvers
            .lock()
            .expect("not poisoned")
            .push(options.clone());
        let policy = options.balancers().get("recording").cloned();
        let policy =
            policy.ok_or_else(|| ResolverError::service_config("the policy is not registered"))?;
        let state = ResolverState::new(vec![backend()])
            .with_attribute(7_u32)
            .with_policy(PolicyConfig::new(policy, Arc::new(())));
        Ok(Box::new(StaticResolver::of_state(state)))
    }
}

#[tokio::test(start_paused = true)]
async fn builders_get_the_channels_options_and_can_make_a_channel_of_their_own_from_them() {
    let server = telling_tokens(0);
    let connector = server.connector();
    let recording = Recording::default();
    let conn = channel_builder("recording:///orders", credentials::insecure())
        .resolver(recording.clone())
        .balancer(recording.clone())
        .authority("orders.test")
        .dialer(FnDialer::new(move |address| connector.dial(address)))
        .build()
        .expect("valid");
    let client = StubClient::new(conn.clone());
    soon(async { client.unary(msg("")).await })
        .await
        .expect("OK");
    let balancers = recording.balancers.lock().expect("not poisoned").clone();
    let resolvers = recording.resolvers.lock().expect("not poisoned").clone();
    assert_eq!(balancers.len(), 1);
    assert_eq!(
        resolvers.len(),
        2,
        "to validate the target, and to resolve it"
    );
    let of_resolvers = resolvers.iter().map(|options| &options.channel);
    for info in of_resolvers.chain([&balancers[0].channel]) {
        assert_eq!(info.id(), conn.id());
        assert_eq!(info.target().as_str(), "recording:///orders");
        assert_eq!(info.authority(), "orders.test");
        // As a look-aside policy does.
        let own = channel_builder("passthrough:///balancer", info.credentials().clone())
            .authority(info.authority())
            .dialer(Arc::clone(info.dialer()))
            .build()
            .expect("valid");
        assert_ne!(own.id(), conn.id());
        let client = StubClient::new(own);
        soon(async { client.unary(msg("")).await })
            .await
            .expect("OK");
    }
    let snapshots = recording.snapshots.lock().expect("not poisoned").clone();
    assert_eq!(snapshots, [Some(7)]);
}

/// A policy that reads the channel's method config while it handles an update.
#[derive(Clone, Default)]
struct Reading {
    conn: Arc<OnceLock<ClientConn>>,
    timeouts: Arc<Mutex<Vec<Option<u64>>>>,
}

impl BalancerBuilder for Reading {
    fn name(&self) -> &'static str {
        "reading"
    }

    fn build(&self, _: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(BaseBalancer::new(self.clone()))
    }
}

impl PickerBuilder for Reading {
    fn update(&mut self, _: &BalancerUpdate) -> Result<(), Status> {
        let config = self.conn.get().map(|conn| conn.method_config("/a.B/C"));
        let timeout = config.and_then(|config| config.timeout());
        let timeout = timeout.map(|timeout| timeout.as_secs());
        self.timeouts.lock().expect("not poisoned").push(timeout);
        Ok(())
    }

    fn build(&mut self, ready: &[&EndpointChild], _: &mut dyn ChannelControl) -> Arc<dyn Picker> {
        Arc::clone(ready[0].picker())
    }
}

#[tokio::test(start_paused = true)]
async fn calls_go_by_a_new_config_once_the_policy_has_handled_it() {
    let server = telling_tokens(0);
    let connector = server.connector();
    let (resolver, reading) = (ManualResolver::new("manual"), Reading::default());
    let policy = reading.clone();
    let state = move |seconds: u64| {
        let config =
            format!(r#"{{"methodConfig": [{{"name": [{{}}], "timeout": "{seconds}s"}}]}}"#);
        ResolverState::new(vec![backend()])
            .with_service_config(config)
            .with_policy(by(policy.clone()))
    };
    let conn = channel_builder("manual:///orders", credentials::insecure())
        .resolver(resolver.clone())
        .dialer(FnDialer::new(move |address| connector.dial(address)))
        .build()
        .expect("valid");
    assert!(reading.conn.set(conn.clone()).is_ok());
    conn.connect().expect("open");
    for seconds in [1, 2] {
        resolver.update(state(seconds));
        resolver.taken().await.expect("usable");
        let timeout = conn.method_config("/a.B/C").timeout();
        assert_eq!(timeout, Some(Duration::from_secs(seconds)));
    }
    let before = reading.timeouts.lock().expect("not poisoned").clone();
    assert_eq!(before, [None, Some(1)]);
    conn.close();
}

/// A resolver that fails with this error.
struct Failing(ResolverError);

impl ResolverBuilder for Failing {
    fn scheme(&self) -> &'static str {
        "failing"
    }

    fn build(&self, _: &Target, _: &ResolverOptions) -> Result<Box<dyn Resolver>, ResolverError> {
        Ok(Box::new(Self(self.0.clone())))
    }
}

impl Resolver for Failing {
    fn run(self: Box<Self>, control: ResolverControl) -> ResolverFuture {
        Box::pin(async move { control.error(self.0).await })
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_call_has_the_resolvers_typed_error_as_its_source() {
    let cause = LookupError::failed(io::Error::other("no route to the DNS server"));
    let error = ResolverError::Lookup {
        scheme: "failing".into(),
        name: "orders".to_owned(),
        cause,
    };
    let conn = channel_builder("failing:///orders", credentials::insecure())
        .resolver(Failing(error))
        .build()
        .expect("valid");
    let client = StubClient::new(conn);
    let status = soon(async { client.unary(msg("")).await }).await;
    let status = status.expect_err("there is no backend");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        status.message(),
        "cannot connect to failing:///orders: name resolution of \"orders\" by failing failed: no \
         route to the DNS server"
    );
    let mut source = Error::source(&status);
    while let Some(error) = source {
        if let Some(ResolverError::Lookup { name, cause, .. }) = error.downcast_ref() {
            assert_eq!(name, "orders");
            assert!(matches!(cause, LookupError::Failed(_)), "{cause:?}");
            return;
        }
        source = error.source();
    }
    panic!("{status:?} has no typed source");
}

#[test]
fn a_target_that_the_resolvers_builder_rejects_is_an_error_of_the_channels_builder() {
    let error = channel_builder("recording:///orders", credentials::insecure())
        .resolver(Recording::default())
        .build()
        .expect_err("the policy is not registered");
    assert!(matches!(error, BuildError::Target(_)), "{error}");
    assert!(error.to_string().contains("the policy is not registered"));
}

/// A policy with one subchannel that it replaces each time that it fails.
struct Recreating {
    address: Option<Address>,
    subconn: Option<SubConn>,
    left: u32,
}

struct RecreatingBuilder(u32);

impl BalancerBuilder for RecreatingBuilder {
    fn name(&self) -> &'static str {
        "recreating"
    }

    fn build(&self, _: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(Recreating {
            address: None,
            subconn: None,
            left: self.0,
        })
    }
}

impl Recreating {
    fn create(&mut self, control: &mut dyn ChannelControl) {
        if let Some(address) = &self.address {
            let subconn = control.create_subconn(address.clone(), SubConnOptions::default());
            subconn.connect();
            self.subconn = Some(subconn);
        }
    }
}

impl Balancer for Recreating {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        self.address = update.endpoints[0].addresses.first().cloned();
        control.update_state(ConnectivityState::Connecting, Arc::new(QueuingPicker));
        self.create(control);
        Ok(())
    }

    fn resolver_error(&mut self, _: &Status, _: &mut dyn ChannelControl) {}

    fn subconn_state(
        &mut self,
        _: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        if let SubConnState::TransientFailure(status) = state {
            match self.left.checked_sub(1) {
                Some(left) => {
                    self.left = left;
                    self.create(control);
                }
                None => control.update_state(
                    ConnectivityState::TransientFailure,
                    Arc::new(FailingPicker::new(status.clone())),
                ),
            }
        }
    }

    fn exit_idle(&mut self, _: &mut dyn ChannelControl) {}
}

/// As in grpc-go, where each SubConn is an `addrConn` with a backoff of its own.
#[tokio::test(start_paused = true)]
async fn the_backoff_of_a_subchannel_ends_with_it_and_another_one_connects_at_once() {
    let dials = Arc::new(Mutex::new(Vec::new()));
    let dialed = Arc::clone(&dials);
    let dialer = FnDialer::new(move |_| {
        dialed.lock().expect("not poisoned").push(Instant::now());
        async { Err(io::ErrorKind::ConnectionRefused.into()) }
    });
    let state = ResolverState::new(vec![backend()]).with_policy(by(RecreatingBuilder(3)));
    let conn = channel_builder("shop:///orders", credentials::insecure())
        .resolver(StaticResolverBuilder::of_state("shop", state))
        .dialer(dialer)
        .build()
        .expect("valid");
    let start = Instant::now();
    let client = StubClient::new(conn);
    let status = soon(async { client.unary(msg("")).await }).await;
    let status = status.expect_err("refused");
    assert!(status.message().contains("attempt 1, next in"), "{status}");
    let dials = dials.lock().expect("not poisoned").clone();
    assert_eq!(dials.len(), 4);
    assert!(
        dials
            .iter()
            .all(|at| *at - start < Duration::from_millis(900))
    );
}

/// The policy `zoned`: gives the subchannels of its child an attribute, and passes everything else on.
struct Zoned {
    zone: String,
    child: GracefulSwitch,
}

/// The channel for the child of [`Zoned`].
struct ZonedControl<'a> {
    above: &'a mut dyn ChannelControl,
    zone: &'a str,
}

impl ControlLayer for ZonedControl<'_> {
    fn above(&self) -> &dyn ChannelControl {
        self.above
    }

    fn above_mut(&mut self) -> &mut dyn ChannelControl {
        self.above
    }

    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn {
        let attributes = options.attributes.clone().with(self.zone.to_owned());
        let options = options.with_attributes(attributes);
        self.above.create_subconn(address, options)
    }
}

impl Zoned {
    fn handle(&mut self, event: BalancerEvent<'_>, above: &mut dyn ChannelControl) {
        let zone = &self.zone;
        event.deliver(&mut self.child, &mut ZonedControl { above, zone });
    }
}

impl Balancer for Zoned {
    fn update(
        &mut self,
        update: BalancerUpdate,
        above: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let zone = &self.zone;
        self.child.update(update, &mut ZonedControl { above, zone })
    }

    handle_events!();

    fn wake_at(&self) -> Option<Instant> {
        self.child.wake_at()
    }
}

struct ZonedBuilder(&'static str);

impl BalancerBuilder for ZonedBuilder {
    fn name(&self) -> &'static str {
        "zoned"
    }

    fn build(&self, _: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(Zoned {
            zone: self.0.to_owned(),
            child: GracefulSwitch::new(),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_changes_one_call_of_its_child_and_passes_all_others_on() {
    let server = telling_tokens(0);
    let tokens = Tokens::default();
    let child = Arc::new(by(tokens.clone()));
    let zoned = PolicyConfig::new(Arc::new(ZonedBuilder("blue")), child);
    let state = ResolverState::new(vec![backend()]).with_policy(zoned);
    let conn = channel(state, &server).build().expect("valid");
    let client = StubClient::new(conn);
    soon(async { client.unary(msg("")).await })
        .await
        .expect("OK");
    let zones = tokens.zones.lock().expect("not poisoned").clone();
    assert_eq!(zones, ["blue"]);
}
