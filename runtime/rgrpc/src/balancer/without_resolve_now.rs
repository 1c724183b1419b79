//! A layer that ignores the requests to resolve again.
//!
//! Used by `GracefulSwitch` for the child that it replaces, and by `priority`
//! (`ignoreReresolutionRequests`), on the channel's task.

use super::{ChannelControl, ControlLayer};

/// The channel for a child whose requests to resolve again are ignored.
pub(super) struct WithoutResolveNow<'a>(pub(super) &'a mut dyn ChannelControl);

impl ControlLayer for WithoutResolveNow<'_> {
    fn above(&self) -> &dyn ChannelControl {
        self.0
    }

    fn above_mut(&mut self) -> &mut dyn ChannelControl {
        self.0
    }

    fn resolve_now(&mut self) {}
}
