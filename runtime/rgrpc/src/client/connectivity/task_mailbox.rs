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
    reset_backoff_pending: AtomicBool,
}

struct TaskState {
    task: TaskSender,
    is_running: bool,
    /// The number of tasks that were lost: dropped with their runtime, as a rule.
    losses: u64,
    last_loss: Option<Lost>,
}

/// The sender of the events of one task.
#[derive(Clone)]
struct TaskSender {
    events: mpsc::UnboundedSender<Event>,
    /// As [`TaskMailbox::reset_backoff_pending`]. Each task has its own, so that a request to one
    /// that is gone does not hold back those to the next.
    exit_idle_pending: Arc<AtomicBool>,
}

impl TaskMailbox {
    /// Creates the mailbox of a channel without a task.
    pub(super) fn new() -> Self {
        let (events, _) = mpsc::unbounded_channel();
        Self {
            state: Mutex::new(TaskState {
                task: TaskSender::new(events),
                is_running: false,
                losses: 0,
                last_loss: None,
            }),
            reset_backoff_pending: AtomicBool::new(false),
        }
    }

    /// Claims the task, unless it runs: returns its events, and the picker of the idle channel.
    pub(super) fn begin(&self) -> Option<(EventReceiver, Arc<dyn Picker>)> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let task = TaskSender::new(sender.clone());
        let previous = {
            let mut state = lock(&self.state);
            if state.is_running {
                return None;
            }
            state.is_running = true;
            // A request to the task before is made anew.
            self.reset_backoff_pending.store(false, Ordering::Release);
            std::mem::replace(&mut state.task, task.clone())
        };
        drop(previous);
        let idle = Arc::new(IdlePicker(task));
        Some((EventReceiver { sender, receiver }, idle))
    }

    /// Notes that the task is gone. Another one can begin once `reset` has returned, which runs
    /// under the lock: it wakes nobody, and returns what users' code may be dropped with.
    pub(super) fn lost<T>(&self, lost: Lost, reset: impl FnOnce(Arc<dyn Picker>) -> T) -> T {
        let mut state = lock(&self.state);
        state.is_running = false;
        state.losses += 1;
        state.last_loss = Some(lost);
        reset(Arc::new(IdlePicker(state.task.clone())))
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
        self.task().exit_idle();
    }

    /// The task is doing what [`exit_idle`](Self::exit_idle) asks for.
    pub(in crate::client) fn begin_exit_idle(&self) {
        let pending = self.task().exit_idle_pending;
        pending.store(false, Ordering::Release);
    }

    /// Asks for the backoff to be reset, and for its current wait to end.
    pub(in crate::client) fn reset_backoff(&self) {
        if !self.reset_backoff_pending.swap(true, Ordering::AcqRel) {
            // The channel is gone when it cannot be sent.
            let _ = self.task().events.send(Event::ResetBackoff);
        }
    }

    /// The task is doing what [`reset_backoff`](Self::reset_backoff) asks for.
    pub(in crate::client) fn begin_reset_backoff(&self) {
        self.reset_backoff_pending.store(false, Ordering::Release);
    }

    /// The picker of the idle channel.
    pub(super) fn idle_picker(&self) -> Arc<dyn Picker> {
        Arc::new(IdlePicker(self.task()))
    }

    /// A copy, so that nothing is sent, which wakes the task, while the lock is held.
    fn task(&self) -> TaskSender {
        lock(&self.state).task.clone()
    }
}

impl TaskSender {
    fn new(events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            events,
            exit_idle_pending: Arc::default(),
        }
    }

    fn exit_idle(&self) {
        if !self.exit_idle_pending.swap(true, Ordering::AcqRel) {
            // The channel is gone when it cannot be sent.
            let _ = self.events.send(Event::ExitIdle);
        }
    }
}

/// The picker of a channel in idle mode: a call makes the channel leave that.
struct IdlePicker(TaskSender);

impl Picker for IdlePicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        self.0.exit_idle();
        PickResult::Queue
    }
}
