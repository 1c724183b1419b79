use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Balancer, BalancerUpdate, BalancerWaker, ChannelControl, LoadReport, Picker, QueuingPicker,
    SubConn, SubConnId, SubConnIndex, SubConnOptions, SubConnState,
};
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;
use crate::status::Status;

/// A policy within another: keeps what it publishes, for the one above to make its own state of,
/// and knows which connections are its.
///
/// The one above hands on what it is called with. Each of these methods says whether the child has
/// published a state, which is then to be found in [`state`](Self::state) and
/// [`picker`](Self::picker).
pub struct ChildBalancer {
    balancer: Box<dyn Balancer>,
    subconns: SubConnIndex<()>,
    state: ConnectivityState,
    picker: Arc<dyn Picker>,
}

impl ChildBalancer {
    /// A child that has published nothing: it counts as connecting.
    #[must_use]
    pub fn new(balancer: Box<dyn Balancer>) -> Self {
        Self {
            balancer,
            subconns: SubConnIndex::default(),
            state: ConnectivityState::Connecting,
            picker: Arc::new(QueuingPicker),
        }
    }

    /// The state that it has published last.
    #[must_use]
    pub fn state(&self) -> ConnectivityState {
        self.state
    }

    /// The picker that it has published last.
    #[must_use]
    pub fn picker(&self) -> &Arc<dyn Picker> {
        &self.picker
    }

    /// Publishes its state and its picker as those of the policy above.
    pub fn publish(&self, control: &mut dyn ChannelControl) {
        control.update_state(self.state, Arc::clone(&self.picker));
    }

    /// Whether it has created this connection.
    #[must_use]
    pub fn owns(&self, subconn: SubConnId) -> bool {
        self.subconns.get(subconn).is_some()
    }

    /// See [`Balancer::update`].
    ///
    /// # Errors
    /// As there. The child may have published a state nevertheless.
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
        self.call(control, |balancer, control| {
            balancer.resolver_error(error, control);
        })
    }

    /// See [`Balancer::subconn_state`]. Does nothing for connections of others.
    pub fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) -> bool {
        self.owns(subconn)
            && self.call(control, |balancer, control| {
                balancer.subconn_state(subconn, state, control);
            })
    }

    /// See [`Balancer::load_report`]. Does nothing for connections of others.
    pub fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) -> bool {
        self.owns(subconn)
            && self.call(control, |balancer, control| {
                balancer.load_report(subconn, report, control);
            })
    }

    /// See [`Balancer::exit_idle`].
    pub fn exit_idle(&mut self, control: &mut dyn ChannelControl) -> bool {
        self.call(control, |balancer, control| balancer.exit_idle(control))
    }

    /// See [`Balancer::wake_at`].
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.balancer.wake_at()
    }

    /// See [`Balancer::wake`].
    pub fn wake(&mut self, control: &mut dyn ChannelControl) -> bool {
        self.call(control, |balancer, control| balancer.wake(control))
    }

    fn call(
        &mut self,
        control: &mut dyn ChannelControl,
        what: impl FnOnce(&mut dyn Balancer, &mut dyn ChannelControl),
    ) -> bool {
        let mut control = ChildControl {
            above: control,
            subconns: &mut self.subconns,
            published: None,
        };
        what(&mut *self.balancer, &mut control);
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

/// What a child sees of its channel: all but that it publishes to the policy above.
struct ChildControl<'a> {
    above: &'a mut dyn ChannelControl,
    subconns: &'a mut SubConnIndex<()>,
    published: Option<(ConnectivityState, Arc<dyn Picker>)>,
}

impl ChannelControl for ChildControl<'_> {
    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn {
        let subconn = self.above.create_subconn(address, options);
        self.subconns.insert(&subconn, ());
        subconn
    }

    fn update_state(&mut self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        self.published = Some((state, picker));
    }

    fn resolve_now(&mut self) {
        self.above.resolve_now();
    }

    fn waker(&self) -> BalancerWaker {
        self.above.waker()
    }

    fn now(&self) -> Instant {
        self.above.now()
    }

    fn random(&mut self) -> f64 {
        self.above.random()
    }

    fn target(&self) -> &str {
        self.above.target()
    }
}
