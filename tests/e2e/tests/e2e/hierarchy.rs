//! Policies of policies: children that are dealt the resolver's endpoints.
//!
//! Source: gRFCs A28, A56, A68; grpc-go's tests of `weightedtarget`, `priority` and
//! `randomsubsetting`.

use std::collections::BTreeMap;
use std::time::Duration;

use rgrpc::ClientConnBuilder;
use rgrpc::balancer::{
    HierarchyPath, PriorityBuilder, RandomSubsettingBuilder, WeightedTargetBuilder,
};
use rgrpc::resolver::{Attributes, Endpoint, ResolverState};
use rgrpc_e2e::{StubClient, msg, settle, soon, text};
use tokio::time::sleep;

use crate::cluster::{Cluster, address, state};

const WEIGHTED_TARGET: &str = r#"{"loadBalancingConfig": [{"weighted_target_experimental":
    {"targets": {
        "many": {"weight": 3, "childPolicy": [{"round_robin": {}}]},
        "few": {"weight": 1, "childPolicy": [{"round_robin": {}}]}
    }}
}]}"#;

const PRIORITY: &str = r#"{"loadBalancingConfig": [{"priority_experimental":
    {
        "priorities": ["near", "far"],
        "children": {
            "near": {"config": [{"round_robin": {}}]},
            "far": {"config": [{"round_robin": {}}]}
        }
    }
}]}"#;

/// The first child of the other policy is balanced by weights in turn.
const PRIORITY_OF_WEIGHTED_TARGET: &str = r#"{"loadBalancingConfig": [{"priority_experimental":
    {
        "priorities": ["near", "far"],
        "children": {
            "near": {"config": [{"weighted_target_experimental": {"targets": {
                "used": {"weight": 1, "childPolicy": [{"round_robin": {}}]},
                "unused": {"weight": 0, "childPolicy": [{"round_robin": {}}]}
            }}}]},
            "far": {"config": [{"round_robin": {}}]}
        }
    }
}]}"#;

const RANDOM_SUBSETTING: &str = r#"{"loadBalancingConfig": [{"random_subsetting_experimental":
    {"subsetSize": 3, "childPolicy": [{"round_robin": {}}]}
}]}"#;

/// The servers of these names, each for the child at this path.
fn dealt(servers: &[(&str, &[&str])]) -> ResolverState {
    let endpoints = servers.iter().map(|(name, path)| {
        let path = HierarchyPath::new(path.iter().copied());
        Endpoint::from(address(name)).with_attributes(Attributes::new().with(path))
    });
    ResolverState::new(endpoints.collect())
}

async fn connected(builder: ClientConnBuilder, config: &str) -> StubClient {
    let conn = builder.default_service_config(config).build();
    let conn = conn.expect("a valid channel");
    conn.connect().expect("the channel is open");
    settle().await;
    StubClient::new(conn)
}

/// The backends that answer `count` calls, with the number of calls of each.
async fn answers(client: &StubClient, count: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..count {
        let response = soon(async { client.unary(msg("")).await }).await;
        let name = text(response.expect("OK").message()).to_owned();
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// Asserts that exactly these backends answer calls.
async fn assert_answer(client: &StubClient, expected: &[&str]) {
    let answers = answers(client, 12).await;
    assert!(answers.keys().eq(expected), "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn weighted_target_gives_its_children_calls_by_their_weights() {
    let mut cluster = Cluster::of(&["a", "b", "c"]);
    let endpoints: [(&str, &[&str]); 3] = [("a", &["many"]), ("b", &["many"]), ("c", &["few"])];
    cluster.resolver.update(dealt(&endpoints));
    let builder = cluster.builder().balancer(WeightedTargetBuilder);
    let client = connected(builder, WEIGHTED_TARGET).await;
    let counts = answers(&client, 1_000).await;
    // 250 are expected, with a standard deviation of 14.
    assert!(counts["c"].abs_diff(250) < 100, "{counts:?}");
    assert!(
        counts["a"].abs_diff(counts["b"]) <= 1,
        "in turn: {counts:?}"
    );

    // A child without a connection has no part in it.
    drop(cluster.take("c"));
    settle().await;
    assert_answer(&client, &["a", "b"]).await;
}

#[tokio::test(start_paused = true)]
async fn priority_falls_back_to_the_next_child_and_comes_back_to_the_first() {
    let mut cluster = Cluster::of(&["a", "b", "c"]);
    let endpoints: [(&str, &[&str]); 3] = [("a", &["near"]), ("b", &["near"]), ("c", &["far"])];
    cluster.resolver.update(dealt(&endpoints));
    let builder = cluster.builder().balancer(PriorityBuilder);
    let client = connected(builder, PRIORITY).await;
    assert_answer(&client, &["a", "b"]).await;

    drop(cluster.take("a"));
    settle().await;
    assert_answer(&client, &["b"]).await;
    drop(cluster.take("b"));
    settle().await;
    assert_answer(&client, &["c"]).await;

    cluster.start_named("a");
    // For longer than the backoff of the attempts that have failed.
    sleep(Duration::from_secs(10)).await;
    assert_answer(&client, &["a"]).await;

    // The first child is left without any endpoint.
    cluster.resolver.update(dealt(&[("c", &["far"])]));
    settle().await;
    assert_answer(&client, &["c"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_path_leads_through_policies_of_policies() {
    let mut cluster = Cluster::of(&["a", "b", "c"]);
    let endpoints: [(&str, &[&str]); 3] = [
        ("a", &["near", "used"]),
        ("b", &["near", "unused"]),
        ("c", &["far"]),
    ];
    cluster.resolver.update(dealt(&endpoints));
    let builder = cluster.builder();
    let builder = builder
        .balancer(PriorityBuilder)
        .balancer(WeightedTargetBuilder);
    let client = connected(builder, PRIORITY_OF_WEIGHTED_TARGET).await;
    assert_answer(&client, &["a"]).await;
    drop(cluster.take("a"));
    settle().await;
    // Nothing else is ready in the first child.
    assert_answer(&client, &["b"]).await;
    drop(cluster.take("b"));
    settle().await;
    assert_answer(&client, &["c"]).await;
}

#[tokio::test(start_paused = true)]
async fn random_subsetting_connects_to_so_many_backends_and_stays_with_them() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut cluster = Cluster::of(&names);
    cluster.found(&names);
    let builder = cluster.builder().balancer(RandomSubsettingBuilder);
    let client = connected(builder, RANDOM_SUBSETTING).await;
    let counts = answers(&client, 9).await;
    assert!(counts.values().eq([&3, &3, &3]), "{counts:?}");

    // The same again, in another order.
    let reversed: Vec<_> = names.into_iter().rev().collect();
    cluster.resolver.update(state(&reversed));
    soon(cluster.resolver.taken()).await.expect("usable");
    settle().await;
    assert_eq!(answers(&client, 9).await, counts);

    // Without one of those that were chosen, another takes its place alone.
    let lost = counts.keys().next().expect("three").clone();
    let rest: Vec<_> = names.into_iter().filter(|name| *name != lost).collect();
    drop(cluster.take(&lost));
    cluster.found(&rest);
    soon(cluster.resolver.taken()).await.expect("usable");
    settle().await;
    let after = answers(&client, 9).await;
    assert!(after.values().eq([&3, &3, &3]), "{after:?}");
    let kept = counts.keys().filter(|name| after.contains_key(*name));
    assert_eq!(kept.count(), 2, "{counts:?}, then {after:?}");
}
