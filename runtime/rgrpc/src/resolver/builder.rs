//! The builders of resolvers: their trait, and the options that they get.
//!
//! Implemented by this crate's schemes and by users; called when a channel is built, on the user's
//! task, and each time the channel leaves idle mode, on the channel's task.

use super::{ChannelInfo, Resolver, ResolverError, Target};
use crate::extensions::Extensions;

/// Builds the resolvers of a scheme.
///
/// A channel knows the builders of the built-in schemes and those that
/// [`ClientConnBuilder::resolver`](crate::ClientConnBuilder::resolver) has added.
///
/// Source: grpc-go `resolver.Builder`.
pub trait ResolverBuilder: Send + Sync + 'static {
    /// The scheme of the targets, such as `dns`. Schemes are case-insensitive.
    fn scheme(&self) -> &str;

    /// Builds a resolver for a target. Does no IO.
    ///
    /// Called once when a channel is built, so that an invalid target is an error of the channel's
    /// builder. Called again by the channel's task each time the channel leaves idle mode.
    ///
    /// # Errors
    /// The target is invalid for this scheme. A text that names the problem is such an error.
    fn build(
        &self,
        target: &Target,
        options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, ResolverError>;

    /// The `:authority` of requests to a target, unless the channel's options or its credentials
    /// set another.
    ///
    /// Characters that are invalid in an authority are percent-encoded. `localhost` is put before
    /// an authority that begins with a colon, and replaces an authority that is still invalid.
    /// [`Transport::H2`](crate::Transport) cannot send a percent-encoded authority: building such a
    /// channel fails. Default: the [endpoint](Target::endpoint).
    ///
    /// Source: grpc-go `resolver.AuthorityOverrider`.
    fn authority(&self, target: &Target) -> String {
        target.endpoint().to_owned()
    }
}

/// The options of a channel that concern its resolver.
///
/// Source: grpc-go `resolver.BuildOptions`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResolverOptions {
    /// The channel ignores service configs, policies and config selectors, so the resolver need not
    /// look for them. Default: false.
    pub disable_service_config: bool,
    /// The properties of the channel.
    pub channel: ChannelInfo,
    /// Further values of the channel, by their types.
    pub(crate) values: Extensions,
}

impl ResolverOptions {
    /// Creates the options of a channel with default ones.
    #[must_use]
    pub fn new(channel: ChannelInfo) -> Self {
        Self {
            disable_service_config: false,
            channel,
            values: Extensions::new(),
        }
    }
}

/// The options of a channel without a target, for the tests of resolvers.
impl Default for ResolverOptions {
    fn default() -> Self {
        Self::new(ChannelInfo::new(Target::empty()))
    }
}
