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
//! - [`ActiveCalls`]: the number of calls, for the idle mode.

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
pub(super) use self::picker_slot::{PickerSlot, closed};
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
        let mut open = Vec::new();
        self.task.lost(lost, |idle| {
            // Before another task can begin, so that nothing of it is undone.
            open = self.registry.clear();
            self.picker.store(ConnectivityState::Idle, idle);
        });
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
