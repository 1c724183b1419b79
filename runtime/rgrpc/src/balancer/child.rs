//! A child of a policy with children.
//!
//! Owned and called by the parent policy, on the channel's task.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Balancer, BalancerEvent, BalancerUpdate, ChannelControl, ControlLayer, LoadReport, Picker,
    QueuingPicker, SubConn, SubConnId, SubConnIndex, SubConnOptions, SubConnState,
};
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;
use crate::status::Status;

/// A child of another policy: keeps the state and the picker that the child publishes, for the
/// parent to combine, and the child's subchannels.
///
/// The parent passes the calls of its own methods on. Each method returns true if the child has
/// published; [`state`](Self::state) and [`picker`](Self::picker) are the latest.
pub struct ChildBalancer {
    balancer: Box<dyn Balancer>,
    subconns: SubConnIndex<()>,
    state: ConnectivityState,
    picker: Arc<dyn Picker>,
}

impl ChildBalancer {
    /// Creates a child. Until it publishes, it counts as CONNECTING.
    #[must_use]
    pub fn new(balancer: Box<dyn Balancer>) -> Self {
        Self {
            balancer,
            subconns: SubConnIndex::default(),
            state: ConnectivityState::Connecting,
            picker: Arc::new(QueuingPicker),
        }
    }

    /// The state that the child has published last.
    #[must_use]
    pub fn state(&self) -> ConnectivityState {
        self.state
    }

    /// The picker that the child has published last.
    #[must_use]
    pub fn picker(&self) -> &Arc<dyn Picker> {
        &self.picker
    }

    /// Publishes the child's state and picker as those of the parent.
    pub fn publish(&self, control: &mut dyn ChannelControl) {
        control.update_state(self.state, Arc::clone(&self.picker));
    }

    /// Returns true if the child has created this subchannel.
    #[must_use]
    pub fn owns(&self, subconn: SubConnId) -> bool {
        self.subconns.get(subconn).is_some()
    }

    /// See [`Balancer::update`].
    ///
    /// # Errors
    /// The error of [`Balancer::update`]. The child may have published a state regardless.
    pub fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> (bool, Result<(), Status>) {
        let mut result = Ok(());
        let published = self.call(control, |balancer, control| {
            result = balancer.update(update, control);
        });
        (published, result)
    }

    /// See [`Balancer::resolver_error`].
    pub fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) -> bool {
        self.handle(BalancerEvent::ResolverError(error), control)
    }

    /// See [`Balancer::subconn_state`]. Does nothing for subchannels of others.
    pub fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) -> bool {
        self.handle(BalancerEvent::SubConnState(subconn, state), control)
    }

    /// See [`Balancer::load_report`]. Does nothing for subchannels of others.
    pub fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) -> bool {
        self.handle(BalancerEvent::LoadReport(subconn, report), control)
    }

    /// See [`Balancer::exit_idle`].
    pub fn exit_idle(&mut self, control: &mut dyn ChannelControl) -> bool {
        self.handle(BalancerEvent::ExitIdle, control)
    }

    /// See [`Balancer::wake_at`].
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.balancer.wake_at()
    }

    /// See [`Balancer::wake`].
    pub fn wake(&mut self, control: &mut dyn ChannelControl) -> bool {
        self.handle(BalancerEvent::Wake, control)
    }

    /// Passes an event on to the child. Returns true if the child has published a state. Does nothing
    /// for subchannels of others.
    pub fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) -> bool {
        event.subconn().is_none_or(|subconn| self.owns(subconn))
            && self.call(control, |balancer, control| {
                event.deliver(balancer, control);
            })
    }

    fn call(
        &mut self,
        control: &mut dyn ChannelControl,
        call: impl FnOnce(&mut dyn Balancer, &mut dyn ChannelControl),
    ) -> bool {
        let mut control = ChildControl {
            above: control,
            subconns: &mut self.subconns,
            published: None,
        };
        call(&mut *self.balancer, &mut control);
        match control.published {
            Some((state, picker)) => {
                self.state = state;
                self.picker = picker;
                true
            }
            None => false,
        }
    }
}

/// The channel for a child: keeps the state and the picker that the child publishes.
struct ChildControl<'a> {
    above: &'a mut dyn ChannelControl,
    subconns: &'a mut SubConnIndex<()>,
    published: Option<(ConnectivityState, Arc<dyn Picker>)>,
}

impl ControlLayer for ChildControl<'_> {
    fn above(&self) -> &dyn ChannelControl {
        self.above
    }

    fn above_mut(&mut self) -> &mut dyn ChannelControl {
        self.above
    }

    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn {
        let subconn = self.above.create_subconn(address, options);
        self.subconns.insert(&subconn, ());
        subconn
    }

    fn update_state(&mut self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        self.published = Some((state, picker));
    }
}
