//! The handle by which a user cancels calls.
//!
//! Used by users, from any task; awaited by the bounds of a call, on the task that polls it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Cancels calls from anywhere; cheap to clone.
///
/// A handle is given to a call by [`Call::cancel_handle`](super::Call::cancel_handle). The call
/// then ends with CANCELLED when the handle is used: its future or the halves of its streams report
/// that status, the client resets the stream with CANCEL, and no attempt follows. Dropping a
/// handle cancels nothing. One handle may be given to several calls, which it cancels together.
///
/// A call that has ended stays as it is. A call with a handle that was used before ends at once,
/// and sends nothing.
///
/// ```
/// use rgrpc::{CancelHandle, Code};
/// # use rgrpc::{ClientConn, ProtoCodec, Request, UnaryCall, credentials};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let conn = ClientConn::new("passthrough:///127.0.0.1:1", credentials::insecure())?;
/// let cancel = CancelHandle::new();
/// // As a generated client does: greeter.say_hello(…).
/// let call: UnaryCall<'_, _, (), ()> =
///     UnaryCall::new(&conn, ProtoCodec, "/helloworld.Greeter/SayHello", Request::new(()));
/// let call = call.cancel_handle(&cancel);
/// std::thread::spawn(move || cancel.cancel());
/// let status = call.wait_for_ready(true).await.expect_err("cancelled");
/// assert_eq!(status.code(), Code::Cancelled);
/// # Ok(()) }
/// ```
///
/// Source: grpc-go's `context.WithCancel` around a call.
#[derive(Clone, Default)]
pub struct CancelHandle(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    /// Notified once, after the flag is set.
    changed: Notify,
}

impl CancelHandle {
    /// Creates an unused handle.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels the calls that have this handle, now or later. Does not block.
    /// Idempotent.
    pub fn cancel(&self) {
        if !self.0.cancelled.swap(true, Ordering::AcqRel) {
            self.0.changed.notify_waiters();
        }
    }

    /// Returns whether [`cancel`](Self::cancel) was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Waits until [`cancel`](Self::cancel) is called. For an [`Invoke`](super::Invoke) that
    /// responds by itself, and for work that belongs to the calls.
    ///
    /// Cancel-safe.
    pub async fn cancelled(&self) {
        loop {
            // Before looking, so that no change is missed.
            let changed = self.0.changed.notified();
            if self.is_cancelled() {
                return;
            }
            changed.await;
        }
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelHandle")
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}
