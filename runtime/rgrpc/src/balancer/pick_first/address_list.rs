//! The list of addresses to try, from the endpoints.
//!
//! Called by the policy with each update, on the channel's task.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use super::PickFirstConfig;
use crate::io::Address;
use crate::resolver::{Attributes, Endpoint, EndpointWeight};

/// An address, with the attributes for the handshakes of its connections. Its subchannel is kept
/// while neither changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddressToTry {
    pub(super) address: Address,
    pub(super) attributes: Attributes,
}

/// Attributes have no hash, and addresses are few.
impl Hash for AddressToTry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address.hash(state);
    }
}

/// The addresses of these endpoints without duplicates, in the order of the attempts. `random`
/// returns numbers in [0, 1).
///
/// Source: gRFC A61, "Address List Handling in pick_first".
pub(super) fn address_list(
    mut endpoints: Vec<Endpoint>,
    config: PickFirstConfig,
    random: impl FnMut() -> f64,
) -> Vec<AddressToTry> {
    if config.shuffle_address_list {
        endpoints = shuffle(endpoints, random);
    }
    let addresses = endpoints.iter().flat_map(|endpoint| {
        let addresses = endpoint.addresses.iter();
        addresses.map(|address| AddressToTry {
            address: address.clone(),
            attributes: endpoint.attributes_of(address),
        })
    });
    interleave(without_duplicates(addresses))
}

/// Shuffles endpoints by weight: an endpoint comes before another one with the probability of its
/// share of their two weights.
///
/// Source: gRFC A113; Efraimidis and Spirakis, "Weighted random sampling with a reservoir".
fn shuffle(endpoints: Vec<Endpoint>, mut random: impl FnMut() -> f64) -> Vec<Endpoint> {
    let mut keyed: Vec<_> = endpoints
        .into_iter()
        .map(|endpoint| {
            // The logarithm of the paper's key, random^(1/weight): the order is the same, and large
            // weights keep their precision.
            let key = random().ln() / f64::from(EndpointWeight::of(&endpoint));
            (key, endpoint)
        })
        .collect();
    keyed.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    keyed.into_iter().map(|(_, endpoint)| endpoint).collect()
}

/// The attributes of an address that occurs more than once are those of its first occurrence.
fn without_duplicates(addresses: impl Iterator<Item = AddressToTry>) -> Vec<AddressToTry> {
    let mut seen = HashSet::new();
    addresses
        .filter(|to_try| seen.insert(to_try.address.clone()))
        .collect()
}

/// The family of an address: if one address of a family is unreachable, the others are likely
/// unreachable too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    Other,
}

impl Family {
    fn of(address: &Address) -> Self {
        let ip = match address {
            Address::Tcp(address) => Some(address.ip()),
            // Targets of the scheme `passthrough` have such names.
            Address::Name(name) => name.parse().map(|address: SocketAddr| address.ip()).ok(),
            Address::Unix(_) | Address::UnixAbstract(_) | Address::Pipe => None,
        };
        match ip.map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(_)) => Self::V4,
            Some(IpAddr::V6(_)) => Self::V6,
            None => Self::Other,
        }
    }
}

/// Interleaves the families, beginning with the family of the first address.
///
/// Source: RFC 8305, section 4.
fn interleave(addresses: Vec<AddressToTry>) -> Vec<AddressToTry> {
    let mut families: Vec<(Family, Vec<AddressToTry>)> = Vec::new();
    for address in addresses {
        let family = Family::of(&address.address);
        match families.iter_mut().find(|(other, _)| *other == family) {
            Some((_, members)) => members.push(address),
            None => families.push((family, vec![address])),
        }
    }
    let mut members: Vec<_> = families
        .into_iter()
        .map(|(_, members)| members.into_iter())
        .collect();
    let mut interleaved = Vec::new();
    loop {
        let before = interleaved.len();
        interleaved.extend(members.iter_mut().filter_map(Iterator::next));
        if interleaved.len() == before {
            return interleaved;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::chi_square::assert_distribution;

    fn address(text: &str) -> Address {
        match text.parse() {
            Ok(address) => Address::Tcp(address),
            Err(_) => Address::Name(text.to_owned()),
        }
    }

    fn endpoint(addresses: &[&str]) -> Endpoint {
        Endpoint::new(addresses.iter().copied().map(address).collect())
    }

    fn texts(addresses: &[AddressToTry]) -> Vec<String> {
        addresses
            .iter()
            .map(|to_try| to_try.address.to_string())
            .collect()
    }

    const SHUFFLE: PickFirstConfig = PickFirstConfig {
        shuffle_address_list: true,
    };

    #[test]
    fn addresses_are_unique_in_the_order_of_their_endpoints_with_interleaved_families() {
        let cases: &[(&[&[&str]], &[&str])] = &[
            (&[], &[]),
            (&[&[]], &[]),
            (
                &[&["1.1.1.1:1"], &[], &["2.2.2.2:2"]],
                &["1.1.1.1:1", "2.2.2.2:2"],
            ),
            (
                &[&["1.1.1.1:1", "1.1.1.1:1"], &["1.1.1.1:2"], &["1.1.1.1:1"]],
                &["1.1.1.1:1", "1.1.1.1:2"],
            ),
            // IPv4 comes first.
            (
                &[
                    &["1.1.1.1:1", "2.2.2.2:2", "3.3.3.3:3"],
                    &["[::1]:4", "[::2]:5"],
                    &["a.b:6"],
                ],
                &[
                    "1.1.1.1:1",
                    "[::1]:4",
                    "a.b:6",
                    "2.2.2.2:2",
                    "[::2]:5",
                    "3.3.3.3:3",
                ],
            ),
            // IPv6 comes first.
            (
                &[&["[::1]:1", "1.1.1.1:2", "2.2.2.2:3"], &["[::2]:4"]],
                &["[::1]:1", "1.1.1.1:2", "[::2]:4", "2.2.2.2:3"],
            ),
            // Names come first. An IPv4-mapped IPv6 address counts as IPv4.
            (
                &[&["a:1", "b:2", "[::ffff:1.1.1.1]:3", "2.2.2.2:4", "[::1]:5"]],
                &["a:1", "[::ffff:1.1.1.1]:3", "[::1]:5", "b:2", "2.2.2.2:4"],
            ),
        ];
        for (endpoints, expected) in cases {
            let list = address_list(
                endpoints
                    .iter()
                    .map(|addresses| endpoint(addresses))
                    .collect(),
                PickFirstConfig::default(),
                || panic!("it is not shuffled"),
            );
            assert_eq!(texts(&list), *expected, "{endpoints:?}");
        }
    }

    #[test]
    fn an_address_has_the_connection_attributes_of_its_first_endpoint() {
        let with = |number: u8| Attributes::new().with(number);
        let endpoints = vec![
            endpoint(&["a:1", "a:2"]).with_connection_attributes(with(1)),
            endpoint(&["a:2", "a:3"])
                .with_connection_attributes(with(2))
                .with_attributes(with(9)),
        ];
        let list = address_list(endpoints, PickFirstConfig::default(), || 0.0);
        let found: Vec<_> = list
            .iter()
            .map(|to_try| to_try.attributes.get::<u8>().copied())
            .collect();
        assert_eq!(found, [Some(1), Some(1), Some(2)]);
    }

    #[test]
    fn a_name_that_is_an_ip_address_has_its_family() {
        for (address, family) in [
            (Address::Name("1.1.1.1:1".to_owned()), Family::V4),
            (Address::Name("[::1]:1".to_owned()), Family::V6),
            (Address::Name("1.1.1.1".to_owned()), Family::Other),
            (Address::Name("localhost:1".to_owned()), Family::Other),
            (Address::Unix(Some("/run/server".into())), Family::Other),
            (Address::Pipe, Family::Other),
        ] {
            assert_eq!(Family::of(&address), family, "{address}");
        }
    }

    #[test]
    fn shuffling_keeps_the_addresses_of_an_endpoint_together_and_in_order() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut firsts = [0; 3];
        for _ in 0..300 {
            let endpoints = vec![
                endpoint(&["a:0", "b:0"]),
                endpoint(&["a:1", "b:1"]),
                endpoint(&["a:2", "b:2"]),
            ];
            let list = texts(&address_list(endpoints, SHUFFLE, || random.f64()));
            assert_eq!(list.len(), 6);
            for pair in list.chunks(2) {
                assert!(pair[0].starts_with('a'), "{list:?}");
                assert_eq!(pair[0][1..], pair[1][1..], "{list:?}");
            }
            firsts[usize::from(list[0].as_bytes()[2] - b'0')] += 1;
        }
        assert!(firsts.iter().all(|&count| count > 60), "{firsts:?}");
    }

    #[test]
    fn endpoints_come_first_in_proportion_to_their_weights() {
        const ROUNDS: u32 = 100_000;
        let weights = [1, 2, 5, 12, 0xFFFF_FFFF, 0xFFFF_FFFF];
        // The small weights are negligible beside the large ones, so they are tested separately.
        for weights in [&weights[..4], &weights[4..]] {
            let endpoints: Vec<_> = weights
                .iter()
                .enumerate()
                .map(|(index, weight)| {
                    let attributes = Attributes::new().with(EndpointWeight(*weight));
                    endpoint(&[&format!("h:{index}")]).with_attributes(attributes)
                })
                .collect();
            let mut random = fastrand::Rng::with_seed(3);
            let mut firsts = vec![0; weights.len()];
            for _ in 0..ROUNDS {
                let list = address_list(endpoints.clone(), SHUFFLE, || random.f64());
                let first = list[0].address.to_string();
                firsts[usize::from(first.as_bytes()[2] - b'0')] += 1;
            }
            let weights: Vec<_> = weights.iter().copied().map(f64::from).collect();
            assert_distribution(&firsts, &weights);
        }
    }
}
