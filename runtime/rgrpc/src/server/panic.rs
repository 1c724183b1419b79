//! The panics of handlers: the log and the server's hook get the text, the client a fixed one.
//!
//! Called by dispatch, on the task of the call.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::call::CallContext;
use crate::io::Peer;
use crate::status::Status;
use crate::task::{caught, caught_by, panic_message};

/// The status text of a call whose handler panicked.
const STATUS_TEXT: &str = "the server's handler panicked";

/// A panic of a handler, as given to [`Server::panic_hook`](super::Server::panic_hook).
#[derive(Clone, Copy)]
pub struct HandlerPanic<'a> {
    context: &'a CallContext,
    payload: &'a (dyn Any + Send),
}

impl<'a> HandlerPanic<'a> {
    /// The method's full name: `/package.Service/Method`.
    #[must_use]
    pub fn method(&self) -> &'a str {
        self.context.method()
    }

    /// The two ends of the call's connection.
    #[must_use]
    pub fn peer(&self) -> &'a Peer {
        self.context.peer()
    }

    /// The panic's text; a fixed text if the [payload](Self::payload) is neither `&str` nor
    /// `String`.
    ///
    /// It may name paths, queries or secrets of the program: do not send it to a client.
    #[must_use]
    pub fn message(&self) -> &'a str {
        panic_message(self.payload)
    }

    /// The value that the handler panicked with.
    #[must_use]
    pub fn payload(&self) -> &'a (dyn Any + Send) {
        self.payload
    }
}

impl fmt::Debug for HandlerPanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerPanic")
            .field("method", &self.method())
            .field("peer", &self.peer())
            .field("message", &self.message())
            .finish_non_exhaustive()
    }
}

/// The function of [`Server::panic_hook`](super::Server::panic_hook).
#[derive(Clone)]
pub(super) struct PanicHook(Arc<dyn Fn(HandlerPanic<'_>) + Send + Sync>);

impl PanicHook {
    pub(super) fn new(hook: impl Fn(HandlerPanic<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }
}

impl fmt::Debug for PanicHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PanicHook")
    }
}

/// Runs code of the service. A panic is logged and given to the hook; the status is for the client.
pub(super) fn guarded<R>(
    context: &CallContext,
    hook: Option<&PanicHook>,
    run: impl FnOnce() -> R,
) -> Result<R, Status> {
    // The code is not run again after a panic. Its half-done work is the service's, whose
    // author guards it.
    caught_by(run, |payload| report(context, hook, payload))
}

#[cold]
fn report(context: &CallContext, hook: Option<&PanicHook>, payload: &(dyn Any + Send)) -> Status {
    let panic = HandlerPanic { context, payload };
    tracing::error!(
        method = panic.method(),
        peer = %panic.peer().remote,
        panic = panic.message(),
        "a handler panicked"
    );
    if let Some(PanicHook(hook)) = hook {
        // A panic of the hook is logged as well. The client's status is for the first panic.
        let _ = caught("the function of the option panic_hook", || hook(panic));
    }
    Status::internal(STATUS_TEXT)
}
