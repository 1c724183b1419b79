//! The lookup of a name: its trait, and the operating system's.
//!
//! Called by the resolver, on its own task.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::lookup_host;

use crate::resolver::{LookupError, ResolverError};

/// A way to look names up: the operating system, a DNS server, or the list of a test.
pub(super) trait Lookup: Send + Sync + 'static {
    /// Looks a name up. Cancel-safe.
    fn look_up(&self, question: Question) -> LookupFuture;
}

/// The future of [`Lookup::look_up`].
pub(super) type LookupFuture = Pin<Box<dyn Future<Output = Result<Answer, LookupError>> + Send>>;

/// The name to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) host: String,
    /// The port of the resulting addresses.
    pub(super) port: u16,
    /// Requests the service config too.
    pub(super) service_config: bool,
}

/// The result of a lookup.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// The addresses. Empty if the name has none.
    pub(super) addresses: Vec<SocketAddr>,
    /// The service config, as in [`ResolverState`](crate::resolver::ResolverState).
    pub(super) service_config: Option<Result<String, ResolverError>>,
    /// The validity of the addresses, if it is known.
    pub(super) valid_for: Option<Duration>,
}

/// Looks addresses up by the operating system, which finds no service configs and reports no
/// validity.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemLookup;

impl Lookup for SystemLookup {
    fn look_up(&self, question: Question) -> LookupFuture {
        Box::pin(async move {
            let Question { host, port, .. } = question;
            match lookup_host((host, port)).await {
                Ok(addresses) => Ok(Answer {
                    addresses: addresses.collect(),
                    ..Answer::default()
                }),
                Err(error) => Err(LookupError::failed(error)),
            }
        })
    }
}
