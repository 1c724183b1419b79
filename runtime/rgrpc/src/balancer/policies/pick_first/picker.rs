use crate::balancer::{Pick, PickInfo, PickResult, Picker, SubConn};

/// Sends all calls to one connection.
#[derive(Debug)]
pub(super) struct ConnectedPicker(pub(super) SubConn);

impl Picker for ConnectedPicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        PickResult::Pick(Pick::new(&self.0))
    }
}
