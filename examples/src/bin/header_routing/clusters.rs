//! The policy `clusters`: a child for each cluster of endpoints, and each call goes to the cluster
//! that the config selector has chosen for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rgrpc::balancer::{
    Balancer, BalancerBuilder, BalancerEvent, BalancerOptions, BalancerUpdate, ChannelControl,
    ChildBalancer, ConnectivityStateEvaluator, GracefulSwitch, PickInfo, PickResult, Picker,
    PolicyConfig, handle_events,
};
use rgrpc::resolver::Endpoint;
use rgrpc::{ConnectivityState, Status};
use tokio::time::Instant;

/// The name of a cluster: an attribute of an endpoint, and an extension of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cluster(pub(crate) &'static str);

/// The config of the policy: the policy of each cluster. There is no JSON form of it.
pub(crate) type ClustersConfig = BTreeMap<Cluster, PolicyConfig>;

/// Builds the policy.
pub(crate) struct ClustersBuilder;

impl BalancerBuilder for ClustersBuilder {
    fn name(&self) -> &'static str {
        "clusters"
    }

    fn build(&self, _: &BalancerOptions) -> Box<dyn Balancer> {
        Box::new(Clusters::default())
    }
}

#[derive(Default)]
struct Clusters {
    children: BTreeMap<Cluster, ChildBalancer>,
}

impl Clusters {
    /// Passes an event on to each child, and publishes if one of them has.
    fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        let mut published = false;
        for child in self.children.values_mut() {
            published |= child.handle(event, control);
        }
        if published {
            self.publish(control);
        }
    }

    fn publish(&self, control: &mut dyn ChannelControl) {
        let mut states = ConnectivityStateEvaluator::new();
        for child in self.children.values() {
            states.record(None, Some(child.state()));
        }
        let children = self.children.iter();
        let pickers = children.map(|(cluster, child)| (*cluster, Arc::clone(child.picker())));
        // A call looks at its own cluster alone, so the state of the others must not hold it back.
        let state = match states.state() {
            ConnectivityState::TransientFailure => ConnectivityState::TransientFailure,
            _ => ConnectivityState::Ready,
        };
        control.update_state(state, Arc::new(ByCluster(pickers.collect())));
    }
}

impl Balancer for Clusters {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let config = update.config::<ClustersConfig>()?;
        let mut endpoints: HashMap<Cluster, Vec<Endpoint>> = HashMap::new();
        for endpoint in &update.endpoints {
            if let Some(cluster) = endpoint.attributes.get::<Cluster>() {
                let of_cluster = endpoints.entry(*cluster).or_default();
                of_cluster.push(endpoint.clone());
            }
        }
        self.children
            .retain(|cluster, _| config.contains_key(cluster));
        let mut result = Ok(());
        for (cluster, policy) in config {
            let new = || ChildBalancer::new(Box::new(GracefulSwitch::new()));
            let child = self.children.entry(*cluster).or_insert_with(new);
            let endpoints = endpoints.remove(cluster).unwrap_or_default();
            let update = update.for_child(endpoints, Arc::new(policy.clone()));
            let (_, updated) = child.update(update, control);
            result = result.and(updated);
        }
        self.publish(control);
        result
    }

    handle_events!();

    fn wake_at(&self) -> Option<Instant> {
        let children = self.children.values();
        children.filter_map(ChildBalancer::wake_at).min()
    }
}

/// Picks in the cluster of the call.
struct ByCluster(HashMap<Cluster, Arc<dyn Picker>>);

impl Picker for ByCluster {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let cluster = call.extensions.get::<Cluster>();
        match cluster.and_then(|cluster| self.0.get(cluster)) {
            Some(picker) => picker.pick(call),
            None => PickResult::Drop(Status::unavailable("the call has no known cluster")),
        }
    }
}

#[cfg(test)]
mod tests {
    use rgrpc::balancer::{Health, PickFirstBuilder, PickFirstConfig, SubConnState, TestChannel};
    use rgrpc::io::Address;
    use rgrpc::resolver::Attributes;
    use rgrpc::{Extensions, Metadata};

    use super::*;

    const CLUSTERS: [Cluster; 2] = [Cluster("a"), Cluster("b")];

    /// The result of a pick for a call of this cluster.
    fn pick(channel: &TestChannel, cluster: Cluster) -> Result<String, String> {
        let (metadata, mut extensions) = (Metadata::new(), Extensions::new());
        extensions.insert(cluster);
        let call = PickInfo::new("/a.B/C", &metadata).with_extensions(&extensions);
        match channel.picker().pick(&call) {
            PickResult::Pick(pick) => Ok(pick.subconn.address().to_string()),
            PickResult::Fail(status) | PickResult::Drop(status) => Err(status.message().to_owned()),
            PickResult::Queue => Err("waits".to_owned()),
        }
    }

    #[test]
    fn a_call_goes_to_its_cluster_and_waits_or_fails_with_it_alone() {
        let mut channel = TestChannel::new();
        let mut policy = ClustersBuilder.build(channel.build_options());
        let endpoints = CLUSTERS.map(|cluster| {
            Endpoint::from(Address::Name(cluster.0.to_owned()))
                .with_attributes(Attributes::new().with(cluster))
        });
        let child = PolicyConfig::new(
            Arc::new(PickFirstBuilder),
            Arc::new(PickFirstConfig::default()),
        );
        let config = ClustersConfig::from(CLUSTERS.map(|cluster| (cluster, child.clone())));
        let update = BalancerUpdate::new(endpoints.to_vec(), Arc::new(config));
        policy.update(update, &mut channel).expect("endpoints");
        policy.exit_idle(&mut channel);
        let [(a, _), (b, _)] = channel.take_connects()[..] else {
            panic!("both clusters connect");
        };
        let ready = SubConnState::Ready(Health::Serving);
        policy.subconn_state(a, &ready, &mut channel);
        assert_eq!(pick(&channel, CLUSTERS[0]), Ok("a".to_owned()));
        assert_eq!(pick(&channel, CLUSTERS[1]), Err("waits".to_owned()));
        let failed = SubConnState::TransientFailure(Status::unavailable("refused"));
        policy.subconn_state(b, &failed, &mut channel);
        assert_eq!(pick(&channel, CLUSTERS[0]), Ok("a".to_owned()));
        let failure = pick(&channel, CLUSTERS[1]).expect_err("it has failed");
        assert!(failure.contains("refused"), "{failure}");
        let unknown = pick(&channel, Cluster("c"));
        assert_eq!(unknown, Err("the call has no known cluster".to_owned()));
    }
}
