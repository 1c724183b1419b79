//! A child that is built when a call needs it.
//!
//! Used by `ring_hash` for its endpoints, on the channel's task.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Balancer, BalancerEvent, BalancerUpdate, ChannelControl, IdlePicker, handle_events};
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;

/// A policy that builds its child at the first call or at the first
/// [`exit_idle`](Balancer::exit_idle). Until then it is IDLE.
///
/// Source: grpc-go's package `balancer/lazy`.
pub struct Lazy {
    new_child: Box<dyn Fn() -> Box<dyn Balancer> + Send>,
    child: Option<Box<dyn Balancer>>,
    /// The last update, for the child.
    update: Option<BalancerUpdate>,
    /// The resolver's error since the last update, for the child.
    error: Option<Status>,
    /// The picker while there is no child.
    picker: Option<Arc<IdlePicker>>,
}

impl Lazy {
    /// Creates a policy whose child comes from `new_child`.
    #[must_use]
    pub fn new(new_child: impl Fn() -> Box<dyn Balancer> + Send + 'static) -> Self {
        Self {
            new_child: Box::new(new_child),
            child: None,
            update: None,
            error: None,
            picker: None,
        }
    }

    fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        if let Some(child) = &mut self.child {
            return event.deliver(&mut **child, control);
        }
        match event {
            BalancerEvent::ResolverError(error) => {
                self.error = Some(error.clone());
                self.publish_idle(control);
            }
            BalancerEvent::ExitIdle => self.build(control),
            BalancerEvent::Wake if self.picker.as_ref().is_some_and(|it| it.was_picked()) => {
                self.build(control);
            }
            _ => {}
        }
    }

    fn publish_idle(&mut self, control: &mut dyn ChannelControl) {
        if self.picker.is_none() {
            let picker = Arc::new(IdlePicker::new(control.waker()));
            self.picker = Some(Arc::clone(&picker));
            control.update_state(ConnectivityState::Idle, picker);
        }
    }

    fn build(&mut self, control: &mut dyn ChannelControl) {
        let child = self.child.insert((self.new_child)());
        if let Some(update) = self.update.take()
            && child.update(update, control).is_err()
        {
            control.resolve_now();
        }
        if let Some(error) = self.error.take() {
            child.resolver_error(&error, control);
        }
        self.picker = None;
    }
}

impl Balancer for Lazy {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        if let Some(child) = &mut self.child {
            return child.update(update, control);
        }
        self.update = Some(update);
        self.error = None;
        self.publish_idle(control);
        Ok(())
    }

    handle_events!();

    fn wake_at(&self) -> Option<Instant> {
        self.child.as_ref().and_then(|child| child.wake_at())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PickFirst, PickFirstConfig, TestChannel, TestPick};
    use super::*;
    use crate::io::Address;
    use crate::resolver::Endpoint;

    fn lazy() -> (TestChannel, Lazy) {
        (TestChannel::new(), Lazy::new(|| Box::new(PickFirst::new())))
    }

    fn update() -> BalancerUpdate {
        BalancerUpdate::new(
            vec![Endpoint::from(Address::Pipe)],
            Arc::new(PickFirstConfig::default()),
        )
    }

    #[test]
    fn the_policy_is_idle_until_the_first_call_which_waits() {
        let (mut channel, mut lazy) = lazy();
        lazy.update(update(), &mut channel).expect("endpoints");
        lazy.wake(&mut channel);
        assert_eq!(channel.state(), Some(ConnectivityState::Idle));
        assert_eq!(channel.subconns(), []);

        assert_eq!(channel.pick(), TestPick::Queue);
        assert_eq!(channel.pick(), TestPick::Queue);
        assert!(channel.take_wake());
        lazy.wake(&mut channel);
        assert_eq!(channel.state(), Some(ConnectivityState::Connecting));
        assert_eq!(channel.take_connects().len(), 1);
    }

    #[test]
    fn exit_idle_builds_the_child() {
        let (mut channel, mut lazy) = lazy();
        lazy.update(update(), &mut channel).expect("endpoints");
        lazy.exit_idle(&mut channel);
        assert_eq!(channel.take_connects().len(), 1);
        lazy.exit_idle(&mut channel);
        assert_eq!(channel.subconns().len(), 1);
    }

    #[test]
    fn the_child_gets_the_earlier_update_and_error() {
        let (mut channel, mut lazy) = lazy();
        let error = Status::unavailable("no such name");
        lazy.resolver_error(&error, &mut channel);
        assert_eq!(channel.state(), Some(ConnectivityState::Idle));
        lazy.exit_idle(&mut channel);
        assert_eq!(
            channel.pick(),
            TestPick::Fail("cannot connect to test:///backends: no such name".to_owned())
        );
    }

    #[test]
    fn an_update_clears_an_error_of_the_resolver() {
        let (mut channel, mut lazy) = lazy();
        let error = Status::unavailable("no such name");
        lazy.resolver_error(&error, &mut channel);
        lazy.update(update(), &mut channel).expect("endpoints");
        lazy.exit_idle(&mut channel);
        assert_eq!(channel.state(), Some(ConnectivityState::Connecting));
    }

    #[test]
    fn an_update_that_the_child_rejects_makes_the_resolver_resolve_again() {
        let (mut channel, mut lazy) = lazy();
        let empty = BalancerUpdate::new(Vec::new(), Arc::new(PickFirstConfig::default()));
        lazy.update(empty, &mut channel).expect("kept");
        lazy.exit_idle(&mut channel);
        assert_eq!(channel.resolves(), 1);
    }
}
