//! The properties of a channel that its resolver and its balancers get when they are built.
//!
//! Created by the channel's builder; read by users' builders, on the channel's task.

use std::fmt;
use std::sync::Arc;

use super::Target;
use crate::credentials::{self, ChannelCredentials};
use crate::entity_id::next_id;
use crate::io::{Dial, SystemDialer};

/// The properties of a channel, as its resolver and its balancers get them when they are built.
///
/// A resolver or a policy that asks another service, such as a look-aside load balancer, makes a
/// channel of its own from them: with the same credentials, authority and dialer.
///
/// A cheap handle.
///
/// Source: grpc-go `resolver.BuildOptions`, `balancer.BuildOptions`.
#[derive(Clone)]
pub struct ChannelInfo(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    id: ChannelId,
    target: Target,
    authority: String,
    credentials: ChannelCredentials,
    dialer: Arc<dyn Dial>,
}

/// The id of a channel, unique in this program among channels, subchannels, servers and sockets. It
/// is the [parent](crate::ClientConnBuilder::parent) of a channel that the resolver or the balancer
/// of this one makes.
///
/// Source: grpc-go `balancer.BuildOptions.ChannelzParent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(u64);

impl ChannelId {
    /// Creates the id of another channel.
    fn next() -> Self {
        Self(next_id())
    }

    /// The number of the channel, with which [`channelz`](crate::channelz) finds it.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ChannelInfo {
    /// Creates the properties of a channel to this target, with the target's endpoint as authority,
    /// without security, and with the dialer of the operating system: for tests of resolvers and
    /// balancers.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self(Arc::new(Inner {
            id: ChannelId::next(),
            authority: target.endpoint().to_owned(),
            target,
            credentials: credentials::insecure(),
            dialer: Arc::new(SystemDialer),
        }))
    }

    /// Sets the authority.
    #[must_use]
    pub fn with_authority(mut self, authority: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).authority = authority.into();
        self
    }

    /// Sets the credentials.
    #[must_use]
    pub fn with_credentials(mut self, credentials: ChannelCredentials) -> Self {
        Arc::make_mut(&mut self.0).credentials = credentials;
        self
    }

    /// Sets the dialer.
    #[must_use]
    pub fn with_dialer(mut self, dialer: Arc<dyn Dial>) -> Self {
        Arc::make_mut(&mut self.0).dialer = dialer;
        self
    }

    /// The channel's id.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.0.id
    }

    /// The channel's target.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    /// The `:authority` of the channel's requests.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.0.authority
    }

    /// The channel's transport credentials.
    #[must_use]
    pub fn credentials(&self) -> &ChannelCredentials {
        &self.0.credentials
    }

    /// The dialer of the channel's connections, through a proxy if the channel has one. It is the
    /// dialer for another channel too: an `Arc` of a dialer is one.
    #[must_use]
    pub fn dialer(&self) -> &Arc<dyn Dial> {
        &self.0.dialer
    }
}

impl fmt::Debug for ChannelInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelInfo")
            .field("id", &self.0.id)
            .field("target", &self.0.target.as_str())
            .field("authority", &self.0.authority)
            .field("credentials", &self.0.credentials)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_an_id_of_its_own() {
        let target = Target::parse("dns:///backend:1").expect("a target");
        let one = ChannelInfo::new(target.clone());
        let other = ChannelInfo::new(target).with_authority("other");
        assert_ne!(one.id(), other.id());
        assert_eq!(one.authority(), "backend:1");
        assert_eq!(other.authority(), "other");
    }
}
