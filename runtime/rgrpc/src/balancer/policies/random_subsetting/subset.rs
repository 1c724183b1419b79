//! The choice of the subset, by rendezvous hashing.
//!
//! Called by the policy with each update, on the channel's task.

use twox_hash::XxHash64;

use crate::resolver::Endpoint;

/// Returns the `size` endpoints with the least hashes, or all in their order if there are not more.
/// Endpoints without an address are removed.
///
/// Source: gRFC A68, "Subsetting algorithm".
pub(super) fn subset(mut endpoints: Vec<Endpoint>, size: u32, seed: u64) -> Vec<Endpoint> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    endpoints.retain(|endpoint| !endpoint.addresses.is_empty());
    if endpoints.len() > size {
        endpoints.sort_by_cached_key(|endpoint| hash(endpoint, seed));
        endpoints.truncate(size);
    }
    endpoints
}

fn hash(endpoint: &Endpoint, seed: u64) -> u64 {
    let address = endpoint.addresses.first().map(ToString::to_string);
    XxHash64::oneshot(seed, address.unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::chi_square::assert_distribution;
    use crate::balancer::policies::policy_test::{address, endpoint};

    fn endpoints(names: std::ops::Range<usize>) -> Vec<Endpoint> {
        names.map(|name| endpoint(&name.to_string())).collect()
    }

    #[test]
    fn all_endpoints_are_used_in_their_order_if_they_are_not_more_than_the_size() {
        for size in [3, 4, u32::MAX] {
            assert_eq!(subset(endpoints(0..3), size, 7), endpoints(0..3));
        }
        assert_eq!(subset(Vec::new(), 1, 7), []);
    }

    #[test]
    fn the_choice_depends_on_the_seed_and_not_on_the_order() {
        let chosen = subset(endpoints(0..100), 10, 7);
        assert_eq!(chosen.len(), 10);
        let mut reversed = endpoints(0..100);
        reversed.reverse();
        assert_eq!(subset(reversed, 10, 7), chosen);
        assert_ne!(subset(endpoints(0..100), 10, 8), chosen);
    }

    #[test]
    fn an_added_or_removed_endpoint_changes_at_most_one_member() {
        let before = subset(endpoints(0..101), 10, 7);
        for gone in 0..101 {
            let mut rest = endpoints(0..101);
            rest.remove(gone);
            let after = subset(rest, 10, 7);
            let kept = before.iter().filter(|it| after.contains(it)).count();
            assert!(kept >= 9, "{gone}: {kept}");
        }
    }

    #[test]
    fn only_the_first_address_is_hashed_and_one_is_required() {
        let mut with_more = endpoints(0..20);
        for endpoint in &mut with_more {
            endpoint.addresses.push(address("another"));
        }
        with_more.push(Endpoint::new(Vec::new()));
        let firsts = |endpoints: Vec<Endpoint>| -> Vec<_> {
            let mut endpoints = endpoints.into_iter();
            std::iter::from_fn(|| endpoints.next()?.addresses.into_iter().next()).collect()
        };
        let expected = firsts(subset(endpoints(0..20), 5, 7));
        assert_eq!(firsts(subset(with_more, 5, 7)), expected);
    }

    #[test]
    fn many_channels_use_each_endpoint_equally() {
        let mut seeds = fastrand::Rng::with_seed(7);
        let mut counts = [0; 4];
        // The subset has one member, so that the draws are independent.
        for _ in 0..100_000 {
            let chosen = subset(endpoints(0..4), 1, seeds.u64(..));
            let name: usize = chosen[0].addresses[0].to_string().parse().expect("a name");
            counts[name] += 1;
        }
        assert_distribution(&counts, &[1.0; 4]);
    }
}
