use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Balancer, BalancerUpdate, ChannelControl, ChildBalancer, FailingPicker, LoadReport,
    PolicyConfig, SubConnId, SubConnState, WithoutResolveNow,
};
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;

/// A policy of whichever kind the config of its last update names: when that is another kind, calls
/// go by the old policy until the new one can do as well.
///
/// Its config is a [`PolicyConfig`]. A policy of the kind that the last update named is kept, and
/// updated; for another kind a new one is built:
///
/// ```text
///                  update names another policy
///   current only ──────────────────────────────► current + pending ─┐ update names yet another:
///        ▲                                           │         ▲    │ a new pending one
///        └───────────────────────────────────────────┘         └────┘
///           pending leaves CONNECTING, or current is not READY:
///           pending takes the place of current, which is dropped
/// ```
///
/// Endpoints, resolver errors and requests to connect are for the newest policy alone, and only that
/// one can ask the resolver to look again.
///
/// Source: grpc-go `internal/balancer/gracefulswitch`.
#[derive(Default)]
pub struct GracefulSwitch {
    current: Option<Policy>,
    pending: Option<Policy>,
}

struct Policy {
    name: String,
    child: ChildBalancer,
}

impl GracefulSwitch {
    /// Without a policy until the first update.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the policy that the last update has named.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let latest = self.pending.as_ref().or(self.current.as_ref());
        latest.map(|policy| policy.name.as_str())
    }

    /// The policy that the last update has named.
    fn latest(&mut self) -> Option<&mut ChildBalancer> {
        let latest = self.pending.as_mut().or(self.current.as_mut());
        latest.map(|policy| &mut policy.child)
    }

    /// The policy for an update with this config.
    fn switch_to(&mut self, config: &PolicyConfig) -> &mut ChildBalancer {
        let is_new = self.name() != Some(config.name());
        let slot = if self.current.is_none() || (self.pending.is_none() && !is_new) {
            &mut self.current
        } else {
            &mut self.pending
        };
        if is_new {
            *slot = None;
        }
        let policy = slot.get_or_insert_with(|| Policy {
            name: config.name().to_owned(),
            child: ChildBalancer::new(config.build()),
        });
        &mut policy.child
    }

    /// Publishes what has come of a call of the policies: `current_published` says whether there is
    /// something new of the current one.
    fn settle(&mut self, current_published: bool, control: &mut dyn ChannelControl) {
        let Some(current) = &self.current else {
            return;
        };
        match &self.pending {
            Some(pending) if is_ready_to_switch(current.child.state(), pending.child.state()) => {
                pending.child.publish(control);
                // The old policy's connections close now that no call is given them any more.
                self.current = self.pending.take();
            }
            _ if current_published => current.child.publish(control),
            _ => {}
        }
    }

    /// Calls the newest policy.
    fn with_latest(
        &mut self,
        control: &mut dyn ChannelControl,
        what: impl FnOnce(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) {
        let is_current = self.pending.is_none();
        if let Some(latest) = self.latest() {
            let published = what(latest, control);
            self.settle(published && is_current, control);
        }
    }

    /// Calls both policies, the newest one last.
    fn with_each(
        &mut self,
        control: &mut dyn ChannelControl,
        mut what: impl FnMut(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) {
        let mut published = false;
        match (&mut self.current, &mut self.pending) {
            (Some(current), None) => published = what(&mut current.child, control),
            (Some(current), Some(pending)) => {
                published = what(&mut current.child, &mut WithoutResolveNow(&mut *control));
                what(&mut pending.child, control);
            }
            (None, _) => {}
        }
        self.settle(published, control);
    }
}

/// Whether the pending policy takes the place of the current one. As long as the current one is
/// ready and the other one is not, calls are better off with it.
fn is_ready_to_switch(current: ConnectivityState, pending: ConnectivityState) -> bool {
    current != ConnectivityState::Ready || pending != ConnectivityState::Connecting
}

impl Balancer for GracefulSwitch {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let config = update.config::<PolicyConfig>()?;
        let latest = self.switch_to(config);
        let config = Arc::clone(config.config());
        let update = BalancerUpdate::new(update.endpoints, config);
        let (published, result) = latest.update(update, control);
        let is_current = self.pending.is_none();
        self.settle(published && is_current, control);
        result
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        if self.current.is_none() {
            // Its code is about resolving, not about the calls that fail because of it.
            let status = Status::unavailable(error.message().to_owned());
            let picker = Arc::new(FailingPicker::new(status));
            control.update_state(ConnectivityState::TransientFailure, picker);
        }
        self.with_latest(control, |latest, control| {
            latest.resolver_error(error, control)
        });
    }

    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        self.with_each(control, |child, control| {
            child.subconn_state(subconn, state, control)
        });
    }

    fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        self.with_latest(control, ChildBalancer::exit_idle);
    }

    fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        self.with_each(control, |child, control| {
            child.load_report(subconn, report, control)
        });
    }

    fn wake_at(&self) -> Option<Instant> {
        let policies = [&self.current, &self.pending].into_iter().flatten();
        policies.filter_map(|policy| policy.child.wake_at()).min()
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        self.with_each(control, ChildBalancer::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{BalancerBuilder, PickInfo, PickResult, QueuingPicker, TestChannel};
    use super::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
    use super::*;
    use crate::balancer::{Picker, SubConn, SubConnOptions};
    use crate::io::Address;
    use crate::resolver::Endpoint;

    /// A policy with one connection, to "{its name}", whose states are its own. Asks for a new
    /// resolution when the connection fails, and wants to be woken after a second.
    struct Probe {
        name: &'static str,
        subconn: Option<SubConn>,
        wake_at: Option<Instant>,
    }

    struct ProbeBuilder(&'static str);

    /// Fails calls with its name as the text.
    struct NamedPicker(&'static str);

    impl Picker for NamedPicker {
        fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
            PickResult::Fail(Status::unavailable(self.0))
        }
    }

    impl BalancerBuilder for ProbeBuilder {
        fn name(&self) -> &str {
            self.0
        }

        fn build(&self) -> Box<dyn Balancer> {
            Box::new(Probe {
                name: self.0,
                subconn: None,
                wake_at: None,
            })
        }
    }

    impl Balancer for Probe {
        fn update(
            &mut self,
            update: BalancerUpdate,
            control: &mut dyn ChannelControl,
        ) -> Result<(), Status> {
            self.wake_at = Some(control.now() + Duration::from_secs(1));
            if self.subconn.is_none() {
                let address = Address::Name(self.name.to_owned());
                self.subconn = Some(control.create_subconn(address, SubConnOptions::default()));
                control.update_state(Connecting, Arc::new(QueuingPicker));
            }
            if update.endpoints.is_empty() {
                return Err(Status::unavailable("no endpoints"));
            }
            Ok(())
        }

        fn resolver_error(&mut self, _error: &Status, control: &mut dyn ChannelControl) {
            control.update_state(TransientFailure, Arc::new(NamedPicker(self.name)));
        }

        fn subconn_state(
            &mut self,
            _subconn: SubConnId,
            state: &SubConnState,
            control: &mut dyn ChannelControl,
        ) {
            let state = match state {
                SubConnState::Idle => Idle,
                SubConnState::Connecting => Connecting,
                SubConnState::Ready(_) => Ready,
                SubConnState::TransientFailure(_) => {
                    control.resolve_now();
                    TransientFailure
                }
            };
            control.update_state(state, Arc::new(NamedPicker(self.name)));
        }

        fn exit_idle(&mut self, _control: &mut dyn ChannelControl) {
            if let Some(subconn) = &self.subconn {
                subconn.connect();
            }
        }

        fn wake_at(&self) -> Option<Instant> {
            self.wake_at
        }

        fn wake(&mut self, _control: &mut dyn ChannelControl) {
            self.wake_at = None;
        }
    }

    struct Test {
        channel: TestChannel,
        switch: GracefulSwitch,
    }

    impl Test {
        fn new() -> Self {
            Self {
                channel: TestChannel::new(),
                switch: GracefulSwitch::new(),
            }
        }

        fn update(&mut self, name: &'static str) {
            let endpoints = vec![Endpoint::from(Address::Pipe)];
            self.update_with(name, endpoints).expect("endpoints");
        }

        fn update_with(
            &mut self,
            name: &'static str,
            endpoints: Vec<Endpoint>,
        ) -> Result<(), Status> {
            let config = PolicyConfig::new(Arc::new(ProbeBuilder(name)), Arc::new(()));
            let update = BalancerUpdate::new(endpoints, Arc::new(config));
            self.switch.update(update, &mut self.channel)
        }

        /// The connection of the policy of this name is in another state.
        fn subconn(&mut self, name: &str, state: &SubConnState) {
            let address = Address::Name(name.to_owned());
            let subconn = self.channel.subconn(&address).expect("a connection");
            self.switch.subconn_state(subconn, state, &mut self.channel);
        }

        fn ready(&mut self, name: &str) {
            self.subconn(name, &SubConnState::Ready(super::super::Health::Serving));
        }

        /// Which policies there are, by their connections.
        fn policies(&self) -> Vec<String> {
            let subconns = self.channel.subconns().into_iter();
            subconns.map(|(_, address)| address.to_string()).collect()
        }

        /// The state that was published, and by which policy.
        fn published(&self) -> (Option<ConnectivityState>, String) {
            let picked = match self.channel.pick() {
                super::super::TestPick::Fail(name) => name,
                other => format!("{other:?}"),
            };
            (self.channel.state(), picked)
        }
    }

    fn failure() -> SubConnState {
        SubConnState::TransientFailure(Status::unavailable("refused"))
    }

    #[test]
    fn the_pending_policy_waits_while_it_connects_and_the_current_one_is_ready() {
        for (current, pending, expected) in [
            (Ready, Connecting, false),
            (Ready, Ready, true),
            (Ready, TransientFailure, true),
            (Ready, Idle, true),
            (Connecting, Connecting, true),
            (TransientFailure, Connecting, true),
            (Idle, Connecting, true),
        ] {
            let switches = is_ready_to_switch(current, pending);
            assert_eq!(switches, expected, "{current}, {pending}");
        }
    }

    #[test]
    fn the_first_policy_is_used_at_once() {
        let mut test = Test::new();
        test.update("a");
        assert_eq!(test.channel.state(), Some(Connecting));
        test.ready("a");
        assert_eq!(test.published(), (Some(Ready), "a".to_owned()));
        assert_eq!(test.switch.name(), Some("a"));
    }

    #[test]
    fn a_policy_of_the_same_name_is_kept() {
        let mut test = Test::new();
        test.update("a");
        let before = test.channel.subconns();
        test.update("a");
        assert_eq!(test.channel.subconns(), before);
    }

    #[test]
    fn calls_go_by_the_old_policy_until_the_new_one_is_ready() {
        let mut test = Test::new();
        test.update("a");
        test.ready("a");
        test.update("b");
        assert_eq!(test.published(), (Some(Ready), "a".to_owned()));
        assert_eq!(test.policies(), ["a", "b"]);
        test.subconn("b", &SubConnState::Connecting);
        assert_eq!(test.published(), (Some(Ready), "a".to_owned()));
        test.ready("b");
        assert_eq!(test.published(), (Some(Ready), "b".to_owned()));
        assert_eq!(test.policies(), ["b"]);
    }

    #[test]
    fn the_old_policy_goes_when_it_is_no_longer_ready() {
        let mut test = Test::new();
        test.update("a");
        test.ready("a");
        test.update("b");
        test.subconn("a", &SubConnState::Idle);
        assert_eq!(test.policies(), ["b"]);
        assert_eq!(test.channel.state(), Some(Connecting));
    }

    #[test]
    fn the_new_policy_takes_over_when_it_fails_too() {
        let mut test = Test::new();
        test.update("a");
        test.ready("a");
        test.update("b");
        test.subconn("b", &failure());
        assert_eq!(test.published(), (Some(TransientFailure), "b".to_owned()));
        assert_eq!(test.policies(), ["b"]);
    }

    #[test]
    fn a_policy_that_is_not_ready_is_replaced_at_once() {
        let mut test = Test::new();
        test.update("a");
        test.subconn("a", &failure());
        test.update("b");
        assert_eq!(test.policies(), ["b"]);
        assert_eq!(test.channel.state(), Some(Connecting));
    }

    #[test]
    fn a_third_policy_takes_the_place_of_the_pending_one() {
        let mut test = Test::new();
        test.update("a");
        test.ready("a");
        test.update("b");
        test.update("c");
        assert_eq!(test.policies(), ["a", "c"]);
        // Back to the first: it is a new one, as its endpoints are no longer those of the update.
        test.update("a");
        assert_eq!(test.policies(), ["a", "a"]);
        assert_eq!(test.published(), (Some(Ready), "a".to_owned()));
    }

    #[test]
    fn what_the_current_policy_publishes_counts_while_another_is_pending() {
        let mut test = Test::new();
        test.update("a");
        test.ready("a");
        test.update("b");
        let before = test.channel.published();
        test.ready("a");
        assert_eq!(test.channel.published(), before + 1);
        assert_eq!(test.published(), (Some(Ready), "a".to_owned()));
    }

    #[test]
    fn only_the_newest_policy_has_the_resolver_look_again() {
        let mut test = Test::new();
        test.update("a");
        test.ready("a");
        test.update("b");
        test.subconn("a", &failure());
        assert_eq!(test.channel.resolves(), 0);
        test.subconn("b", &failure());
        assert_eq!(test.channel.resolves(), 1);
    }

    #[test]
    fn requests_to_connect_and_resolver_errors_are_for_the_newest_policy() {
        let mut test = Test::new();
        test.update("a");
        test.ready("a");
        test.update("b");
        test.switch.exit_idle(&mut test.channel);
        let connects = test.channel.take_connects();
        assert_eq!(connects[0].1, Address::Name("b".to_owned()));
        assert_eq!(connects.len(), 1);
        let error = Status::unavailable("no such name");
        test.switch.resolver_error(&error, &mut test.channel);
        assert_eq!(test.published(), (Some(TransientFailure), "b".to_owned()));
    }

    #[test]
    fn a_resolver_error_without_a_policy_fails_calls() {
        let mut test = Test::new();
        let error = Status::unavailable("no such name");
        test.switch.resolver_error(&error, &mut test.channel);
        let expected = (Some(TransientFailure), "no such name".to_owned());
        assert_eq!(test.published(), expected);
    }

    #[test]
    fn the_error_of_an_update_is_the_policys() {
        let mut test = Test::new();
        let error = test.update_with("a", Vec::new()).expect_err("no endpoints");
        assert_eq!(error.message(), "no endpoints");
    }

    #[test]
    fn the_earliest_timer_of_both_counts() {
        let mut test = Test::new();
        assert_eq!(test.switch.wake_at(), None);
        test.update("a");
        test.ready("a");
        let first = test.switch.wake_at();
        test.channel.advance(Duration::from_millis(300));
        test.update("b");
        assert_eq!(test.switch.wake_at(), first);
        test.switch.wake(&mut test.channel);
        assert_eq!(test.switch.wake_at(), None);
    }
}
