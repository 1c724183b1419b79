//! The trait of resolvers.
//!
//! Implemented by this crate's schemes and by users; run by the channel, as a task for each
//! resolver.

use std::future::Future;
use std::pin::Pin;

use super::ResolverControl;

/// Finds the endpoints of a target for a channel, and watches them.
///
/// Source: grpc-go `resolver.Resolver`.
pub trait Resolver: Send + 'static {
    /// Resolves the target, and sends the result to the channel now and after each change.
    ///
    /// The future runs as its own task. It is dropped when the channel closes or becomes idle. When
    /// the future ends, the last result stays in use. If it ends without a result, calls that do
    /// not wait for ready fail, as after an [error](ResolverControl::error). A panic is an end too:
    /// the channel then builds and runs the resolver again after a backoff, as between [attempts to
    /// connect](crate::ClientConnBuilder::connect_backoff).
    fn run(self: Box<Self>, control: ResolverControl) -> ResolverFuture;
}

/// The future of [`Resolver::run`].
pub type ResolverFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
