use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Balancer, BalancerUpdate, ChannelControl, EndpointChild, EndpointSharding, EndpointsChange,
    LoadReport, PickFirstConfig, Picker, SubConnId, SubConnState,
};
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;

/// How a policy picks among the endpoints that are READY: what is its own in a policy that
/// otherwise does as `round_robin` does.
///
/// ```
/// use std::sync::Arc;
/// use rgrpc::balancer::{
///     Balancer, BalancerBuilder, BaseBalancer, ChannelControl, EndpointChild, PickInfo, PickResult,
///     Picker, PickerBuilder,
/// };
///
/// /// Calls of the same user, by the metadata key `user`, go to the same endpoint.
/// struct ByUser(Vec<Arc<dyn Picker>>);
///
/// impl Picker for ByUser {
///     fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
///         let user = call.metadata.get("user").unwrap_or_default();
///         let sum: usize = user.bytes().map(usize::from).sum();
///         self.0[sum % self.0.len()].pick(call)
///     }
/// }
///
/// struct ByUserPickers;
///
/// impl PickerBuilder for ByUserPickers {
///     fn build(
///         &mut self,
///         ready: &[&EndpointChild],
///         _control: &mut dyn ChannelControl,
///     ) -> Arc<dyn Picker> {
///         let pickers = ready.iter().map(|child| Arc::clone(child.picker()));
///         Arc::new(ByUser(pickers.collect()))
///     }
/// }
///
/// struct ByUserBuilder;
///
/// impl BalancerBuilder for ByUserBuilder {
///     fn name(&self) -> &str {
///         "by_user"
///     }
///
///     fn build(&self) -> Box<dyn Balancer> {
///         Box::new(BaseBalancer::new(ByUserPickers))
///     }
/// }
/// ```
///
/// Source: grpc-go `base.PickerBuilder`.
pub trait PickerBuilder: Send + 'static {
    /// There is an update, with the policy's config: called before its endpoints are used. Default:
    /// nothing.
    ///
    /// # Errors
    /// The update cannot be used. Its endpoints are not, and the policy returns the error, with
    /// which calls fail as long as there were no other endpoints.
    fn update(&mut self, _update: &BalancerUpdate) -> Result<(), Status> {
        Ok(())
    }

    /// A picker for the endpoints that are READY, of which there is at least one, in an order that
    /// changes only as they come and go. Called after each update, and when some of them have
    /// changed, once for all that happens at once.
    fn build(
        &mut self,
        ready: &[&EndpointChild],
        control: &mut dyn ChannelControl,
    ) -> Arc<dyn Picker>;
}

/// A policy that keeps connected to every endpoint, and picks among those that are READY as a
/// [`PickerBuilder`] says. As long as none is, calls wait or fail as the endpoints themselves say.
///
/// Source: grpc-go `base.NewBalancerBuilder`.
pub struct BaseBalancer<B> {
    builder: B,
    endpoints: EndpointSharding,
}

impl<B: PickerBuilder> BaseBalancer<B> {
    /// A policy that picks like this, among endpoints that are [leaves](super::PickFirst::leaf) of
    /// `pick_first`.
    #[must_use]
    pub fn new(builder: B) -> Self {
        Self {
            builder,
            endpoints: EndpointSharding::new(),
        }
    }

    /// Publishes a picker if it would be another one.
    fn publish(&mut self, control: &mut dyn ChannelControl) {
        if self.endpoints.take_change() != EndpointsChange::Best {
            return;
        }
        let state = self.endpoints.state();
        let picker = if state == ConnectivityState::Ready {
            let ready: Vec<_> = self.endpoints.best_children().collect();
            self.builder.build(&ready, control)
        } else {
            self.endpoints.picker(control)
        };
        control.update_state(state, picker);
    }
}

impl<B: PickerBuilder> Balancer for BaseBalancer<B> {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        if let Err(error) = self.builder.update(&update) {
            self.endpoints.resolver_error(&error, control);
            self.publish(control);
            return Err(error);
        }
        let config = Arc::new(PickFirstConfig::default());
        let update = BalancerUpdate::new(update.endpoints, config);
        let result = self.endpoints.update(update, control);
        self.publish(control);
        result
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        self.endpoints.resolver_error(error, control);
    }

    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        self.endpoints.subconn_state(subconn, state, control);
    }

    fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        self.endpoints.exit_idle(control);
    }

    fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        self.endpoints.load_report(subconn, report, control);
    }

    fn wake_at(&self) -> Option<Instant> {
        self.endpoints.wake_at()
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        self.endpoints.wake(control);
        self.publish(control);
    }
}
