//! The base of the policies that differ from `round_robin` only in their picker.
//!
//! Used by `round_robin`, `least_request` and users' policies, on the channel's task.
//!
//! Source: grpc-go's package `balancer/base`.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Balancer, BalancerEvent, BalancerUpdate, ChannelControl, EndpointChild, EndpointSharding,
    EndpointsChange, PickFirstConfig, Picker, handle_events,
};
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;

/// The picking part of a policy that otherwise works like `round_robin`.
///
/// ```
/// use std::sync::Arc;
/// use rgrpc::balancer::{
///     Balancer, BalancerBuilder, BalancerOptions, BaseBalancer, ChannelControl, EndpointChild,
///     PickInfo, PickResult, Picker, PickerBuilder,
/// };
///
/// /// Sends calls with the same value of the metadata key `user` to the same endpoint.
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
///     fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
///         Box::new(BaseBalancer::new(ByUserPickers))
///     }
/// }
/// ```
///
/// Source: grpc-go `base.PickerBuilder`.
pub trait PickerBuilder: Send + 'static {
    /// Applies the policy's config, before the endpoints of the update are used. Default: does
    /// nothing.
    ///
    /// # Errors
    /// The update is rejected. Its endpoints are not used, and the policy returns the error.
    /// Without earlier endpoints, calls fail with the error.
    fn update(&mut self, _update: &BalancerUpdate) -> Result<(), Status> {
        Ok(())
    }

    /// Builds a picker for the READY endpoints: at least one, in an order that changes only when
    /// endpoints are added or removed. Called after each update, and once for several changes of
    /// READY endpoints.
    fn build(
        &mut self,
        ready: &[&EndpointChild],
        control: &mut dyn ChannelControl,
    ) -> Arc<dyn Picker>;
}

/// A policy that stays connected to every endpoint, and picks among the READY ones with a
/// [`PickerBuilder`]. Without a READY endpoint, the pickers of the endpoints decide if calls wait
/// or fail.
///
/// Source: grpc-go `base.NewBalancerBuilder`.
pub struct BaseBalancer<B> {
    builder: B,
    endpoints: EndpointSharding,
}

impl<B: PickerBuilder> BaseBalancer<B> {
    /// Creates a policy that picks with `builder`. Each endpoint has a
    /// [leaf](super::PickFirst::leaf) of `pick_first`.
    #[must_use]
    pub fn new(builder: B) -> Self {
        Self {
            builder,
            endpoints: EndpointSharding::new(),
        }
    }

    fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        self.endpoints.handle(event, control);
        if let BalancerEvent::Wake = event {
            self.publish(control);
        }
    }

    /// Publishes a picker, if the READY endpoints have changed.
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
        let update = update.with_config(config);
        let result = self.endpoints.update(update, control);
        self.publish(control);
        result
    }

    handle_events!();

    fn wake_at(&self) -> Option<Instant> {
        self.endpoints.wake_at()
    }
}
