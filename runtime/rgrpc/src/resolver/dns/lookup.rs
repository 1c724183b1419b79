use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::lookup_host;

use crate::status::Status;

/// What asks the DNS: the operating system, a server, or a test's list.
pub(super) trait Lookup: Send + Sync + 'static {
    /// Looks a name up. The error is a text that says why there is no answer. Cancel-safe.
    fn look_up(&self, question: Question) -> LookupFuture;
}

/// What [`Lookup::look_up`] returns.
pub(super) type LookupFuture = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send>>;

/// What is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) host: String,
    /// Goes into the addresses of the answer.
    pub(super) port: u16,
    /// Whether to look for a service config too.
    pub(super) service_config: bool,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// Empty when the name has none.
    pub(super) addresses: Vec<SocketAddr>,
    /// As in [`ResolverState`](crate::resolver::ResolverState).
    pub(super) service_config: Option<Result<String, Status>>,
    /// How long the addresses are valid, if that is known.
    pub(super) valid_for: Option<Duration>,
}

/// Looks addresses up by the operating system, which says nothing of service configs nor of how
/// long an address is valid.
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
                Err(error) => Err(error.to_string()),
            }
        })
    }
}
