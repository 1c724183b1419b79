use super::{Resolver, Target};

/// Makes the resolvers of a scheme.
///
/// A channel knows the builders of the schemes that are built in, and those that it is
/// [given](crate::ClientConnBuilder::resolver).
///
/// Source: grpc-go `resolver.Builder`.
pub trait ResolverBuilder: Send + Sync + 'static {
    /// The scheme of the targets that this is for, as `dns`. Schemes are compared without regard to
    /// case.
    fn scheme(&self) -> &str;

    /// A resolver for a target. Does no IO.
    ///
    /// Called once when a channel is made, so that a target which makes no sense is an error there,
    /// and from the channel's task each time that it leaves idle mode.
    ///
    /// # Errors
    /// The target makes no sense to this scheme: what is wrong with it, as a text.
    fn build(
        &self,
        target: &Target,
        options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, String>;

    /// The `:authority` of requests to this target, unless an option of the channel or its
    /// credentials say another. Characters that cannot stand in one are percent-encoded;
    /// `localhost` goes before one that begins with a colon, and stands for one that cannot be
    /// mended so. [`Transport::H2`](crate::Transport) cannot send one that has to be
    /// percent-encoded, and no channel is made. Default: the [endpoint](Target::endpoint).
    ///
    /// Source: grpc-go `resolver.AuthorityOverrider`.
    fn authority(&self, target: &Target) -> String {
        target.endpoint().to_owned()
    }
}

/// What a channel's options say to its resolver.
///
/// Source: grpc-go `resolver.BuildOptions`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ResolverOptions {
    /// The channel will not look at a service config, so that none need be looked for. Default:
    /// false.
    pub disable_service_config: bool,
}
