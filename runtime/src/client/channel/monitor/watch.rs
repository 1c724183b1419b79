use std::sync::Arc;

use prost::Message;
use tokio::time::sleep;

use super::Report;
use super::call::call;
use super::retry::Retry;
use crate::call::MethodName;
use crate::credentials::{PerRpcCredentials, RequestInfo, per_rpc};
use crate::io::Address;
use crate::metadata::Metadata;
use crate::status::{Code, Status};
use crate::task::caught_in;
use crate::transport::{ClientTransport, OpenError, Origin};

/// What a backend is asked by one streaming call, and what its answers mean.
pub(super) trait Watch: Send + Sync + 'static {
    type Request: Message + Default;
    type Response: Message + Default + 'static;

    const METHOD: MethodName;

    fn request(&self) -> Self::Request;

    /// The call is about to be made, for the first time or again.
    fn begun(&self) -> Option<Report>;

    fn answered(&self, response: Self::Response) -> Report;

    fn ended(&self, end: &End) -> Option<Report>;
}

/// How a call of a [`Watch`] has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The backend has no such method, and is not asked again.
    Unimplemented,
    /// Otherwise; the text says how. It is asked again.
    Broken(String),
}

impl End {
    pub(super) fn of(outcome: Result<(), Status>) -> Self {
        match outcome {
            Err(status) if status.code() == Code::Unimplemented => Self::Unimplemented,
            Err(status) => Self::Broken(status.to_string()),
            Ok(()) => Self::Broken("the backend has ended it with OK".to_owned()),
        }
    }
}

/// Whom to ask, and over what.
pub(super) struct Backend {
    pub(super) address: Address,
    pub(super) transport: Arc<dyn ClientTransport>,
    pub(super) origin: Arc<Origin>,
    /// What makes metadata for the call.
    pub(super) credentials: Arc<[Arc<dyn PerRpcCredentials>]>,
}

/// Asks a backend until it says that it cannot answer, or its connection takes no more calls.
pub(super) async fn run<W: Watch>(
    backend: Backend,
    watch: W,
    report: impl Fn(Report) + Send + Sync,
) {
    let mut retry = Retry::new();
    loop {
        watch.begun().into_iter().for_each(&report);
        let asked = caught_in("what a backend is watched with", || {
            ask(&backend, &watch, &mut retry, &report)
        });
        let end = match asked.await {
            Ok(Some(end)) => end,
            Ok(None) => return,
            Err(panicked) => End::Broken(panicked.to_string()),
        };
        watch.ended(&end).into_iter().for_each(&report);
        match end {
            End::Unimplemented => {
                tracing::error!(
                    backend = %backend.address,
                    method = &*W::METHOD,
                    "the backend does not implement this; it is not asked again on this connection"
                );
                return;
            }
            End::Broken(problem) => {
                let delay = retry.broken(fastrand::f64());
                tracing::debug!(
                    backend = %backend.address,
                    method = &*W::METHOD,
                    problem,
                    ?delay,
                    "the call has ended, and is retried"
                );
                sleep(delay).await;
            }
        }
    }
}

/// One call: how it has ended; `None` if that was with its connection, of which the channel hears
/// by itself.
async fn ask<W: Watch>(
    backend: &Backend,
    watch: &W,
    retry: &mut Retry,
    report: impl Fn(Report),
) -> Option<End> {
    let Backend {
        transport,
        origin,
        credentials,
        ..
    } = backend;
    let mut metadata = Metadata::new();
    let method = W::METHOD;
    let request = RequestInfo::new(&method, &origin.authority, transport.peer());
    if let Err(status) = per_rpc::add_metadata(credentials, request, &mut metadata).await {
        return Some(End::of(Err(status)));
    }
    let called = call(&**transport, origin, &metadata, &method, &watch.request());
    let mut responses = match called {
        Ok(responses) => responses,
        Err(OpenError::Gone(_)) => return None,
        Err(OpenError::Invalid(status)) => return Some(End::of(Err(status))),
    };
    let outcome = loop {
        match responses.recv().await {
            Ok(Some(response)) => {
                retry.answered();
                report(watch.answered(response));
            }
            Ok(None) => break Ok(()),
            Err(status) => break Err(status),
        }
    };
    (!transport.is_gone()).then(|| End::of(outcome))
}
