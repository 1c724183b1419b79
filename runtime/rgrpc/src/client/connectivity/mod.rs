//! The state that a channel's task shares with its calls and its handles.
//!
//! The task of [`channel`](super::channel) writes it; calls, on their callers' tasks, and the
//! methods of [`ClientConn`](super::ClientConn), on their users', read it and send [`Event`]s back.
//! Each part has one idea and a lock, or none, of its own:
//!
//! - [`PickerSlot`]: the published picker and service config, read by every call without a lock;
//! - [`Connections`]: the connections of a subchannel, which a picked attempt finds without a lock;
//! - [`TaskMailbox`]: whether the task runs, and how events reach it;
//! - [`Registry`]: the subchannels and connections, as channelz and `close` see them;
//! - [`ActiveCalls`]: the numbers of calls, for the idle mode and channelz.

mod active_calls;
mod connect_attempts;
mod connect_error;
mod connections;
mod event;
mod picker_slot;
mod registry;
mod task_mailbox;

use std::sync::Arc;

pub(super) use self::active_calls::{ActiveCalls, Activity};
pub(super) use self::connect_attempts::Unconnected;
pub(super) use self::connect_error::{ConnectError, ConnectFailure, ConnectPhase, ConnectionLoss};
pub(super) use self::connections::{Connection, Connections, Offer, StreamPermit, StreamQueue};
pub(super) use self::event::{ConnectionId, Event, EventReceiver, MonitorId};
pub(super) use self::picker_slot::{PickerSlot, PickerVersion, closed};
pub(super) use self::registry::Registry;
pub(super) use self::task_mailbox::TaskMailbox;
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;
use crate::task::Lost;

/// The state that a channel's task, its calls and its handles share.
pub(super) struct ChannelState {
    pub(super) picker: PickerSlot,
    pub(super) task: TaskMailbox,
    pub(super) registry: Registry,
    pub(super) calls: ActiveCalls,
}

impl ChannelState {
    /// Creates the state of an idle channel without a task.
    pub(super) fn new() -> Self {
        let task = TaskMailbox::new();
        Self {
            picker: PickerSlot::new(task.idle_picker()),
            task,
            registry: Registry::default(),
            calls: ActiveCalls::new(),
        }
    }

    /// Claims the channel's task, which the caller spawns; `None` if it exists.
    pub(super) fn begin_task(&self) -> Option<EventReceiver> {
        let (events, idle) = self.task.begin()?;
        self.picker.publish(ConnectivityState::Idle, idle);
        Some(events)
    }

    /// Notes that the channel's task is gone before the channel was closed: the channel is idle,
    /// and the next call starts another task. Wakes waiting calls.
    pub(super) fn task_lost(&self, lost: Lost) {
        let reset = |idle| {
            // Before another task can begin, so that nothing of it is undone.
            let open = self.registry.clear();
            (open, self.picker.swap(ConnectivityState::Idle, idle))
        };
        let (open, previous) = self.task.lost(lost, reset);
        // Its picker is users' code, and may start another task.
        drop(previous);
        for transport in open {
            transport.close();
        }
        self.picker.notify();
    }

    /// Publishes that the channel is idle: the next call makes it leave that.
    pub(super) fn publish_idle(&self) {
        let idle = self.task.idle_picker();
        self.picker.publish(ConnectivityState::Idle, idle);
    }

    /// As [`publish_idle`](Self::publish_idle), unless there are calls. Returns whether the channel
    /// is idle: every call that begins from then on finds it so.
    ///
    /// A call counts before it looks at the picker. So one that begins meanwhile is either counted
    /// by the second look, or finds the idle picker.
    pub(super) fn try_publish_idle(&self) -> bool {
        if self.calls.activity() == Activity::Calls {
            return false;
        }
        let idle = self.task.idle_picker();
        let previous = self.picker.swap(ConnectivityState::Idle, idle);
        if self.calls.is_none_now() {
            drop(previous);
            self.picker.notify();
            return true;
        }
        // Calls that have found the idle picker wait for the next one.
        self.picker.publish_again(&previous);
        false
    }

    /// Closes all connections at once.
    pub(super) fn close_connections(&self) {
        for transport in self.registry.clear() {
            transport.close();
        }
    }

    /// The reason why a call has no connection.
    pub(super) fn unconnected(&self) -> Unconnected {
        let unconnected = self.registry.unconnected(self.picker.published_state());
        match self.picker.failure() {
            Some(failure) => Unconnected {
                failure: Some(failure.message().to_owned()),
                ..unconnected
            },
            None => unconnected,
        }
    }

    /// The number of calls that wait because their server allows no more streams.
    pub(super) fn calls_waiting_for_streams(&self) -> usize {
        let subchannels = self.registry.snapshot();
        let connections = subchannels.iter().flat_map(|one| &one.connections);
        let waiting = connections.map(|connection| connection.transport.waiting_streams());
        waiting.sum::<usize>() + self.calls.waiting_for_streams()
    }
}

/// The shared state of a channel.
pub(super) type SharedState = Arc<ChannelState>;

/// The status of calls that have waited for a channel whose task was lost.
fn lost(lost: Lost) -> Status {
    Status::unavailable(format!("the channel stopped while the call waited: {lost}"))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Weak;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::balancer::{FailingPicker, PickInfo, PickResult, Picker};
    use crate::metadata::Metadata;

    /// A picker that looks at its channel when it is dropped, and counts that.
    struct Looking {
        channel: Weak<ChannelState>,
        drops: Arc<AtomicUsize>,
    }

    impl Picker for Looking {
        fn pick(&self, _: &PickInfo<'_>) -> PickResult<'_> {
            PickResult::Fail(Status::unavailable("looking"))
        }
    }

    impl Drop for Looking {
        fn drop(&mut self) {
            let Some(channel) = self.channel.upgrade() else {
                return;
            };
            assert_eq!(channel.picker.state(), ConnectivityState::Idle);
            // Takes the mailbox's lock.
            channel.task.exit_idle();
            channel.calls.begin(true);
            channel.calls.end(true);
            self.drops.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn looking() -> (SharedState, Arc<AtomicUsize>) {
        let channel = Arc::new(ChannelState::new());
        let drops = Arc::default();
        let picker = Looking {
            channel: Arc::downgrade(&channel),
            drops: Arc::clone(&drops),
        };
        let state = ConnectivityState::TransientFailure;
        channel.picker.publish(state, Arc::new(picker));
        (channel, drops)
    }

    fn is_ready(future: impl Future<Output = ()>) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(pin!(future).poll(&mut cx), Poll::Ready(()))
    }

    #[test]
    fn a_channel_with_calls_does_not_go_idle() {
        let (channel, drops) = looking();
        channel.calls.begin(true);
        assert!(!channel.try_publish_idle());
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        channel.calls.end(true);
        assert!(channel.try_publish_idle());
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        assert_eq!(channel.picker.state(), ConnectivityState::Idle);
    }

    #[test]
    fn a_call_that_has_found_the_idle_picker_hears_of_the_one_that_is_published_again() {
        let (channel, drops) = looking();
        let idle = channel.task.idle_picker();
        let previous = channel.picker.swap(ConnectivityState::Idle, idle);
        let found = channel.picker.version();
        let changed = channel.picker.changed();
        channel.picker.publish_again(&previous);
        assert!(is_ready(changed));
        assert_ne!(channel.picker.version(), found);
        let state = ConnectivityState::TransientFailure;
        assert_eq!(channel.picker.state(), state);
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        channel.publish_idle();
        drop(previous);
    }

    #[test]
    fn a_lost_task_s_picker_is_dropped_under_no_lock() {
        let (channel, drops) = looking();
        let _events = channel.begin_task();
        assert_eq!(drops.load(Ordering::Relaxed), 1, "the task begins idle");
        let (channel, drops) = looking();
        channel.task_lost(Lost::Dropped);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_failure_of_a_picker_is_that_of_its_first_failed_pick() {
        let channel = ChannelState::new();
        let picker = FailingPicker::new(Status::unavailable("looking"));
        let state = ConnectivityState::TransientFailure;
        channel.picker.publish(state, Arc::new(picker));
        let failure = || channel.picker.failure().map(|status| status.to_string());
        assert_eq!(failure(), None, "nobody has asked it");
        let metadata = Metadata::new();
        let info = PickInfo::new("/a.B/C", &metadata);
        channel.picker.pick(&info, |_, _| {});
        assert_eq!(failure().as_deref(), Some("UNAVAILABLE: looking"));
        let known = Status::unavailable("known");
        channel.picker.publish_failure(known);
        assert_eq!(failure().as_deref(), Some("UNAVAILABLE: known"));
        channel.publish_idle();
        assert_eq!(failure(), None);
    }
}
