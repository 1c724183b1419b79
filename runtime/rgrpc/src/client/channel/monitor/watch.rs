//! A monitor's work: a streaming call to a backend, retried when it has ended.
//!
//! Run as a task for each monitor.

use std::sync::Arc;

use prost::Message;
use tokio::time::sleep;

use super::MonitorReport;
use super::call::call;
use super::restart_delay::RestartDelay;
use crate::buffer_pool::BufferPool;
use crate::call::MethodName;
use crate::credentials::{PerRpcCredentials, RequestInfo, per_rpc};
use crate::io::Address;
use crate::metadata::Metadata;
use crate::status::{Code, Status};
use crate::task::caught_in;
use crate::transport::{ClientTransport, CommonHeaders, OpenError};

/// A question to a backend by one streaming call, and the meaning of its answers.
pub(super) trait Watch: Send + Sync + 'static {
    type Request: Message + Default;
    type Response: Message + Default + 'static;

    const METHOD: MethodName;

    fn request(&self) -> Self::Request;

    /// The call is about to be made, for the first time or again.
    fn begun(&self) -> Option<MonitorReport>;

    fn answered(&self, response: Self::Response) -> MonitorReport;

    fn ended(&self, end: &End) -> Option<MonitorReport>;
}

/// The end of a call of a [`Watch`].
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

/// A backend and the connection to it.
pub(super) struct Backend {
    pub(super) address: Address,
    pub(super) transport: Arc<dyn ClientTransport>,
    pub(super) headers: Arc<CommonHeaders>,
    /// The channel's credentials.
    pub(super) credentials: Arc<[Arc<dyn PerRpcCredentials>]>,
    /// The channel's pool.
    pub(super) buffer_pool: BufferPool,
}

/// Asks a backend until it says that it cannot answer, or its connection takes no more calls.
pub(super) async fn run<W: Watch>(
    backend: Backend,
    watch: W,
    report: impl Fn(MonitorReport) + Send + Sync,
) {
    let mut retry = RestartDelay::new();
    loop {
        watch.begun().into_iter().for_each(&report);
        let asked = caught_in("the monitor of a backend", || {
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

/// Makes one call. Returns its end, or `None` if its connection has ended, which the channel is
/// told elsewhere.
async fn ask<W: Watch>(
    backend: &Backend,
    watch: &W,
    retry: &mut RestartDelay,
    report: impl Fn(MonitorReport),
) -> Option<End> {
    let Backend {
        transport,
        headers,
        credentials,
        ..
    } = backend;
    let mut metadata = Metadata::new();
    let method = W::METHOD;
    let request = RequestInfo::new(&method, &headers.authority, transport.peer());
    if let Err(status) = per_rpc::check_security_level(credentials, transport.peer()) {
        return Some(End::of(Err(status)));
    }
    if let Err(status) = per_rpc::add_metadata(credentials, request, &mut metadata).await {
        return Some(End::of(Err(status)));
    }
    let called = call(backend, &metadata, &method, &watch.request());
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
