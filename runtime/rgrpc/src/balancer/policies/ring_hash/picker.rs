use std::hash::Hasher;
use std::sync::Arc;

use twox_hash::XxHash64;

use super::ring::Ring;
use crate::balancer::{PickInfo, PickResult, Picker};
use crate::connectivity_state::ConnectivityState;
use crate::metadata::Metadata;

/// The way of a call along the ring.
pub(super) struct RingHashPicker {
    ring: Arc<Ring>,
    /// As the members of the ring.
    endpoints: Vec<RingEndpoint>,
    /// The metadata key whose value is hashed.
    header: Arc<str>,
    is_one_connecting: bool,
}

/// An endpoint, as it is when the picker is made.
pub(super) struct RingEndpoint {
    pub(super) state: ConnectivityState,
    pub(super) picker: Arc<dyn Picker>,
}

impl RingHashPicker {
    pub(super) fn new(ring: Arc<Ring>, endpoints: Vec<RingEndpoint>, header: Arc<str>) -> Self {
        let mut states = endpoints.iter().map(|endpoint| endpoint.state);
        Self {
            ring,
            is_one_connecting: states.any(|state| state == ConnectivityState::Connecting),
            endpoints,
            header,
        }
    }

    /// The endpoints from a hash on; those with several entries several times.
    fn walk(&self, hash: u64) -> impl Iterator<Item = &RingEndpoint> {
        let members = self.ring.walk(hash);
        members.filter_map(|member| self.endpoints.get(member))
    }

    /// The first endpoint that has not failed: one that connects has the call wait, and one that is
    /// idle connects and has it wait. (gRFC A61, "Ring Hash")
    fn pick_by_hash(&self, hash: u64, call: &PickInfo<'_>) -> PickResult<'_> {
        let mut endpoints = self.walk(hash);
        match endpoints.find(|endpoint| endpoint.state != ConnectivityState::TransientFailure) {
            Some(endpoint) => endpoint.picker.pick(call),
            None => self.fail(hash, call),
        }
    }

    /// The first endpoint that is ready. If none connects, the first that is idle before it does: a
    /// call has at most one endpoint connect. (gRFC A76)
    fn pick_any(&self, hash: u64, call: &PickInfo<'_>) -> PickResult<'_> {
        let mut is_one_connecting = self.is_one_connecting;
        for endpoint in self.walk(hash) {
            match endpoint.state {
                ConnectivityState::Ready => return endpoint.picker.pick(call),
                ConnectivityState::Idle if !is_one_connecting => {
                    is_one_connecting = true;
                    // Connects; the call goes on.
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

    /// All have failed: as the first one says.
    fn fail(&self, hash: u64, call: &PickInfo<'_>) -> PickResult<'_> {
        match self.walk(hash).next() {
            Some(endpoint) => endpoint.picker.pick(call),
            None => PickResult::Queue,
        }
    }
}

impl Picker for RingHashPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        match request_hash(call.metadata, &self.header) {
            Some(hash) => self.pick_by_hash(hash, call),
            None => self.pick_any(fastrand::u64(..), call),
        }
    }
}

/// The hash of a call: of the key's values with commas between them. `None` when there is none, or
/// nothing in it.
fn request_hash(metadata: &Metadata, header: &str) -> Option<u64> {
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
            assert_eq!(request_hash(&metadata, "key"), expected, "{values:?}");
        }
    }
}
