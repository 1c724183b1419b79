//! The channel's task as seen from outside: whether it runs, and how events reach it.
//!
//! Called by calls and users, on their tasks, and by the channel's task when it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::event::{Event, EventReceiver};
use super::lost;
use crate::balancer::{PickInfo, PickResult, Picker};
use crate::lock::lock;
use crate::status::Status;
use crate::task::Lost;

/// The life of a channel's task, and the sender of its events.
///
/// ```text
///   no task ──begin──► running ──lost──► no task, with a reason
/// ```
pub(in crate::client) struct TaskMailbox {
    state: Mutex<TaskState>,
    /// Asked for, and not looked at by the task yet: there is at most one such event.
    exit_idle_pending: Arc<AtomicBool>,
    reset_backoff_pending: AtomicBool,
}

struct TaskState {
    events: mpsc::UnboundedSender<Event>,
    is_running: bool,
    /// The number of tasks that were lost: dropped with their runtime, as a rule.
    losses: u64,
    last_loss: Option<Lost>,
}

impl TaskMailbox {
    /// Creates the mailbox of a channel without a task.
    pub(super) fn new() -> Self {
        let (events, _) = mpsc::unbounded_channel();
        Self {
            state: Mutex::new(TaskState {
                events,
                is_running: false,
                losses: 0,
                last_loss: None,
            }),
            exit_idle_pending: Arc::default(),
            reset_backoff_pending: AtomicBool::new(false),
        }
    }

    /// Claims the task, unless it runs: returns its events, and the picker of the idle channel.
    pub(super) fn begin(&self) -> Option<(EventReceiver, Arc<dyn Picker>)> {
        let mut state = lock(&self.state);
        if state.is_running {
            return None;
        }
        state.is_running = true;
        let (sender, receiver) = mpsc::unbounded_channel();
        state.events = sender.clone();
        // Requests to the previous task are made again.
        self.exit_idle_pending.store(false, Ordering::Release);
        self.reset_backoff_pending.store(false, Ordering::Release);
        let idle = self.idle_picker_with(sender.clone());
        Some((EventReceiver { sender, receiver }, idle))
    }

    /// Notes that the task is gone. Another one can begin once `reset`, which wakes nobody, has
    /// returned.
    pub(super) fn lost(&self, lost: Lost, reset: impl FnOnce(Arc<dyn Picker>)) {
        let mut state = lock(&self.state);
        state.is_running = false;
        state.losses += 1;
        state.last_loss = Some(lost);
        reset(self.idle_picker_with(state.events.clone()));
    }

    /// The number of times the channel's task was lost.
    pub(in crate::client) fn losses(&self) -> u64 {
        lock(&self.state).losses
    }

    /// The reason why there is no task, if the one that was started last is lost.
    pub(in crate::client) fn loss(&self) -> Option<Status> {
        let state = lock(&self.state);
        let last = state.last_loss.filter(|_| !state.is_running);
        last.map(lost)
    }

    /// The status of a call that has waited for a task that was lost; `losses` is their number when
    /// the call began.
    pub(in crate::client) fn lost_since(&self, losses: u64) -> Option<Status> {
        let state = lock(&self.state);
        let last = state.last_loss.filter(|_| state.losses != losses);
        last.map(lost)
    }

    /// Asks for a connection, if there is none.
    pub(in crate::client) fn exit_idle(&self) {
        exit_idle(&self.sender(), &self.exit_idle_pending);
    }

    /// The task is doing what [`exit_idle`](Self::exit_idle) asks for.
    pub(in crate::client) fn begin_exit_idle(&self) {
        self.exit_idle_pending.store(false, Ordering::Release);
    }

    /// Asks for the backoff to be reset, and for its current wait to end.
    pub(in crate::client) fn reset_backoff(&self) {
        if !self.reset_backoff_pending.swap(true, Ordering::AcqRel) {
            // The channel is gone when it cannot be sent.
            let _ = self.sender().send(Event::ResetBackoff);
        }
    }

    /// The task is doing what [`reset_backoff`](Self::reset_backoff) asks for.
    pub(in crate::client) fn begin_reset_backoff(&self) {
        self.reset_backoff_pending.store(false, Ordering::Release);
    }

    /// The picker of the idle channel.
    pub(super) fn idle_picker(&self) -> Arc<dyn Picker> {
        self.idle_picker_with(self.sender())
    }

    fn idle_picker_with(&self, events: mpsc::UnboundedSender<Event>) -> Arc<dyn Picker> {
        let pending = Arc::clone(&self.exit_idle_pending);
        Arc::new(IdlePicker { events, pending })
    }

    /// A copy, so that nothing is sent, which wakes the task, while the lock is held.
    fn sender(&self) -> mpsc::UnboundedSender<Event> {
        lock(&self.state).events.clone()
    }
}

/// The picker of a channel in idle mode: a call makes the channel leave that.
struct IdlePicker {
    events: mpsc::UnboundedSender<Event>,
    pending: Arc<AtomicBool>,
}

impl Picker for IdlePicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        exit_idle(&self.events, &self.pending);
        PickResult::Queue
    }
}

fn exit_idle(events: &mpsc::UnboundedSender<Event>, pending: &AtomicBool) {
    if !pending.swap(true, Ordering::AcqRel) {
        // The channel is gone when it cannot be sent.
        let _ = events.send(Event::ExitIdle);
    }
}
