//! The replacement of a policy by another one without an interruption.
//!
//! Owned by the channel's task, for the policy of its service config, and by the policies with a
//! `childPolicy`; called there.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Balancer, BalancerEvent, BalancerOptions, BalancerUpdate, ChannelControl, ChildBalancer,
    FailingPicker, PolicyConfig, WithoutResolveNow, call_failure, handle_events,
};
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;

/// A policy that replaces its child without an interruption when a config names another policy.
/// Calls use the old child until the new one is ready or the old one is not.
///
/// Its config is a [`PolicyConfig`]. If the config names the same policy as before, the child is
/// updated. Otherwise a new child is built:
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
/// Only the latest policy gets endpoints, resolver errors and requests to connect, and only the
/// latest one can ask the resolver to resolve again.
///
/// Source: grpc-go `internal/balancer/gracefulswitch`.
#[derive(Default)]
pub struct GracefulSwitch {
    current: Option<Policy>,
    pending: Option<Policy>,
}

/// A child, and the name of its policy.
struct Policy {
    name: String,
    child: ChildBalancer,
}

impl GracefulSwitch {
    /// Creates a switch without a policy, until the first update.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the policy in the last update.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let latest = self.pending.as_ref().or(self.current.as_ref());
        latest.map(|policy| policy.name.as_str())
    }

    /// The child for the policy in the last update.
    fn latest(&mut self) -> Option<&mut ChildBalancer> {
        let latest = self.pending.as_mut().or(self.current.as_mut());
        latest.map(|policy| &mut policy.child)
    }

    /// Returns the child for a config, and builds it if the config names another policy.
    fn switch_to(
        &mut self,
        config: &PolicyConfig,
        options: &BalancerOptions,
    ) -> &mut ChildBalancer {
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
            child: ChildBalancer::new(config.build(options)),
        });
        &mut policy.child
    }

    /// Publishes after a call of the children, and completes the switch if it is due.
    /// `current_published` is true if the current child has published.
    fn publish_or_switch(&mut self, current_published: bool, control: &mut dyn ChannelControl) {
        let Some(current) = &self.current else {
            return;
        };
        match &self.pending {
            Some(pending) if is_ready_to_switch(current.child.state(), pending.child.state()) => {
                pending.child.publish(control);
                // The old policy's connections close now, after the last call was assigned to them.
                self.current = self.pending.take();
            }
            _ if current_published => current.child.publish(control),
            _ => {}
        }
    }

    fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        match event {
            BalancerEvent::ResolverError(error) if self.current.is_none() => {
                let picker = Arc::new(FailingPicker::new(call_failure(error)));
                control.update_state(ConnectivityState::TransientFailure, picker);
            }
            BalancerEvent::ResolverError(_) | BalancerEvent::ExitIdle => {
                self.handle_by_latest(event, control);
            }
            _ => self.handle_by_both(event, control),
        }
    }

    /// Passes an event on to the latest policy.
    fn handle_by_latest(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        let is_current = self.pending.is_none();
        if let Some(latest) = self.latest() {
            let published = latest.handle(event, control);
            self.publish_or_switch(published && is_current, control);
        }
    }

    /// Passes an event on to both policies, the latest one last.
    fn handle_by_both(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        let mut published = false;
        match (&mut self.current, &mut self.pending) {
            (Some(current), None) => published = current.child.handle(event, control),
            (Some(current), Some(pending)) => {
                let mut without_resolve_now = WithoutResolveNow(&mut *control);
                published = current.child.handle(event, &mut without_resolve_now);
                pending.child.handle(event, control);
            }
            (None, _) => {}
        }
        self.publish_or_switch(published, control);
    }
}

/// Returns true if the pending policy should replace the current one. A READY policy is better for
/// calls than a CONNECTING one.
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
        let latest = self.switch_to(config, control.build_options());
        let config = Arc::clone(config.config());
        let update = update.with_config(config);
        let (published, result) = latest.update(update, control);
        let is_current = self.pending.is_none();
        self.publish_or_switch(published && is_current, control);
        result
    }

    handle_events!();

    fn wake_at(&self) -> Option<Instant> {
        let policies = [&self.current, &self.pending].into_iter().flatten();
        policies.filter_map(|policy| policy.child.wake_at()).min()
    }
}
