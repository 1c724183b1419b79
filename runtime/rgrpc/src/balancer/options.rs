//! The view that a policy has of its channel. The channel makes it, on its own task.

use crate::resolver::ChannelInfo;

/// The options of a channel that concern its balancers.
///
/// Source: grpc-go `balancer.BuildOptions`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BalancerOptions {
    /// The properties of the channel.
    pub channel: ChannelInfo,
}

impl BalancerOptions {
    /// Creates the options of a channel.
    #[must_use]
    pub const fn new(channel: ChannelInfo) -> Self {
        Self { channel }
    }
}
