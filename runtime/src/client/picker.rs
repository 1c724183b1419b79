use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::calls::Calls;
use super::connectivity_state::ConnectivityState;
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

    fn state(&self) -> ConnectivityState {
        match self {
            Self::Idle(_) => ConnectivityState::Idle,
            Self::Connecting => ConnectivityState::Connecting,
            Self::Ready(_) => ConnectivityState::Ready,
            Self::TransientFailure(_) => ConnectivityState::TransientFailure,
        }
    }
}

/// What the channel's task and its handles share. Holds the current [`Picker`], which the task
/// replaces and calls read.
pub(super) struct PickerCell {
    current: ArcSwap<Picker>,
    changed: Notify,
    /// The picker's, a moment later, for users to watch; the last one when the channel was closed.
    state: watch::Sender<ConnectivityState>,
    /// Changes when the backoff is to begin anew.
    backoff_resets: watch::Sender<()>,
    calls: Calls,
    /// The channel was closed: nothing is picked any more, whatever the picker says.
    closed: AtomicBool,
}

impl PickerCell {
    pub(super) fn new() -> Self {
        Self {
            current: ArcSwap::from_pointee(Picker::idle()),
            changed: Notify::new(),
            state: watch::Sender::new(ConnectivityState::Idle),
            backoff_resets: watch::Sender::new(()),
            calls: Calls::new(),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn load(&self) -> Arc<Picker> {
        self.current.load_full()
    }

    pub(super) fn publish(&self, picker: Picker) {
        let state = picker.state();
        self.current.store(Arc::new(picker));
        self.changed.notify_waiters();
        // Last, so that who has seen a state finds its picker.
        self.set_state(state);
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.changed.notify_waiters();
        self.set_state(ConnectivityState::Shutdown);
    }

    fn set_state(&self, state: ConnectivityState) {
        self.state.send_if_modified(|current| {
            let changes = *current != state && *current != ConnectivityState::Shutdown;
            if changes {
                *current = state;
            }
            changes
        });
    }

    pub(super) fn state(&self) -> ConnectivityState {
        *self.state.borrow()
    }

    /// Ready when the state is not `from`, with the one that it is. Cancel-safe.
    pub(super) async fn state_other_than(&self, from: ConnectivityState) -> ConnectivityState {
        let mut states = self.state.subscribe();
        match states.wait_for(|state| *state != from).await {
            Ok(state) => *state,
            // The sender is in `self`, so this is not reached; the state is what it is.
            Err(_) => self.state(),
        }
    }

    /// Why there is no connection, if one was tried.
    pub(super) fn failure(&self) -> Option<Status> {
        match &**self.current.load() {
            Picker::TransientFailure(status) => Some(status.clone()),
            Picker::Idle(_) | Picker::Connecting | Picker::Ready(_) => None,
        }
    }

    /// A connection is wanted, if there is none.
    pub(super) fn want(&self) {
        if let Picker::Idle(wanted) = &**self.current.load() {
            wanted.notify_one();
        }
    }

    /// The backoff is to begin anew, and a wait of it to end.
    pub(super) fn reset_backoff(&self) {
        self.backoff_resets.send_replace(());
    }

    /// Sees the resets of the backoff from now on.
    pub(super) fn backoff_resets(&self) -> watch::Receiver<()> {
        self.backoff_resets.subscribe()
    }

    pub(super) fn calls(&self) -> &Calls {
        &self.calls
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
