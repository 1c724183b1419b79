use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::status::Status;
use crate::transport::ClientTransport;

/// Where calls go now: an immutable snapshot of the channel.
pub(super) enum Picker {
    /// There is no connection and none is wanted. A call wants one and says so here.
    Idle(Notify),
    /// A connection is being made.
    Connecting,
    /// Calls go here.
    Ready(Arc<dyn ClientTransport>),
    /// No connection could be made; the channel tries again after a while.
    TransientFailure(Status),
}

impl Picker {
    pub(super) fn idle() -> Self {
        Self::Idle(Notify::new())
    }
}

/// Holds the current [`Picker`]. The channel's task replaces it; calls read it.
pub(super) struct PickerCell {
    current: ArcSwap<Picker>,
    changed: Notify,
    /// The channel was closed: nothing is picked any more, whatever the picker says.
    closed: AtomicBool,
}

impl PickerCell {
    pub(super) fn new() -> Self {
        Self {
            current: ArcSwap::from_pointee(Picker::idle()),
            changed: Notify::new(),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn load(&self) -> Arc<Picker> {
        self.current.load_full()
    }

    pub(super) fn publish(&self, picker: Picker) {
        self.current.store(Arc::new(picker));
        self.changed.notify_waiters();
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The connection for a call, if one is ready: no lock, no registration.
    pub(super) fn ready(&self) -> Option<Arc<dyn ClientTransport>> {
        match &**self.current.load() {
            Picker::Ready(transport) if !self.is_closed() => Some(Arc::clone(transport)),
            _ => None,
        }
    }

    /// The connection for a call. Waits while one is being made, and with `wait_for_ready` also
    /// while none can be made.
    ///
    /// Cancel-safe.
    pub(super) async fn pick(
        &self,
        wait_for_ready: bool,
    ) -> Result<Arc<dyn ClientTransport>, Status> {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Registered before looking, so that no change is missed.
            changed.as_mut().enable();
            if self.is_closed() {
                return Err(closed());
            }
            match &**self.current.load() {
                Picker::Ready(transport) => return Ok(Arc::clone(transport)),
                Picker::Idle(wanted) => wanted.notify_one(),
                Picker::TransientFailure(status) if !wait_for_ready => return Err(status.clone()),
                Picker::Connecting | Picker::TransientFailure(_) => {}
            }
            changed.await;
        }
    }
}

/// The status of calls on a channel that was closed.
pub(super) fn closed() -> Status {
    Status::cancelled("the channel was closed by its user")
}
