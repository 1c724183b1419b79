//! The picker: the hash of a call, and the walk along the ring.
//!
//! Created by the policy, on the channel's task; calls pick with it on their own tasks, without a
//! lock.

use std::hash::Hasher;
use std::sync::Arc;

use twox_hash::XxHash64;

use super::RequestHash;
use super::ring::Ring;
use crate::balancer::{PickInfo, PickResult, Picker};
use crate::connectivity_state::ConnectivityState;
use crate::metadata::Metadata;
use crate::status::Status;

/// Picks an endpoint by the hash of a call: the first usable one from the hash on.
pub(super) struct RingHashPicker {
    ring: Arc<Ring>,
    /// The endpoints, in the order of the ring's members.
    endpoints: Vec<RingEndpoint>,
    /// The metadata key whose value is hashed. `None`: calls have a [`RequestHash`].
    header: Option<Arc<str>>,
    is_one_connecting: bool,
}

/// The state and the picker of an endpoint.
pub(super) struct RingEndpoint {
    pub(super) state: ConnectivityState,
    pub(super) picker: Arc<dyn Picker>,
}

impl RingHashPicker {
    pub(super) fn new(
        ring: Arc<Ring>,
        endpoints: Vec<RingEndpoint>,
        header: Option<Arc<str>>,
    ) -> Self {
        let mut states = endpoints.iter().map(|endpoint| endpoint.state);
        Self {
            ring,
            is_one_connecting: states.any(|state| state == ConnectivityState::Connecting),
            endpoints,
            header,
        }
    }

    /// The endpoints of the entries from a hash on. An endpoint with several entries occurs several
    /// times.
    fn walk(&self, hash: u64) -> impl Iterator<Item = &RingEndpoint> {
        let members = self.ring.walk(hash);
        members.filter_map(|member| self.endpoints.get(member))
    }

    /// Picks the first endpoint that has not failed. If it is connecting or idle, the call waits,
    /// and an idle one connects (gRFC A61, "Ring Hash").
    fn pick_by_hash(&self, hash: u64, call: &PickInfo<'_>) -> PickResult<'_> {
        let mut endpoints = self.walk(hash);
        match endpoints.find(|endpoint| endpoint.state != ConnectivityState::TransientFailure) {
            Some(endpoint) => endpoint.picker.pick(call),
            None => self.fail(hash, call),
        }
    }

    /// Picks the first READY endpoint. If none connects, the first idle endpoint before it
    /// connects: a call connects at most one endpoint (gRFC A76).
    fn pick_any(&self, hash: u64, call: &PickInfo<'_>) -> PickResult<'_> {
        let mut is_one_connecting = self.is_one_connecting;
        for endpoint in self.walk(hash) {
            match endpoint.state {
                ConnectivityState::Ready => return endpoint.picker.pick(call),
                ConnectivityState::Idle if !is_one_connecting => {
                    is_one_connecting = true;
                    // The pick connects the endpoint; the call continues.
                    endpoint.picker.pick(call);
                }
                _ => {}
            }
        }
        if is_one_connecting {
            return PickResult::Queue;
        }
        self.fail(hash, call)
    }

    /// Fails like the first endpoint from the hash on. All endpoints have failed.
    fn fail(&self, hash: u64, call: &PickInfo<'_>) -> PickResult<'_> {
        match self.walk(hash).next() {
            Some(endpoint) => endpoint.picker.pick(call),
            None => PickResult::Queue,
        }
    }
}

impl Picker for RingHashPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let Some(header) = &self.header else {
            return match call.extensions.get() {
                Some(RequestHash(hash)) => self.pick_by_hash(*hash, call),
                None => PickResult::Fail(no_hash()),
            };
        };
        match header_hash(call.metadata, header) {
            Some(hash) => self.pick_by_hash(hash, call),
            None => self.pick_any(fastrand::u64(..), call),
        }
    }
}

pub(super) fn no_hash() -> Status {
    Status::unavailable(
        "ring_hash: the policy's config has no requestHashHeader, and the call has no RequestHash",
    )
}

/// The hash of a call: of the values of the metadata key, joined with commas. `None` without a
/// value, or with one empty value.
fn header_hash(metadata: &Metadata, header: &str) -> Option<u64> {
    let mut values = metadata.get_all(header);
    let first = values.next()?;
    let mut is_empty = first.is_empty();
    let mut hasher = XxHash64::with_seed(0);
    hasher.write(first);
    for value in values {
        is_empty = false;
        hasher.write(b",");
        hasher.write(value);
    }
    (!is_empty).then(|| hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_are_hashed_with_commas_between_them() {
        for (values, expected) in [
            (&[][..], None),
            (&[""], None),
            (&["x"], Some("x")),
            (&["x", "y"], Some("x,y")),
            (&["", ""], Some(",")),
            (&["x", "", "y"], Some("x,,y")),
        ] {
            let mut metadata = Metadata::new();
            metadata.append("other", "z").expect("a key");
            for value in values {
                metadata.append("key", *value).expect("a value");
            }
            let expected = expected.map(|text| XxHash64::oneshot(0, text.as_bytes()));
            assert_eq!(header_hash(&metadata, "key"), expected, "{values:?}");
        }
    }
}
