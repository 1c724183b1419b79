//! Tests of a sharding over leaves of `pick_first`.

use std::time::Duration;

use super::*;
use crate::balancer::{
    Health, PickFirstConfig, PickInfo, PickResult, SubConnOptions, TestChannel, TestPick,
};
use crate::connectivity_state::ConnectivityState::{Connecting, Idle, Ready, TransientFailure};
use crate::io::Address;
use crate::metadata::Metadata;
use crate::resolver::Attributes;

/// A sharding on a test channel.
struct Fixture {
    channel: TestChannel,
    endpoints: EndpointSharding,
}

fn address(name: &str) -> Address {
    Address::Name(name.to_owned())
}

/// An endpoint with these addresses, separated by spaces: "a" or "a b".
fn endpoint(names: &str) -> Endpoint {
    Endpoint::new(names.split(' ').map(address).collect())
}

fn update_of(endpoints: Vec<Endpoint>) -> BalancerUpdate {
    BalancerUpdate::new(endpoints, Arc::new(PickFirstConfig::default()))
}

impl Fixture {
    fn of(endpoints: EndpointSharding) -> Self {
        let channel = TestChannel::new();
        Self { channel, endpoints }
    }

    fn new(endpoints: &[&str]) -> Self {
        let mut fixture = Self::of(EndpointSharding::new());
        fixture.update(endpoints);
        fixture
    }

    fn update(&mut self, endpoints: &[&str]) {
        let endpoints = endpoints.iter().map(|names| endpoint(names)).collect();
        let result = self
            .endpoints
            .update(update_of(endpoints), &mut self.channel);
        result.expect("there are endpoints");
        assert_eq!(self.endpoints.take_change(), EndpointsChange::Best);
    }

    fn subconn_state(&mut self, name: &str, state: &SubConnState) -> EndpointsChange {
        let subconn = self.channel.subconn(&address(name)).expect(name);
        self.endpoints
            .subconn_state(subconn, state, &mut self.channel);
        self.endpoints.take_change()
    }

    fn ready(&mut self, name: &str) -> EndpointsChange {
        self.subconn_state(name, &SubConnState::Connecting);
        self.subconn_state(name, &SubConnState::Ready(Health::Serving))
    }

    fn fail(&mut self, name: &str) -> EndpointsChange {
        self.subconn_state(name, &SubConnState::Connecting);
        let status = Status::unavailable(format!("{name} refused"));
        self.subconn_state(name, &SubConnState::TransientFailure(status))
    }

    fn lose(&mut self, name: &str) -> EndpointsChange {
        self.subconn_state(name, &SubConnState::Idle)
    }

    fn id(&self, names: &str) -> EndpointId {
        let key = EndpointKey::from(&endpoint(names));
        self.endpoints.child_of(&key).expect(names).id()
    }

    fn states(&self) -> Vec<ConnectivityState> {
        self.endpoints
            .children()
            .map(EndpointChild::state)
            .collect()
    }

    fn connects(&mut self) -> Vec<String> {
        let connects = self.channel.take_connects().into_iter();
        let mut names: Vec<_> = connects.map(|(_, address)| address.to_string()).collect();
        names.sort();
        names
    }

    /// The picks of `count` calls by the sharding's own picker, sorted.
    fn picks(&mut self, count: usize) -> Vec<TestPick> {
        let picker = self.endpoints.picker(&mut self.channel);
        self.channel.update_state(self.endpoints.state(), picker);
        let mut picks: Vec<_> = (0..count).map(|_| self.channel.pick()).collect();
        picks.sort_by_key(|pick| format!("{pick:?}"));
        picks
    }
}

#[test]
fn an_endpoint_has_one_child_however_often_it_is_listed() {
    let mut fixture = Fixture::new(&["a b", "c", "b a", "c"]);
    assert_eq!(fixture.endpoints.children().len(), 2);
    // A child connects to one address at a time.
    let connects = fixture.connects();
    assert_eq!(connects.len(), 2);
    assert_eq!(connects[1], "c");
}

#[test]
fn an_endpoint_keeps_its_child_as_long_as_its_set_of_addresses_is_listed() {
    let mut fixture = Fixture::new(&["a b", "c"]);
    let (ab, c) = (fixture.id("a b"), fixture.id("c"));
    fixture.ready("c");
    fixture.update(&["c", "b a", "d"]);
    assert_eq!(fixture.id("a b"), ab);
    assert_eq!(fixture.id("c"), c);
    assert_eq!(
        fixture.endpoints.state(),
        Ready,
        "it is the same connection"
    );

    fixture.update(&["d"]);
    assert!(fixture.endpoints.child(c).is_none());
    assert_eq!(fixture.endpoints.state(), Connecting);
    let subconns = fixture.channel.subconns();
    let names: Vec<_> = subconns.iter().map(|(_, to)| to.to_string()).collect();
    assert_eq!(names, ["d"], "the others are dropped");

    fixture.update(&["c", "d"]);
    assert_ne!(fixture.id("c"), c, "it is a new one");
}

#[test]
fn a_child_has_the_attributes_of_the_last_update() {
    let mut fixture = Fixture::new(&["a"]);
    let weighted = endpoint("a").with_attributes(Attributes::new().with(7_u8));
    let update = update_of(vec![weighted]);
    fixture
        .endpoints
        .update(update, &mut fixture.channel)
        .expect("an endpoint");
    let child = fixture.endpoints.children().next().expect("a child");
    assert_eq!(child.endpoint().attributes.get(), Some(&7_u8));
}

#[test]
fn the_picker_uses_the_children_with_the_aggregate_state() {
    let mut fixture = Fixture::new(&["a", "b", "c"]);
    let to = |name: &str| TestPick::Address(address(name));
    assert_eq!(fixture.endpoints.state(), Connecting);
    assert_eq!(fixture.picks(1), [TestPick::Queue]);

    fixture.fail("a");
    assert_eq!(fixture.endpoints.state(), Connecting);
    assert_eq!(fixture.picks(1), [TestPick::Queue]);

    fixture.ready("b");
    assert_eq!(fixture.endpoints.state(), Ready);
    assert_eq!(fixture.picks(2), [to("b"), to("b")]);
    fixture.ready("c");
    assert_eq!(fixture.picks(4), [to("b"), to("b"), to("c"), to("c")]);

    fixture.lose("b");
    fixture.lose("c");
    assert_eq!(fixture.endpoints.state(), Connecting);
    fixture.fail("b");
    fixture.fail("c");
    assert_eq!(fixture.endpoints.state(), TransientFailure);
    let failure = |name: &str| {
        let text = format!("cannot connect to test:///backends: {name} refused");
        TestPick::Fail(text)
    };
    assert_eq!(fixture.picks(3), [failure("a"), failure("b"), failure("c")]);
}

#[test]
fn a_lost_connection_is_reconnected() {
    let mut fixture = Fixture::new(&["a", "b"]);
    fixture.ready("a");
    fixture.connects();
    let before = fixture.channel.resolves();
    assert_eq!(fixture.lose("a"), EndpointsChange::Best);
    assert_eq!(fixture.states(), [Connecting, Connecting]);
    assert_eq!(fixture.connects(), ["a"]);
    assert_eq!(fixture.channel.resolves(), before + 1);
}

#[test]
fn without_reconnecting_children_stay_idle_until_exit_idle() {
    let endpoints = EndpointSharding::new().without_reconnecting();
    let mut fixture = Fixture::of(endpoints);
    fixture.update(&["a", "b"]);
    for name in ["a", "b"] {
        fixture.ready(name);
        fixture.lose(name);
    }
    fixture.connects();
    assert_eq!(fixture.states(), [Idle, Idle]);

    let a = fixture.id("a");
    fixture.endpoints.exit_idle_child(a, &mut fixture.channel);
    assert_eq!(fixture.endpoints.take_change(), EndpointsChange::Best);
    assert_eq!(fixture.connects(), ["a"]);
    fixture.endpoints.exit_idle(&mut fixture.channel);
    assert_eq!(fixture.connects(), ["b"]);
}

#[test]
fn a_pick_of_the_picker_of_an_idle_child_wakes_the_child() {
    let endpoints = EndpointSharding::new().without_reconnecting();
    let mut fixture = Fixture::of(endpoints);
    fixture.update(&["a", "b"]);
    for name in ["a", "b"] {
        fixture.ready(name);
        fixture.lose(name);
    }
    fixture.connects();
    let child = fixture.endpoints.child(fixture.id("b")).expect("b");
    let metadata = Metadata::new();
    let pick = child.picker().pick(&PickInfo::new("/s/m", &metadata));
    assert!(matches!(pick, PickResult::Queue));
    assert!(fixture.channel.take_wake());
    fixture.endpoints.wake(&mut fixture.channel);
    assert_eq!(fixture.connects(), ["b"]);
}

#[test]
fn without_endpoints_calls_fail_with_the_reason() {
    let mut fixture = Fixture::of(EndpointSharding::new());
    let error = Status::not_found("no such name");
    fixture
        .endpoints
        .resolver_error(&error, &mut fixture.channel);
    assert_eq!(fixture.endpoints.take_change(), EndpointsChange::Best);
    assert_eq!(fixture.endpoints.state(), TransientFailure);
    assert_eq!(
        fixture.picks(1),
        [TestPick::Fail("no such name".to_owned())]
    );

    fixture.update(&["a"]);
    fixture.ready("a");
    let error = fixture
        .endpoints
        .update(update_of(Vec::new()), &mut fixture.channel)
        .expect_err("there are none");
    let text = "name resolution of test:///backends has found no endpoints";
    assert_eq!(error.message(), text);
    assert_eq!(fixture.endpoints.state(), TransientFailure);
    assert_eq!(fixture.picks(1), [TestPick::Fail(text.to_owned())]);
    assert_eq!(fixture.channel.subconns(), []);
}

#[test]
fn an_endpoint_without_addresses_fails_alone() {
    let mut fixture = Fixture::of(EndpointSharding::new());
    let endpoints = vec![Endpoint::default(), endpoint("a")];
    let update = update_of(endpoints);
    let error = fixture.endpoints.update(update, &mut fixture.channel);
    assert!(error.is_err(), "the channel should resolve again");
    fixture.ready("a");
    assert_eq!(fixture.endpoints.state(), Ready);
}

#[test]
fn the_policy_is_woken_once_for_several_changes() {
    let mut fixture = Fixture::new(&["a", "b", "c"]);
    assert!(
        !fixture.channel.take_wake(),
        "it publishes an update at once"
    );
    let ready = SubConnState::Ready(Health::Serving);
    for (subconn, _) in fixture.channel.subconns() {
        fixture
            .endpoints
            .subconn_state(subconn, &ready, &mut fixture.channel);
    }
    assert!(fixture.channel.take_wake());
    fixture.endpoints.wake(&mut fixture.channel);
    assert_eq!(fixture.endpoints.take_change(), EndpointsChange::Best);
    assert!(!fixture.channel.take_wake());
    assert_eq!(fixture.endpoints.take_change(), EndpointsChange::None);
}

#[test]
fn changes_outside_of_the_aggregate_state_do_not_change_the_picker() {
    let mut fixture = Fixture::new(&["a", "b"]);
    assert_eq!(fixture.ready("a"), EndpointsChange::Best);
    assert_eq!(fixture.fail("b"), EndpointsChange::Others);
    assert_eq!(fixture.lose("a"), EndpointsChange::Best);
    assert_eq!(fixture.ready("b"), EndpointsChange::Best);
    // The child is in this state already.
    let same = fixture.subconn_state("a", &SubConnState::Connecting);
    assert_eq!(same, EndpointsChange::None);
}

#[test]
fn subchannels_of_others_are_ignored() {
    let mut fixture = Fixture::new(&["a"]);
    let options = SubConnOptions::default();
    let foreign = fixture.channel.create_subconn(address("a"), options);
    let ready = SubConnState::Ready(Health::Serving);
    fixture
        .endpoints
        .subconn_state(foreign.id(), &ready, &mut fixture.channel);
    assert_eq!(fixture.endpoints.take_change(), EndpointsChange::None);
    assert_eq!(fixture.endpoints.state(), Connecting);
    assert!(fixture.endpoints.child_with(foreign.id()).is_none());
    let own = fixture.channel.subconns()[0].0;
    let child = fixture.endpoints.child_with(own).expect("its child");
    assert_eq!(child.id(), fixture.id("a"));
}

#[test]
fn wake_at_is_the_earliest_timer_of_the_children() {
    // A child with a second address tries it 250 ms later.
    let mut fixture = Fixture::new(&["a b", "c", "d e", "f g"]);
    let at = fixture.channel.now() + Duration::from_millis(250);
    assert_eq!(fixture.endpoints.wake_at(), Some(at));
    // The child tries the second address now.
    fixture.fail("a");
    assert_eq!(fixture.endpoints.wake_at(), Some(at));
    fixture.fail("d");
    assert_eq!(fixture.endpoints.wake_at(), Some(at));
    fixture.connects();
    fixture.channel.advance(Duration::from_millis(250));
    fixture.endpoints.wake(&mut fixture.channel);
    assert_eq!(fixture.connects(), ["g"]);
    assert_eq!(fixture.endpoints.wake_at(), None);
}

#[test]
fn the_timer_of_a_removed_child_is_removed() {
    let mut fixture = Fixture::new(&["a b", "c"]);
    assert!(fixture.endpoints.wake_at().is_some());
    fixture.update(&["c"]);
    assert_eq!(fixture.endpoints.wake_at(), None);
}

#[test]
fn backends_report_their_load_if_the_option_is_set() {
    for (endpoints, expected) in [
        (EndpointSharding::new(), None),
        (
            EndpointSharding::new().with_load_reports(Duration::from_secs(3)),
            Some(Duration::from_secs(3)),
        ),
    ] {
        let mut fixture = Fixture::of(endpoints);
        fixture.update(&["a"]);
        let subconn = fixture.channel.subconn(&address("a")).expect("a");
        let options = fixture.channel.options(subconn).expect("it is held");
        assert_eq!(options.load_reports, expected);
    }
}

#[test]
fn a_thousand_endpoints_can_change_repeatedly() {
    let mut fixture = Fixture::of(EndpointSharding::new());
    for round in 0..20 {
        // A tenth of them is replaced.
        let backends = 100 * round..100 * round + 1000;
        let endpoints = backends.map(|backend| endpoint(&format!("backend-{backend}")));
        let update = update_of(endpoints.collect());
        fixture
            .endpoints
            .update(update, &mut fixture.channel)
            .expect("there are endpoints");
        let connects = fixture.channel.take_connects();
        assert_eq!(connects.len(), if round == 0 { 1000 } else { 100 });
        for (subconn, _) in connects {
            for state in [
                SubConnState::Connecting,
                SubConnState::Ready(Health::Serving),
            ] {
                fixture
                    .endpoints
                    .subconn_state(subconn, &state, &mut fixture.channel);
            }
        }
        assert_eq!(fixture.endpoints.children().len(), 1000);
        assert_eq!(fixture.endpoints.best_children().count(), 1000);
        assert_eq!(fixture.channel.subconns().len(), 1000);
    }
}

#[test]
fn a_list_is_rotated_to_a_random_element() {
    for (random, expected) in [
        (0.0, [0, 1, 2, 3]),
        (0.24, [0, 1, 2, 3]),
        (0.25, [1, 2, 3, 0]),
        (0.999, [3, 0, 1, 2]),
    ] {
        let mut list = [0, 1, 2, 3];
        rotate(&mut list, random);
        assert_eq!(list, expected, "{random}");
    }
    rotate(&mut [0; 0], 0.5);
}
