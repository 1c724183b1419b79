use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::{ChannelControl, LoadReport, SubConnId, SubConnState};
use crate::resolver::Endpoint;
use crate::status::Status;

/// A load balancing policy at work for one channel, or for a part of its endpoints.
///
/// Called by the channel's task, one method at a time, none of which may block. Dropping it ends
/// it; the [`SubConn`](super::SubConn)s that it holds go with it. One that panics is dropped: calls
/// that do not wait for ready fail with UNAVAILABLE, and the channel restarts after a wait as
/// between [attempts to connect](crate::ClientConnBuilder::connect_backoff).
///
/// Source: grpc-go `balancer.Balancer`.
pub trait Balancer: Send + 'static {
    /// There are new endpoints, or a new config. Called before anything else.
    ///
    /// # Errors
    /// The update cannot be used, for example because it has no endpoints; the policy has published
    /// what calls are to do then. The channel resolves again after a while.
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status>;

    /// The resolver has failed. A policy that has endpoints goes on with them; one that has none
    /// publishes the failure.
    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl);

    /// A [`SubConn`](super::SubConn) that this policy, or one below it, has created is in another
    /// state. Not called for those that were dropped.
    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    );

    /// Leave IDLE, if the policy is idle: connect now rather than at the next pick.
    fn exit_idle(&mut self, control: &mut dyn ChannelControl);

    /// A backend has reported its load, as asked for by
    /// [`SubConnOptions::load_reports`](super::SubConnOptions::load_reports). Default: ignored.
    fn load_report(
        &mut self,
        _subconn: SubConnId,
        _report: &LoadReport,
        _control: &mut dyn ChannelControl,
    ) {
    }

    /// When [`wake`](Self::wake) is to be called next; asked for again after every other method.
    /// Default: never.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// The time of [`wake_at`](Self::wake_at) has come, or someone has used a
    /// [`BalancerWaker`](super::BalancerWaker), for this policy or for another of the channel: find
    /// out whether there is something to do. A policy that has others hands it on to them: this is
    /// where one publishes for all that has happened at once, as an
    /// [`EndpointSharding`](super::EndpointSharding) has it do. Default: nothing.
    fn wake(&mut self, _control: &mut dyn ChannelControl) {}
}

/// What a policy is to balance over.
///
/// Source: grpc-go `balancer.ClientConnState`.
#[derive(Clone)]
#[non_exhaustive]
pub struct BalancerUpdate {
    /// The backends, as the resolver found them or as a policy above has chosen of them.
    pub endpoints: Vec<Endpoint>,
    /// What the policy's [`BalancerBuilder::parse_config`](super::BalancerBuilder::parse_config)
    /// made of its config.
    pub config: Arc<dyn Any + Send + Sync>,
}

impl BalancerUpdate {
    /// These endpoints, and a config.
    pub fn new(endpoints: Vec<Endpoint>, config: Arc<dyn Any + Send + Sync>) -> Self {
        Self { endpoints, config }
    }

    /// The config.
    ///
    /// # Errors
    /// INTERNAL when it is of another type, which is a mistake of a policy above.
    pub fn config<T: Any>(&self) -> Result<&T, Status> {
        self.config.downcast_ref().ok_or_else(|| {
            Status::internal(format!(
                "a balancing policy was given a config that is not {}",
                std::any::type_name::<T>()
            ))
        })
    }
}

impl fmt::Debug for BalancerUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalancerUpdate")
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}
