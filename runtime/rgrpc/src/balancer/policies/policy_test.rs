//! Test tools for policies with children: a simple child policy, and a test channel with the policy
//! under test.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::balancer::{
    Balancer, BalancerBuilder, BalancerOptions, BalancerRegistry, BalancerUpdate, ChannelControl,
    ConnectivityStateEvaluator, DoneInfo, FailingPicker, Health, HierarchyPath, LoadReport,
    OutlierDetectionBuilder, Pick, PickInfo, PickResult, Picker, PriorityBuilder, QueuingPicker,
    RandomSubsettingBuilder, SubConn, SubConnId, SubConnOptions, SubConnState, TestChannel,
    WeightedTargetBuilder,
};
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;
use crate::metadata::Metadata;
use crate::resolver::{Attributes, Endpoint};
use crate::status::Status;

/// Builds the policy `each_address`, also under another name. It connects to each address at once,
/// and sends calls to the READY ones in turn. A call reconnects a lost connection. A failed
/// connection makes the resolver resolve again, and a load report does so a second later.
pub(super) struct EachAddressBuilder(&'static str);

#[derive(Default)]
struct EachAddress {
    subconns: Vec<(SubConn, SubConnState)>,
    wake_at: Option<Instant>,
}

impl BalancerBuilder for EachAddressBuilder {
    fn name(&self) -> &str {
        self.0
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(EachAddress::default())
    }
}

impl EachAddress {
    fn publish(&self, control: &mut dyn ChannelControl) {
        let mut evaluator = ConnectivityStateEvaluator::new();
        let states = self.subconns.iter().map(|(_, state)| connectivity(state));
        states.for_each(|state| evaluator.record(None, Some(state)));
        let state = evaluator.state();
        let mut of_state = self
            .subconns
            .iter()
            .filter(|(_, s)| connectivity(s) == state);
        let picker: Arc<dyn Picker> = match state {
            ConnectivityState::Connecting => Arc::new(QueuingPicker),
            ConnectivityState::TransientFailure => {
                let failure = of_state.next_back().and_then(|(_, state)| match state {
                    SubConnState::TransientFailure(status)
                    | SubConnState::Ready(Health::NotServing(status)) => Some(status.clone()),
                    _ => None,
                });
                let status = failure.unwrap_or_else(|| Status::unavailable("no addresses"));
                Arc::new(FailingPicker::new(status))
            }
            _ => Arc::new(EachAddressPicker {
                subconns: of_state.map(|(subconn, _)| subconn.clone()).collect(),
                next: AtomicUsize::new(0),
                is_ready: state == ConnectivityState::Ready,
            }),
        };
        control.update_state(state, picker);
    }
}

/// The state of a subchannel for a policy that uses health.
fn connectivity(state: &SubConnState) -> ConnectivityState {
    match state {
        SubConnState::Idle => ConnectivityState::Idle,
        SubConnState::Connecting | SubConnState::Ready(Health::Unknown) => {
            ConnectivityState::Connecting
        }
        SubConnState::Ready(Health::Serving) => ConnectivityState::Ready,
        SubConnState::TransientFailure(_) | SubConnState::Ready(Health::NotServing(_)) => {
            ConnectivityState::TransientFailure
        }
    }
}

impl Balancer for EachAddress {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let mut old = std::mem::take(&mut self.subconns);
        for address in update.endpoints.into_iter().flat_map(|e| e.addresses) {
            let kept = old.iter().position(|(old, _)| *old.address() == address);
            self.subconns.push(match kept {
                Some(index) => old.swap_remove(index),
                None => {
                    let subconn = control.create_subconn(address, SubConnOptions::default());
                    subconn.connect();
                    (subconn, SubConnState::Connecting)
                }
            });
        }
        self.publish(control);
        if self.subconns.is_empty() {
            return Err(Status::unavailable("no addresses"));
        }
        Ok(())
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        if self.subconns.is_empty() {
            let picker = Arc::new(FailingPicker::new(error.clone()));
            control.update_state(ConnectivityState::TransientFailure, picker);
        }
    }

    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        if matches!(state, SubConnState::TransientFailure(_)) {
            control.resolve_now();
        }
        let mut subconns = self.subconns.iter_mut();
        if let Some(known) = subconns.find(|(known, _)| known.id() == subconn) {
            known.1 = state.clone();
            self.publish(control);
        }
    }

    fn exit_idle(&mut self, _control: &mut dyn ChannelControl) {
        self.subconns
            .iter()
            .for_each(|(subconn, _)| subconn.connect());
    }

    fn load_report(
        &mut self,
        _subconn: SubConnId,
        _report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        self.wake_at = Some(control.now() + Duration::from_secs(1));
    }

    fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        if self.wake_at.take_if(|at| *at <= control.now()).is_some() {
            control.resolve_now();
        }
    }
}

/// A picker that uses READY subchannels in turn, or connects idle ones.
struct EachAddressPicker {
    subconns: Vec<SubConn>,
    next: AtomicUsize,
    is_ready: bool,
}

impl Picker for EachAddressPicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let subconn = &self.subconns[next % self.subconns.len()];
        if self.is_ready {
            return PickResult::Pick(Pick::new(subconn));
        }
        subconn.connect();
        PickResult::Queue
    }
}

/// A test channel with a policy. Its children can be `each_address` and `each_address_too`.
pub(super) struct PolicyTest {
    pub(super) channel: TestChannel,
    name: String,
    balancer: Box<dyn Balancer>,
    registry: BalancerRegistry,
}

impl PolicyTest {
    pub(super) fn new(builder: impl BalancerBuilder) -> Self {
        let mut registry = BalancerRegistry::empty();
        registry.register(Arc::new(EachAddressBuilder("each_address")));
        registry.register(Arc::new(EachAddressBuilder("each_address_too")));
        let name = builder.name().to_owned();
        let balancer = builder.build(TestChannel::new().build_options());
        registry.register(Arc::new(builder));
        Self {
            channel: TestChannel::new(),
            name,
            balancer,
            registry,
        }
    }

    /// Registers another policy for children.
    pub(super) fn with_child(mut self, builder: impl BalancerBuilder) -> Self {
        self.registry.register(Arc::new(builder));
        self
    }

    /// Parses a config of the policy. The paths of errors begin within it.
    pub(super) fn parse(&self, json: &str) -> Result<Arc<dyn Any + Send + Sync>, String> {
        let name = &self.name;
        let list = format!(r#"[{{"{name}": {json}}}]"#);
        match self.registry.parse_json(&list) {
            Ok(policy) => Ok(Arc::clone(policy.config())),
            Err(error) => {
                let text = error.to_string().replace(&format!("[0].{name}"), "");
                Err(text.trim_start_matches(['.', ':', ' ']).to_owned())
            }
        }
    }

    /// Parses a config of the policy into its type.
    pub(super) fn parse_as<T: Any + Send + Sync>(&self, json: &str) -> Result<Arc<T>, String> {
        let config = self.parse(json)?;
        Ok(config.downcast().expect("the policy's type"))
    }

    pub(super) fn update(&mut self, json: &str, endpoints: Vec<Endpoint>) -> Result<(), Status> {
        let config = self.parse(json).expect(json);
        let update = BalancerUpdate::new(endpoints, config);
        self.balancer.update(update, &mut self.channel)
    }

    pub(super) fn resolver_error(&mut self, text: &'static str) {
        let error = Status::unavailable(text);
        self.balancer.resolver_error(&error, &mut self.channel);
        self.wake();
    }

    pub(super) fn exit_idle(&mut self) {
        self.balancer.exit_idle(&mut self.channel);
    }

    /// Changes the state of the subchannel with this name.
    pub(super) fn subconn(&mut self, name: &str, state: &SubConnState) {
        let subconn = self.channel.subconn(&address(name)).expect(name);
        self.balancer
            .subconn_state(subconn, state, &mut self.channel);
        self.wake();
    }

    pub(super) fn ready(&mut self, name: &str) {
        self.subconn(name, &SubConnState::Ready(Health::Serving));
    }

    /// Lets the connection to this name fail, with the name as the text.
    pub(super) fn fail(&mut self, name: &str) {
        let status = Status::unavailable(name.to_owned());
        self.subconn(name, &SubConnState::TransientFailure(status));
    }

    /// Sends a load report of the backend with this name.
    fn load_report(&mut self, name: &str) {
        let subconn = self.channel.subconn(&address(name)).expect(name);
        let report = LoadReport::default();
        let balancer = &mut self.balancer;
        balancer.load_report(subconn, &report, &mut self.channel);
    }

    /// Advances the time, and wakes the policy at its timers.
    pub(super) fn advance(&mut self, time: Duration) {
        let end = self.channel.now() + time;
        while let Some(next) = self.balancer.wake_at().filter(|next| *next <= end) {
            let wait = next.saturating_duration_since(self.channel.now());
            self.channel.advance(wait);
            self.balancer.wake(&mut self.channel);
        }
        self.channel.advance(end - self.channel.now());
    }

    pub(super) fn state(&self) -> ConnectivityState {
        self.channel.state().expect("a state")
    }

    /// The result of a pick: "queue", the name of the subchannel, or the text of the failure.
    pub(super) fn pick(&self) -> String {
        self.pick_with(&Metadata::new())
    }

    /// The result of a [`pick`](Self::pick) for a call with this metadata.
    pub(super) fn pick_with(&self, metadata: &Metadata) -> String {
        let call = PickInfo::new("/test.Service/Method", metadata);
        match self.channel.picker().pick(&call) {
            PickResult::Pick(pick) => pick.subconn.address().to_string(),
            PickResult::Queue => "queue".to_owned(),
            PickResult::Fail(status) => format!("fail: {}", status.message()),
            PickResult::Drop(status) => format!("drop: {}", status.message()),
        }
    }

    /// Wakes the policy, if that was requested.
    pub(super) fn wake(&mut self) {
        while self.channel.take_wake() {
            self.balancer.wake(&mut self.channel);
        }
    }

    /// Makes calls. They end with UNAVAILABLE if they go to a name in `failing`.
    pub(super) fn calls(&self, calls: usize, failing: &[&str]) {
        let metadata = Metadata::new();
        let failure = Status::unavailable("failed");
        for _ in 0..calls {
            let call = PickInfo::new("/test.Service/Method", &metadata);
            let PickResult::Pick(pick) = self.channel.picker().pick(&call) else {
                panic!("not picked: {}", self.pick());
            };
            let name = pick.subconn.address().to_string();
            let failure = failing.contains(&name.as_str()).then_some(&failure);
            if let Some(on_done) = pick.on_done {
                on_done(&DoneInfo::new(failure, None));
            }
        }
    }

    /// The names of the existing subchannels.
    pub(super) fn addresses(&self) -> Vec<String> {
        let subconns = self.channel.subconns().into_iter();
        subconns.map(|(_, address)| address.to_string()).collect()
    }

    /// The names of the subchannels that were told to connect since the last call of this method.
    pub(super) fn connects(&mut self) -> Vec<String> {
        let connects = self.channel.take_connects().into_iter();
        connects.map(|(_, address)| address.to_string()).collect()
    }

    /// The number of picks of each name.
    pub(super) fn counts(&self, names: &[&str], calls: usize) -> Vec<usize> {
        let mut counts = vec![0; names.len()];
        for _ in 0..calls {
            let picked = self.pick();
            let index = names.iter().position(|name| *name == picked);
            counts[index.expect(&picked)] += 1;
        }
        counts
    }
}

pub(super) fn address(name: &str) -> Address {
    Address::Name(name.to_owned())
}

pub(super) fn endpoint(name: &str) -> Endpoint {
    Endpoint::from(address(name))
}

#[test]
fn policies_with_children_pass_on_load_reports_and_timers() {
    fn check(builder: impl BalancerBuilder, config: &str) {
        let mut test = PolicyTest::new(builder);
        let child = r#"[{"each_address": {}}]"#;
        let config = config.replace("CHILD", child);
        let path = HierarchyPath::new(["a"]);
        let attributes = Attributes::new().with(path);
        let endpoint = endpoint("a").with_attributes(attributes);
        test.update(&config, vec![endpoint]).expect("endpoints");
        test.ready("a");
        test.load_report("a");
        test.advance(Duration::from_millis(999));
        assert_eq!(test.channel.resolves(), 0, "{}", test.name);
        test.advance(Duration::from_millis(1));
        assert_eq!(test.channel.resolves(), 1, "{}", test.name);
    }
    let targets = r#"{"targets": {"a": {"childPolicy": CHILD}}}"#;
    check(WeightedTargetBuilder, targets);
    let priorities = r#"{"priorities": ["a"], "children": {"a": {"config": CHILD}}}"#;
    check(PriorityBuilder, priorities);
    check(OutlierDetectionBuilder, r#"{"childPolicy": CHILD}"#);
    let subset = r#"{"subsetSize": 1, "childPolicy": CHILD}"#;
    check(RandomSubsettingBuilder, subset);
}
