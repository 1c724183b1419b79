#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Balancer, BalancerUpdate, ChannelControl, ChildBalancer, FailingPicker, LoadReport,
    PolicyConfig, SubConnId, SubConnState, WithoutResolveNow,
};
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;

/// A policy of whichever kind the config of its last update names: when that is another kind, calls
/// go by the old policy until the new one can do as well.
///
/// Its config is a [`PolicyConfig`]. A policy of the kind that the last update named is kept, and
/// updated; for another kind a new one is built:
///
/// ```text
///                  update names another policy
///   current only ──────────────────────────────► current + pending ─┐ update names yet another:
///        ▲                                           │         ▲    │ a new pending one
///        └───────────────────────────────────────────┘         └────┘
///           pending leaves CONNECTING, or current is not READY:
///           pending takes the place of current, which is dropped
/// ```
///
/// Endpoints, resolver errors and requests to connect are for the newest policy alone, and only
/// that one can ask the resolver to look again.
///
/// Source: grpc-go `internal/balancer/gracefulswitch`.
#[derive(Default)]
pub struct GracefulSwitch {
    current: Option<Policy>,
    pending: Option<Policy>,
}

struct Policy {
    name: String,
    child: ChildBalancer,
}

impl GracefulSwitch {
    /// Without a policy until the first update.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the policy that the last update has named.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let latest = self.pending.as_ref().or(self.current.as_ref());
        latest.map(|policy| policy.name.as_str())
    }

    /// The policy that the last update has named.
    fn latest(&mut self) -> Option<&mut ChildBalancer> {
        let latest = self.pending.as_mut().or(self.current.as_mut());
        latest.map(|policy| &mut policy.child)
    }

    /// The policy for an update with this config.
    fn switch_to(&mut self, config: &PolicyConfig) -> &mut ChildBalancer {
        let is_new = self.name() != Some(config.name());
        let slot = if self.current.is_none() || (self.pending.is_none() && !is_new) {
            &mut self.current
        } else {
            &mut self.pending
        };
        if is_new {
            *slot = None;
        }
        let policy = slot.get_or_insert_with(|| Policy {
            name: config.name().to_owned(),
            child: ChildBalancer::new(config.build()),
        });
        &mut policy.child
    }

    /// Publishes what has come of a call of the policies: `current_published` says whether there is
    /// something new of the current one.
    fn settle(&mut self, current_published: bool, control: &mut dyn ChannelControl) {
        let Some(current) = &self.current else {
            return;
        };
        match &self.pending {
            Some(pending) if is_ready_to_switch(current.child.state(), pending.child.state()) => {
                pending.child.publish(control);
                // The old policy's connections close now that no call is given them any more.
                self.current = self.pending.take();
            }
            _ if current_published => current.child.publish(control),
            _ => {}
        }
    }

    /// Calls the newest policy.
    fn with_latest(
        &mut self,
        control: &mut dyn ChannelControl,
        what: impl FnOnce(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) {
        let is_current = self.pending.is_none();
        if let Some(latest) = self.latest() {
            let published = what(latest, control);
            self.settle(published && is_current, control);
        }
    }

    /// Calls both policies, the newest one last.
    fn with_each(
        &mut self,
        control: &mut dyn ChannelControl,
        mut what: impl FnMut(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) {
        let mut published = false;
        match (&mut self.current, &mut self.pending) {
            (Some(current), None) => published = what(&mut current.child, control),
            (Some(current), Some(pending)) => {
                published = what(&mut current.child, &mut WithoutResolveNow(&mut *control));
                what(&mut pending.child, control);
            }
            (None, _) => {}
        }
        self.settle(published, control);
    }
}

/// Whether the pending policy takes the place of the current one. As long as the current one is
/// ready and the other one is not, calls are better off with it.
fn is_ready_to_switch(current: ConnectivityState, pending: ConnectivityState) -> bool {
    current != ConnectivityState::Ready || pending != ConnectivityState::Connecting
}

impl Balancer for GracefulSwitch {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let config = update.config::<PolicyConfig>()?;
        let latest = self.switch_to(config);
        let config = Arc::clone(config.config());
        let update = BalancerUpdate::new(update.endpoints, config);
        let (published, result) = latest.update(update, control);
        let is_current = self.pending.is_none();
        self.settle(published && is_current, control);
        result
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        if self.current.is_none() {
            // Its code is about resolving, not about the calls that fail because of it.
            let status = error.retold(error.message().to_owned());
            let picker = Arc::new(FailingPicker::new(status));
            control.update_state(ConnectivityState::TransientFailure, picker);
        }
        self.with_latest(control, |latest, control| {
            latest.resolver_error(error, control)
        });
    }

    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        self.with_each(control, |child, control| {
            child.subconn_state(subconn, state, control)
        });
    }

    fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        self.with_latest(control, ChildBalancer::exit_idle);
    }

    fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        self.with_each(control, |child, control| {
            child.load_report(subconn, report, control)
        });
    }

    fn wake_at(&self) -> Option<Instant> {
        let policies = [&self.current, &self.pending].into_iter().flatten();
        policies.filter_map(|policy| policy.child.wake_at()).min()
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        self.with_each(control, ChildBalancer::wake);
    }
}
