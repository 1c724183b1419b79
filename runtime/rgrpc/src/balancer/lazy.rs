use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Balancer, BalancerUpdate, ChannelControl, IdlePicker, LoadReport, SubConnId, SubConnState,
};
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;

/// A policy that is built when it is needed: IDLE until the first call, or until it is told to
/// connect, and another policy from then on.
///
/// Source: grpc-go's package `balancer/lazy`.
pub struct Lazy {
    new_child: Box<dyn Fn() -> Box<dyn Balancer> + Send>,
    child: Option<Box<dyn Balancer>>,
    /// What the child is to begin with: the last update, and the resolver's failure since.
    update: Option<BalancerUpdate>,
    error: Option<Status>,
    /// What calls wait in until there is a child.
    picker: Option<Arc<IdlePicker>>,
}

impl Lazy {
    /// The policy that this makes, once it is needed.
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

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        if let Some(child) = &mut self.child {
            return child.resolver_error(error, control);
        }
        self.error = Some(error.clone());
        self.publish_idle(control);
    }

    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        if let Some(child) = &mut self.child {
            child.subconn_state(subconn, state, control);
        }
    }

    fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        match &mut self.child {
            Some(child) => child.exit_idle(control),
            None => self.build(control),
        }
    }

    fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        if let Some(child) = &mut self.child {
            child.load_report(subconn, report, control);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.child.as_ref().and_then(|child| child.wake_at())
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        match &mut self.child {
            Some(child) => child.wake(control),
            None if self.picker.as_ref().is_some_and(|it| it.was_picked()) => self.build(control),
            None => {}
        }
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
    fn it_is_idle_until_the_first_call_which_waits() {
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
    fn it_leaves_idle_when_it_is_told_to() {
        let (mut channel, mut lazy) = lazy();
        lazy.update(update(), &mut channel).expect("endpoints");
        lazy.exit_idle(&mut channel);
        assert_eq!(channel.take_connects().len(), 1);
        lazy.exit_idle(&mut channel);
        assert_eq!(channel.subconns().len(), 1);
    }

    #[test]
    fn what_came_before_is_for_the_child() {
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
    fn an_update_takes_back_a_failure_of_the_resolver() {
        let (mut channel, mut lazy) = lazy();
        let error = Status::unavailable("no such name");
        lazy.resolver_error(&error, &mut channel);
        lazy.update(update(), &mut channel).expect("endpoints");
        lazy.exit_idle(&mut channel);
        assert_eq!(channel.state(), Some(ConnectivityState::Connecting));
    }

    #[test]
    fn an_update_that_the_child_refuses_has_the_resolver_look_again() {
        let (mut channel, mut lazy) = lazy();
        let empty = BalancerUpdate::new(Vec::new(), Arc::new(PickFirstConfig::default()));
        lazy.update(empty, &mut channel).expect("kept");
        lazy.exit_idle(&mut channel);
        assert_eq!(channel.resolves(), 1);
    }
}
