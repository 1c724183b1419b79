//! The published picker and service config of a channel.
//!
//! Written by the channel's task; read by every call, on its caller's task, without a lock.
//!
//! Source: grpc-go `pickerWrapper`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::balancer::{FailingPicker, PickInfo, PickResult, Picker};
use crate::client::config::CallConfig;
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;
use crate::task::caught;

/// The snapshot of a channel by which its calls go.
pub(in crate::client) struct PickerSlot {
    snapshot: ArcSwap<Snapshot>,
    /// The version of the next picker.
    next_version: AtomicU64,
    /// The service config as it concerns calls; `None` as long as it is unknown.
    call_config: ArcSwapOption<CallConfig>,
    /// The channel was closed: nothing is picked any more, whatever the picker says.
    closed: AtomicBool,
    /// Notified after each change of the above.
    changed: Notify,
}

/// Names one of the pickers that a channel has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) struct PickerVersion(u64);

/// A picker, and the connectivity state that it is for.
pub(super) struct Snapshot {
    version: PickerVersion,
    state: ConnectivityState,
    picker: Arc<dyn Picker>,
    /// The status with which it has first failed a call, or is known to fail calls.
    failure: OnceLock<Status>,
}

impl PickerSlot {
    /// Creates the slot of an idle channel.
    pub(super) fn new(idle: Arc<dyn Picker>) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(Snapshot {
                version: PickerVersion(0),
                state: ConnectivityState::Idle,
                picker: idle,
                failure: OnceLock::new(),
            }),
            next_version: AtomicU64::new(1),
            call_config: ArcSwapOption::empty(),
            closed: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// Publishes a picker and its state, and wakes those that wait for a change.
    pub(in crate::client) fn publish(&self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        drop(self.swap(state, picker));
        self.notify();
    }

    /// Publishes TRANSIENT_FAILURE with a picker that fails calls with this status, and wakes those
    /// that wait for a change.
    pub(in crate::client) fn publish_failure(&self, status: Status) {
        let picker = Arc::new(FailingPicker::new(status.clone()));
        let failure = OnceLock::from(status);
        drop(self.swap_snapshot(ConnectivityState::TransientFailure, picker, failure));
        self.notify();
    }

    /// Publishes the picker of an earlier snapshot, and wakes those that wait for a change.
    pub(super) fn publish_again(&self, earlier: &Snapshot) {
        let (picker, failure) = (Arc::clone(&earlier.picker), earlier.failure.clone());
        drop(self.swap_snapshot(earlier.state, picker, failure));
        self.notify();
    }

    /// As [`publish`](Self::publish), and wakes nobody: [`notify`](Self::notify) is to follow.
    /// Returns the snapshot before, whose picker is users' code, to be dropped under no lock.
    pub(super) fn swap(&self, state: ConnectivityState, picker: Arc<dyn Picker>) -> Arc<Snapshot> {
        self.swap_snapshot(state, picker, OnceLock::new())
    }

    fn swap_snapshot(
        &self,
        state: ConnectivityState,
        picker: Arc<dyn Picker>,
        failure: OnceLock<Status>,
    ) -> Arc<Snapshot> {
        let version = PickerVersion(self.next_version.fetch_add(1, Ordering::Relaxed));
        self.snapshot.swap(Arc::new(Snapshot {
            version,
            state,
            picker,
            failure,
        }))
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

    /// The version of the present picker.
    pub(in crate::client) fn version(&self) -> PickerVersion {
        self.snapshot.load().version
    }

    /// Picks a connection for a call, by calling `take` with the picker's answer and version.
    ///
    /// The picker is users' code: a panic of it fails this call alone.
    #[inline]
    pub(in crate::client) fn pick<T>(
        &self,
        call: &PickInfo<'_>,
        take: impl FnOnce(PickResult<'_>, PickerVersion) -> T,
    ) -> T {
        let snapshot = self.snapshot.load();
        take(snapshot.pick(call), snapshot.version)
    }

    /// The reason why there is no connection, if one was tried: the status with which the present
    /// picker has failed a call. The picker is not asked for it.
    pub(in crate::client) fn failure(&self) -> Option<Status> {
        let snapshot = self.snapshot.load();
        match snapshot.state {
            ConnectivityState::TransientFailure => snapshot.failure.get().cloned(),
            _ => None,
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
        let result = caught("the picker", || self.picker.pick(call))
            .unwrap_or_else(|panicked| PickResult::Drop(panicked.to_status()));
        if let PickResult::Fail(status) = &result {
            self.failure.get_or_init(|| status.clone());
        }
        result
    }
}

/// The status of calls on a channel that was closed.
pub(in crate::client) fn closed() -> Status {
    Status::cancelled("the channel was closed by its user")
}
