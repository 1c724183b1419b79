//! The picker of a connected `pick_first`, which calls use on their own tasks.

use crate::balancer::{Pick, PickInfo, PickResult, Picker, SubConn};

/// A picker that sends all calls to one subchannel.
#[derive(Debug)]
pub(super) struct ConnectedPicker(pub(super) SubConn);

impl Picker for ConnectedPicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        PickResult::Pick(Pick::new(&self.0))
    }
}
