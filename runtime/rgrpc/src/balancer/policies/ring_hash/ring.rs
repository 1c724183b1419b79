//! The ring: the places of endpoints, sorted by hash.
//!
//! Built by the policy when its endpoints change, on the channel's task; read by pickers.

use std::fmt::Write;
use std::ops::RangeInclusive;

use twox_hash::XxHash64;

/// An endpoint as a member of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RingMember {
    /// The key whose hashes are its places.
    pub(super) key: String,
    /// The number of its entries, relative to other members; at least 1.
    pub(super) weight: u32,
}

/// The entries of all members, sorted by hash. The first entry follows the last.
///
/// Source: gRFC A42, "Ring Construction"; Envoy's `ring_hash_lb.cc`, which has the same ring for
/// the same endpoints.
#[derive(Debug)]
pub(super) struct Ring {
    entries: Vec<Entry>,
}

/// A place on the ring. The order is that of the hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    hash: u64,
    /// The index of the member.
    member: u32,
}

impl Ring {
    /// Builds a ring of these members, with a number of entries in about this range.
    pub(super) fn new(members: &[RingMember], size: &RangeInclusive<u32>) -> Self {
        let total: f64 = members.iter().map(|it| f64::from(it.weight)).sum();
        let least = members.iter().map(|it| it.weight).min().unwrap_or(1);
        let scale = scale(f64::from(least) / total, size);

        // The order depends only on the keys, because it decides which member gets one more entry.
        let mut order: Vec<_> = (0_u32..).zip(members).collect();
        order.sort_by(|(_, one), (_, other)| one.key.cmp(&other.key));

        let mut entries = Vec::new();
        let mut target = 0.0;
        let mut text = String::new();
        for (member, RingMember { key, weight }) in order {
            // Fractions of entries add up, and the sum decides if there is one more entry.
            target += scale * f64::from(*weight) / total;
            for number in 0.. {
                if entries.len() as f64 >= target {
                    break;
                }
                text.clear();
                // Writing to a string cannot fail.
                let _ = write!(text, "{key}_{number}");
                let hash = XxHash64::oneshot(0, text.as_bytes());
                entries.push(Entry { hash, member });
            }
        }
        entries.sort_unstable();
        Self { entries }
    }

    /// The members of all entries, from a hash on around the ring.
    pub(super) fn walk(&self, hash: u64) -> impl Iterator<Item = usize> {
        let first = self.entries.partition_point(|entry| entry.hash < hash);
        let (before, from) = self.entries.split_at(first);
        from.iter().chain(before).map(|entry| entry.member as usize)
    }
}

/// The total number of entries, chosen so that the member with the least share (of 1) has a whole
/// number of entries.
fn scale(least_share: f64, size: &RangeInclusive<u32>) -> f64 {
    let (min, max) = (f64::from(*size.start()), f64::from(*size.end()));
    ((least_share * min).ceil() / least_share).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::chi_square::assert_distribution;

    fn ring(members: &[(&str, u32)], size: RangeInclusive<u32>) -> Ring {
        let members = members.iter().map(|(key, weight)| RingMember {
            key: (*key).to_owned(),
            weight: *weight,
        });
        Ring::new(&members.collect::<Vec<_>>(), &size)
    }

    /// The number of entries of each member.
    fn counts(ring: &Ring, members: usize) -> Vec<usize> {
        let mut counts = vec![0; members];
        ring.walk(0).for_each(|member| counts[member] += 1);
        counts
    }

    /// The hashes of 127.0.0.1:90 to :95 with two entries each, and the last digit of the port,
    /// from Envoy's tests.
    const ENVOY_RING: [(u64, u32); 12] = [
        (833_437_586_790_550_860, 4),
        (928_266_305_478_181_108, 2),
        (1_033_482_794_131_418_490, 0),
        (3_551_244_743_356_806_947, 5),
        (3_851_675_632_748_031_481, 3),
        (5_583_722_120_771_150_861, 1),
        (6_311_230_543_546_372_928, 1),
        (7_700_377_290_971_790_572, 3),
        (13_144_177_310_400_110_813, 5),
        (13_444_792_449_719_432_967, 2),
        (15_516_499_411_664_133_160, 4),
        (16_117_243_373_044_804_889, 0),
    ];

    fn envoy_ring() -> Ring {
        let keys: Vec<_> = (90..96).map(|port| format!("127.0.0.1:{port}")).collect();
        let members: Vec<_> = keys.iter().map(|key| (key.as_str(), 1)).collect();
        ring(&members, 12..=20)
    }

    #[test]
    fn the_ring_equals_the_one_of_envoy() {
        let entries = envoy_ring().entries.into_iter();
        let entries: Vec<_> = entries.map(|entry| (entry.hash, entry.member)).collect();
        assert_eq!(entries, ENVOY_RING);
    }

    #[test]
    fn each_member_has_entries_in_proportion_to_its_weight() {
        for (weights, size, expected) in [
            (&[3, 3, 4][..], 10..=20, &[3, 3, 4][..]),
            (&[1], 1024..=4096, &[1024]),
            (&[1, 1, 1], 1024..=4096, &[342, 342, 342]),
            // Each member has at least one entry.
            (&[1, 999], 10..=4096, &[1, 999]),
            // The maximum is never exceeded. Fractions add up.
            (&[1, 999], 10..=100, &[1, 99]),
            (&[3, 3, 4], 7..=7, &[3, 2, 2]),
            // With more members than entries, some members have none.
            (&[1, 1, 1, 1], 2..=2, &[1, 0, 1, 0]),
            (&[u32::MAX, u32::MAX], 2..=2, &[1, 1]),
        ] {
            let names: Vec<_> = (0..weights.len()).map(|it| it.to_string()).collect();
            let members: Vec<_> = names
                .iter()
                .map(String::as_str)
                .zip(weights.iter().copied())
                .collect();
            let ring = ring(&members, size.clone());
            assert_eq!(
                counts(&ring, members.len()),
                expected,
                "{weights:?} {size:?}"
            );
        }
    }

    #[test]
    fn the_order_of_the_members_does_not_matter() {
        let one = ring(&[("a", 1), ("b", 2), ("c", 3)], 100..=100);
        let other = ring(&[("c", 3), ("a", 1), ("b", 2)], 100..=100);
        let names = |ring: &Ring, names: [&'static str; 3]| -> Vec<_> {
            ring.walk(0).map(|member| names[member]).collect()
        };
        assert_eq!(names(&one, ["a", "b", "c"]), names(&other, ["c", "a", "b"]));
    }

    #[test]
    fn a_walk_begins_at_the_first_entry_that_is_not_less_and_wraps_around() {
        for (hash, first) in [
            (0, 0),
            (833_437_586_790_550_860, 0),
            (833_437_586_790_550_861, 1),
            (16_117_243_373_044_804_889, 11),
            (u64::MAX, 0),
        ] {
            let mut expected = ENVOY_RING.map(|(_, member)| member as usize);
            expected.rotate_left(first);
            assert_eq!(
                envoy_ring().walk(hash).collect::<Vec<_>>(),
                expected,
                "{hash}"
            );
        }
    }

    #[test]
    fn hashed_values_are_distributed_like_the_ring() {
        let ring = ring(&[("a", 1), ("b", 2), ("c", 5)], 1024..=4096);
        // An entry covers the hashes after the entry before it; the first one wraps around.
        let mut before = ring.entries.last().expect("entries").hash;
        let mut shares = [0.0; 3];
        for entry in &ring.entries {
            shares[entry.member as usize] += entry.hash.wrapping_sub(before) as f64;
            before = entry.hash;
        }
        let mut counts = [0; 3];
        for number in 0..100_000_u32 {
            let hash = XxHash64::oneshot(0, number.to_string().as_bytes());
            counts[ring.walk(hash).next().expect("entries")] += 1;
        }
        assert_distribution(&counts, &shares);
    }

    #[test]
    fn a_removed_endpoint_does_not_move_the_others() {
        let all = ring(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)], 1024..=4096);
        let rest = ring(&[("a", 1), ("b", 1), ("c", 1)], 768..=768);
        let mut hashes = fastrand::Rng::with_seed(7);
        for _ in 0..1000 {
            let hash = hashes.u64(..);
            let next = all.walk(hash).find(|member| *member != 3);
            assert_eq!(rest.walk(hash).next(), next, "{hash}");
        }
    }
}
