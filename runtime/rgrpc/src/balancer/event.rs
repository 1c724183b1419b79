//! The calls of a [`Balancer`] as values, so that a policy with children passes them on in one
//! place. Used by the policies with children, on the channel's task.

use super::{Balancer, ChannelControl, LoadReport, SubConnId, SubConnState};
use crate::status::Status;

/// A call of a [`Balancer`] that a policy passes on to its children: any but
/// [`update`](Balancer::update), which each policy splits or changes.
#[derive(Clone, Copy)]
pub(super) enum BalancerEvent<'a> {
    ResolverError(&'a Status),
    SubConnState(SubConnId, &'a SubConnState),
    ExitIdle,
    LoadReport(SubConnId, &'a LoadReport),
    Wake,
}

impl BalancerEvent<'_> {
    /// Calls the method of a balancer.
    pub(super) fn deliver(self, balancer: &mut dyn Balancer, control: &mut dyn ChannelControl) {
        match self {
            Self::ResolverError(error) => balancer.resolver_error(error, control),
            Self::SubConnState(subconn, state) => balancer.subconn_state(subconn, state, control),
            Self::ExitIdle => balancer.exit_idle(control),
            Self::LoadReport(subconn, report) => balancer.load_report(subconn, report, control),
            Self::Wake => balancer.wake(control),
        }
    }

    /// The subchannel that the event is about, if it is about one.
    pub(super) fn subconn(self) -> Option<SubConnId> {
        match self {
            Self::SubConnState(subconn, _) | Self::LoadReport(subconn, _) => Some(subconn),
            Self::ResolverError(_) | Self::ExitIdle | Self::Wake => None,
        }
    }
}

/// Implements the methods of [`Balancer`] that are [`BalancerEvent`]s: each calls
/// `self.handle(event, control)`.
macro_rules! handle_events {
    () => {
        fn resolver_error(
            &mut self,
            error: &$crate::status::Status,
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
pub(super) use handle_events;
