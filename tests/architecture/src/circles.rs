//! Circles in a graph.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// Returns the circles of a graph: the groups of nodes of which each leads to each other one.
#[must_use]
pub fn circles<N: Ord + Clone + Debug>(graph: &BTreeMap<N, BTreeSet<N>>) -> Vec<BTreeSet<N>> {
    let reached: BTreeMap<&N, BTreeSet<&N>> = graph
        .keys()
        .map(|node| (node, reach(graph, node)))
        .collect();
    let mut circles = BTreeSet::new();
    for (node, reachable) in &reached {
        let back = reachable
            .iter()
            .filter(|other| reached.get(**other).is_some_and(|back| back.contains(node)));
        let circle: BTreeSet<N> = back.map(|other| (*other).clone()).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// The nodes that a node leads to.
fn reach<'g, N: Ord>(graph: &'g BTreeMap<N, BTreeSet<N>>, from: &N) -> BTreeSet<&'g N> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&N> = graph.get(from).into_iter().flatten().collect();
    while let Some(node) = open.pop() {
        if reached.insert(node) {
            open.extend(graph.get(node).into_iter().flatten());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_circle_is_found_once() {
        let edges = [(1, 2), (2, 3), (3, 1), (3, 4), (5, 6), (6, 5), (7, 7)];
        let mut graph: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry(from).or_default().insert(to);
        }
        let found = circles(&graph);
        assert_eq!(found, [BTreeSet::from([1, 2, 3]), BTreeSet::from([5, 6])]);
    }
}
