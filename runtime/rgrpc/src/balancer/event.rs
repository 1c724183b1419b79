//! The calls of a [`Balancer`] as values, so that a policy with children passes them on in one place.
//! Used by the policies with children, on the channel's task; users' policies use it as well.

use super::{Balancer, ChannelControl, LoadReport, SubConnId, SubConnState};
use crate::status::Status;

/// A call of a [`Balancer`] that a policy passes on to its children: any but
/// [`update`](Balancer::update), which each policy splits or changes, and
/// [`wake_at`](Balancer::wake_at).
///
/// [`handle_events!`](super::handle_events) makes the calls events.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum BalancerEvent<'a> {
    /// [`Balancer::resolver_error`].
    ResolverError(&'a Status),
    /// [`Balancer::subconn_state`].
    SubConnState(SubConnId, &'a SubConnState),
    /// [`Balancer::exit_idle`].
    ExitIdle,
    /// [`Balancer::load_report`].
    LoadReport(SubConnId, &'a LoadReport),
    /// [`Balancer::wake`].
    Wake,
}

impl BalancerEvent<'_> {
    /// Calls the method of a balancer.
    pub fn deliver(self, balancer: &mut dyn Balancer, control: &mut dyn ChannelControl) {
        match self {
            Self::ResolverError(error) => balancer.resolver_error(error, control),
            Self::SubConnState(subconn, state) => balancer.subconn_state(subconn, state, control),
            Self::ExitIdle => balancer.exit_idle(control),
            Self::LoadReport(subconn, report) => balancer.load_report(subconn, report, control),
            Self::Wake => balancer.wake(control),
        }
    }

    /// The subchannel that the event is about, if it is about one.
    #[must_use]
    pub fn subconn(self) -> Option<SubConnId> {
        match self {
            Self::SubConnState(subconn, _) | Self::LoadReport(subconn, _) => Some(subconn),
            Self::ResolverError(_) | Self::ExitIdle | Self::Wake => None,
        }
    }
}

/// Implements the methods of [`Balancer`](crate::balancer::Balancer) that are
/// [`BalancerEvent`](crate::balancer::BalancerEvent)s, within an implementation of it: each calls
/// `self.handle(event, control)`, a method of the policy. So a policy passes on to its children what
/// it does not look at itself, also methods that are added later.
///
/// ```
/// use rgrpc::Status;
/// use rgrpc::balancer::{
///     Balancer, BalancerEvent, BalancerUpdate, ChannelControl, GracefulSwitch, handle_events,
/// };
/// use tokio::time::Instant;
///
/// /// Passes everything on to a child, and counts the events.
/// struct Counting {
///     child: GracefulSwitch,
///     events: u64,
/// }
///
/// impl Counting {
///     fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
///         self.events += 1;
///         event.deliver(&mut self.child, control);
///     }
/// }
///
/// impl Balancer for Counting {
///     fn update(
///         &mut self,
///         update: BalancerUpdate,
///         control: &mut dyn ChannelControl,
///     ) -> Result<(), Status> {
///         self.child.update(update, control)
///     }
///
///     handle_events!();
///
///     fn wake_at(&self) -> Option<Instant> {
///         self.child.wake_at()
///     }
/// }
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __balancer_handle_events {
    () => {
        fn resolver_error(
            &mut self,
            error: &$crate::Status,
            control: &mut dyn $crate::balancer::ChannelControl,
        ) {
            self.handle(
                $crate::balancer::BalancerEvent::ResolverError(error),
                control,
            );
        }

        fn subconn_state(
            &mut self,
            subconn: $crate::balancer::SubConnId,
            state: &$crate::balancer::SubConnState,
            control: &mut dyn $crate::balancer::ChannelControl,
        ) {
            let event = $crate::balancer::BalancerEvent::SubConnState(subconn, state);
            self.handle(event, control);
        }

        fn exit_idle(&mut self, control: &mut dyn $crate::balancer::ChannelControl) {
            self.handle($crate::balancer::BalancerEvent::ExitIdle, control);
        }

        fn load_report(
            &mut self,
            subconn: $crate::balancer::SubConnId,
            report: &$crate::balancer::LoadReport,
            control: &mut dyn $crate::balancer::ChannelControl,
        ) {
            let event = $crate::balancer::BalancerEvent::LoadReport(subconn, report);
            self.handle(event, control);
        }

        fn wake(&mut self, control: &mut dyn $crate::balancer::ChannelControl) {
            self.handle($crate::balancer::BalancerEvent::Wake, control);
        }
    };
}
#[doc(inline)]
pub use crate::__balancer_handle_events as handle_events;
