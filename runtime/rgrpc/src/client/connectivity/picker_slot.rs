//! The published picker and service config of a channel.
//!
//! Written by the channel's task; read by every call, on its caller's task, without a lock.
//!
//! Source: grpc-go `pickerWrapper`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::balancer::{PickInfo, PickResult, Picker};
use crate::client::config::CallConfig;
use crate::connectivity_state::ConnectivityState;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::task::caught;

/// The snapshot of a channel by which its calls go.
pub(in crate::client) struct PickerSlot {
    snapshot: ArcSwap<Snapshot>,
    /// The service config as it concerns calls; `None` as long as it is unknown.
    call_config: ArcSwapOption<CallConfig>,
    /// The channel was closed: nothing is picked any more, whatever the picker says.
    closed: AtomicBool,
    /// Notified after each change of the above.
    changed: Notify,
}

/// A picker, and the connectivity state that it is for.
struct Snapshot {
    state: ConnectivityState,
    picker: Arc<dyn Picker>,
}

impl PickerSlot {
    /// Creates the slot of an idle channel.
    pub(super) fn new(idle: Arc<dyn Picker>) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(Snapshot {
                state: ConnectivityState::Idle,
                picker: idle,
            }),
            call_config: ArcSwapOption::empty(),
            closed: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// Publishes a picker and its state, and wakes those that wait for a change.
    pub(in crate::client) fn publish(&self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        self.store(state, picker);
        self.notify();
    }

    /// As [`publish`](Self::publish), and wakes nobody: [`notify`](Self::notify) is to follow.
    pub(super) fn store(&self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        self.snapshot.store(Arc::new(Snapshot { state, picker }));
    }

    /// Wakes those that wait for a change.
    pub(super) fn notify(&self) {
        self.changed.notify_waiters();
    }

    /// Ready at the next change. Enabled before the slot is read, no change is missed.
    pub(in crate::client) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Closes the slot: its state is SHUTDOWN, for good.
    pub(in crate::client) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.notify();
    }

    pub(in crate::client) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The connectivity state, as users see it.
    pub(in crate::client) fn state(&self) -> ConnectivityState {
        if self.is_closed() {
            ConnectivityState::Shutdown
        } else {
            self.published_state()
        }
    }

    /// The state of the last picker, also when the channel was closed.
    pub(super) fn published_state(&self) -> ConnectivityState {
        self.snapshot.load().state
    }

    /// Picks a connection for a call, by calling `take` with the picker's answer.
    ///
    /// The picker is users' code: a panic of it fails this call alone.
    #[inline]
    pub(in crate::client) fn pick<T>(
        &self,
        call: &PickInfo<'_>,
        take: impl FnOnce(PickResult<'_>) -> T,
    ) -> T {
        take(self.snapshot.load().pick(call))
    }

    /// The reason why there is no connection, if one was tried.
    pub(in crate::client) fn failure(&self) -> Option<Status> {
        let snapshot = self.snapshot.load();
        if snapshot.state != ConnectivityState::TransientFailure {
            return None;
        }
        match snapshot.pick(&PickInfo::new("", &Metadata::new())) {
            PickResult::Fail(status) | PickResult::Drop(status) => Some(status),
            PickResult::Pick(_) | PickResult::Queue => None,
        }
    }

    /// Publishes what the service config says about calls.
    pub(in crate::client) fn set_call_config(&self, config: &Arc<CallConfig>) {
        self.call_config.store(Some(Arc::clone(config)));
        self.notify();
    }

    /// Publishes this config, unless there is one.
    pub(in crate::client) fn default_call_config(&self, config: &Arc<CallConfig>) {
        if self.call_config.load().is_none() {
            self.set_call_config(config);
        }
    }

    /// The service config as it concerns calls, if it is known, for a moment: nothing is counted.
    pub(in crate::client) fn call_config_ref(&self) -> Guard<Option<Arc<CallConfig>>> {
        self.call_config.load()
    }

    /// Reads the service config as it concerns calls, if it is known.
    pub(in crate::client) fn with_call_config<T>(
        &self,
        read: impl FnOnce(&CallConfig) -> T,
    ) -> Option<T> {
        self.call_config.load().as_deref().map(read)
    }

    /// The service config as it concerns calls, if it is known.
    pub(in crate::client) fn call_config(&self) -> Option<Arc<CallConfig>> {
        self.call_config.load_full()
    }
}

impl Snapshot {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        caught("the picker", || self.picker.pick(call))
            .unwrap_or_else(|panicked| PickResult::Drop(panicked.to_status()))
    }
}

/// The status of calls on a channel that was closed.
pub(in crate::client) fn closed() -> Status {
    Status::cancelled("the channel was closed by its user")
}
