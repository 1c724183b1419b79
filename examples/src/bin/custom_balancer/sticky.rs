//! The policy `sticky`: calls with the same value of a metadata key go to the same server, as long
//! as it is ready. Calls without the key go to all servers in turn.
//!
//! The server of a value is chosen by rendezvous hashing: every server has a score for the value,
//! and the ready server with the best score gets the call. So when a server is lost, only its
//! values move, and the policy keeps no state. (`ring_hash` is the similar policy of all gRPC
//! languages.)

use std::any::Any;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use rgrpc::balancer::{
    Balancer, BalancerBuilder, BalancerOptions, BalancerRegistry, BalancerUpdate, ChannelControl,
    EndpointSharding, EndpointsChange, LoadReport, PickFirstConfig, PickInfo, PickResult, Picker,
    SubConnId, SubConnState,
};
use rgrpc::resolver::EndpointKey;
use rgrpc::{ConfigValue, ConnectivityState, Metadata, ServiceConfigError, Status};
use tokio::time::Instant;

/// The builder of the policy, which is registered with a channel.
pub(crate) struct StickyBuilder;

/// The policy's config: `{"metadataKey": "session"}`.
struct StickyConfig {
    metadata_key: String,
}

impl BalancerBuilder for StickyBuilder {
    fn name(&self) -> &str {
        "sticky"
    }

    fn parse_config(
        &self,
        config: &ConfigValue<'_>,
        _registry: &BalancerRegistry,
    ) -> Result<Arc<dyn Any + Send + Sync>, ServiceConfigError> {
        let field = config.object()?.required("metadataKey")?;
        let metadata_key = field.text()?.to_owned();
        if Metadata::new().insert(metadata_key.clone(), "").is_err() {
            return Err(field.expected("a metadata key"));
        }
        Ok(Arc::new(StickyConfig { metadata_key }))
    }

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(Sticky {
            metadata_key: String::new(),
            // gRPC's leaf policy, `pick_first`, connects to each server.
            servers: EndpointSharding::new(),
        })
    }
}

/// The policy. It forwards its calls to the children, and publishes a new picker when their states
/// change.
struct Sticky {
    metadata_key: String,
    servers: EndpointSharding,
}

impl Sticky {
    fn publish(&mut self, control: &mut dyn ChannelControl) {
        if self.servers.take_change() != EndpointsChange::Best {
            return;
        }
        let state = self.servers.state();
        let in_turn = self.servers.picker(control);
        let picker: Arc<dyn Picker> = match state {
            ConnectivityState::Ready => {
                let children = self.servers.children();
                let ready = children.filter(|child| child.state() == ConnectivityState::Ready);
                Arc::new(StickyPicker {
                    metadata_key: self.metadata_key.clone(),
                    ready: ready
                        .map(|child| {
                            let server = EndpointKey::from(child.endpoint());
                            (server, Arc::clone(child.picker()))
                        })
                        .collect(),
                    in_turn,
                })
            }
            // Calls of all sessions wait or fail.
            _ => in_turn,
        };
        control.update_state(state, picker);
    }
}

impl Balancer for Sticky {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let config = update.config::<StickyConfig>()?;
        self.metadata_key.clone_from(&config.metadata_key);
        let leaf_config = Arc::new(PickFirstConfig::default());
        let update = update.with_config(leaf_config);
        let result = self.servers.update(update, control);
        self.publish(control);
        result
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        self.servers.resolver_error(error, control);
    }

    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        self.servers.subconn_state(subconn, state, control);
    }

    fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        self.servers.exit_idle(control);
    }

    fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        self.servers.load_report(subconn, report, control);
    }

    fn wake_at(&self) -> Option<Instant> {
        self.servers.wake_at()
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        self.servers.wake(control);
        self.publish(control);
    }
}

/// The picker while servers are ready. Concurrent calls use it, so it only reads.
struct StickyPicker {
    metadata_key: String,
    ready: Vec<(EndpointKey, Arc<dyn Picker>)>,
    in_turn: Arc<dyn Picker>,
}

impl Picker for StickyPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let Some(value) = call.metadata.get_bytes(&self.metadata_key) else {
            return self.in_turn.pick(call);
        };
        let best = self
            .ready
            .iter()
            .max_by_key(|(server, _)| score(server, value));
        match best {
            Some((_, picker)) => picker.pick(call),
            None => PickResult::Queue,
        }
    }
}

/// Returns the score of a server for a value.
fn score(server: &EndpointKey, value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (server, value).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use rgrpc::balancer::{Health, PolicyConfig, TestChannel, TestPick};
    use rgrpc::io::Address;
    use rgrpc::resolver::Endpoint;

    use super::*;

    fn parse(config: &str) -> Result<PolicyConfig, String> {
        let mut registry = BalancerRegistry::empty();
        registry.register(Arc::new(StickyBuilder));
        let policy = registry.parse_json(&format!(r#"[{{"sticky": {config}}}]"#));
        policy.map_err(|error| error.to_string())
    }

    /// The policy with three servers, on a channel that does not connect.
    fn policy() -> (Box<dyn Balancer>, TestChannel) {
        let config = parse(r#"{"metadataKey": "session"}"#).expect("a config");
        let servers = ["a", "b", "c"].map(|name| Endpoint::from(Address::Name(name.to_owned())));
        let update = BalancerUpdate::new(servers.to_vec(), Arc::clone(config.config()));
        let mut channel = TestChannel::new();
        let mut policy = config.build(TestChannel::new().build_options());
        policy.update(update, &mut channel).expect("servers");
        (policy, channel)
    }

    /// Returns the server of a session's call.
    fn server_of(channel: &TestChannel, session: u32) -> String {
        let mut metadata = Metadata::new();
        metadata
            .insert("session", session.to_string())
            .expect("text");
        match channel.picker().pick(&PickInfo::new("/s/m", &metadata)) {
            PickResult::Pick(pick) => pick.subconn.address().to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_config_without_a_valid_key_is_refused() {
        for (config, problem) in [
            ("{}", "[0].sticky.metadataKey: this field is required"),
            (
                r#"{"metadataKey": "white space"}"#,
                "[0].sticky.metadataKey: a metadata key is expected, got \"white space\"",
            ),
        ] {
            assert_eq!(parse(config).expect_err(config), problem);
        }
    }

    #[test]
    fn calls_wait_until_a_server_is_ready() {
        let (mut policy, mut channel) = policy();
        assert_eq!(channel.pick(), TestPick::Queue);
        let (subconn, address) = channel.take_connects().remove(0);
        let ready = SubConnState::Ready(Health::Serving);
        policy.subconn_state(subconn, &ready, &mut channel);
        policy.wake(&mut channel);
        assert_eq!(channel.state(), Some(ConnectivityState::Ready));
        assert_eq!(channel.pick(), TestPick::Address(address.clone()));
        assert_eq!(server_of(&channel, 1), address.to_string());
    }

    #[test]
    fn a_session_moves_only_while_its_server_is_lost() {
        let (mut policy, mut channel) = policy();
        let connects = channel.take_connects();
        let ready = SubConnState::Ready(Health::Serving);
        for (subconn, _) in &connects {
            policy.subconn_state(*subconn, &ready, &mut channel);
        }
        policy.wake(&mut channel);
        let before: Vec<_> = (0..100)
            .map(|session| server_of(&channel, session))
            .collect();
        for (subconn, address) in connects {
            let share = before
                .iter()
                .filter(|server| **server == address.to_string());
            assert!(share.count() > 15, "each server has its share: {before:?}");

            policy.subconn_state(subconn, &SubConnState::Idle, &mut channel);
            policy.wake(&mut channel);
            for (session, server) in (0..100).zip(&before) {
                let moved = server_of(&channel, session) != *server;
                assert_eq!(moved, *server == address.to_string());
            }
            // The server is connected again.
            let (subconn, again) = channel.take_connects().remove(0);
            assert_eq!(again, address);
            policy.subconn_state(subconn, &ready, &mut channel);
            policy.wake(&mut channel);
            for (session, server) in (0..100).zip(&before) {
                assert_eq!(server_of(&channel, session), *server);
            }
        }
    }
}
