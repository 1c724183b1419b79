use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::Poll;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc, watch};

use super::call_config::CallConfig;
use super::calls::Calls;
use super::channel::Events;
use super::connect_attempts::{ConnectAttempts, Unconnected};
use super::done::Done;
use super::event::{ConnectionId, Event};
use super::plan::Plan;
use super::retry::Failure;
use super::wait::{GivenUp, Wait};
use crate::balancer::{Offer, PickInfo, PickResult, Picker, StreamPermit, StreamQueue, SubConn};
use crate::call::CallOptions;
use crate::connectivity_state::ConnectivityState;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::service_config::MethodConfig;
use crate::status::Status;
use crate::task::{Lost, caught};
use crate::transport::{ClientTransport, Delivery};

/// What the channel's task and its handles share: the current [`Picker`], which the task replaces
/// and calls read, and how calls reach the task.
pub(super) struct PickerCell {
    current: ArcSwap<Snapshot>,
    changed: Notify,
    /// What the service config says about calls; `None` as long as nobody knows.
    call_config: ArcSwapOption<CallConfig>,
    /// The picker's, a moment later, for users to watch; the last one when the channel was closed.
    state: watch::Sender<ConnectivityState>,
    /// The sender of the task's events; who locks both locks [`task`](Self::task) first.
    events: Mutex<mpsc::UnboundedSender<Event>>,
    task: Mutex<TaskState>,
    /// Asked for, and not looked at by the task yet: there is one such event at most.
    exit_idle_pending: Arc<AtomicBool>,
    reset_backoff_pending: AtomicBool,
    calls: Calls,
    /// How many calls wait for a stream of a subchannel.
    waiting: AtomicUsize,
    /// The connections that are open, those too that take no more calls. Who keeps them open is their
    /// [`SubConn`], as long as they take calls, and the calls that they have.
    connections: Mutex<HashMap<ConnectionId, Weak<dyn ClientTransport>>>,
    /// For the texts of calls that have waited for a connection in vain.
    attempts: Mutex<ConnectAttempts>,
    /// The channel was closed: nothing is picked any more, whatever the picker says.
    closed: AtomicBool,
}

/// The state of the channel's task.
#[derive(Debug, Default)]
struct TaskState {
    /// It has been started, and was not lost since.
    is_there: bool,
    /// The number of tasks that were lost: dropped with its runtime, as a rule.
    losses: u64,
    last_loss: Option<Lost>,
}

/// The channel at a moment.
struct Snapshot {
    state: ConnectivityState,
    picker: Arc<dyn Picker>,
}

/// The picker of a channel in idle mode: a call makes it leave that.
struct IdlePicker {
    events: mpsc::UnboundedSender<Event>,
    pending: Arc<AtomicBool>,
}

/// The connection for a call.
pub(super) struct Picked {
    pub(super) permit: StreamPermit,
    pub(super) done: Done,
}

/// What the present picker has for a call.
enum Tried {
    Picked(Picked),
    /// The call waits for the next picker.
    Wait,
    /// The call waits for a stream of this one.
    Queue(SubConn, Arc<StreamQueue>, Done),
    Failed(Failure),
}

impl PickerCell {
    /// Idle, and without a task.
    pub(super) fn new() -> Self {
        let (events, _) = mpsc::unbounded_channel();
        let exit_idle_pending = Arc::new(AtomicBool::new(false));
        let picker = IdlePicker {
            events: events.clone(),
            pending: Arc::clone(&exit_idle_pending),
        };
        Self {
            current: ArcSwap::from_pointee(Snapshot {
                state: ConnectivityState::Idle,
                picker: Arc::new(picker),
            }),
            changed: Notify::new(),
            call_config: ArcSwapOption::empty(),
            state: watch::Sender::new(ConnectivityState::Idle),
            events: Mutex::new(events),
            task: Mutex::default(),
            exit_idle_pending,
            reset_backoff_pending: AtomicBool::new(false),
            calls: Calls::new(),
            waiting: AtomicUsize::new(0),
            connections: Mutex::default(),
            attempts: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// The channel's task is about to be started, unless there is one: where it gets its events from.
    pub(super) fn begin_task(&self) -> Option<Events> {
        let mut task = lock(&self.task);
        if task.is_there {
            return None;
        }
        task.is_there = true;
        let (sender, receiver) = mpsc::unbounded_channel();
        *lock(&self.events) = sender.clone();
        // Requests to the task before are repeated.
        self.exit_idle_pending.store(false, Ordering::Release);
        self.reset_backoff_pending.store(false, Ordering::Release);
        self.publish_idle();
        Some(Events { sender, receiver })
    }

    /// The channel's task is gone, and the channel was not closed: it is idle, and the next call starts
    /// another task. Waiting calls are woken.
    pub(super) fn task_lost(&self, lost: Lost) {
        let mut task = lock(&self.task);
        task.is_there = false;
        task.losses += 1;
        task.last_loss = Some(lost);
        // Within the lock, so that nothing is undone that the next task does.
        self.close_connections();
        *self.attempts() = ConnectAttempts::default();
        self.publish_idle();
    }

    /// The number of times the channel's task was lost.
    pub(super) fn task_losses(&self) -> u64 {
        lock(&self.task).losses
    }

    /// Returns the reason why there is no task, if the one that was started last is lost.
    pub(super) fn task_loss(&self) -> Option<Status> {
        let task = lock(&self.task);
        (!task.is_there)
            .then_some(task.last_loss)
            .flatten()
            .map(lost)
    }

    /// The status of a call that has waited for a task that was lost; `losses` is the number of lost
    /// tasks when it began.
    fn lost_since(&self, losses: u64) -> Option<Status> {
        let task = lock(&self.task);
        let last = task.last_loss.filter(|_| task.losses != losses);
        last.map(lost)
    }

    pub(super) fn publish(&self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        self.current.store(Arc::new(Snapshot { state, picker }));
        self.changed.notify_waiters();
        // Last, so that who has seen a state finds its picker.
        self.set_state(state);
    }

    /// The channel is idle: the next call makes it leave that.
    pub(super) fn publish_idle(&self) {
        let picker = IdlePicker {
            events: lock(&self.events).clone(),
            pending: Arc::clone(&self.exit_idle_pending),
        };
        self.publish(ConnectivityState::Idle, Arc::new(picker));
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
        let current = self.current.load();
        if current.state != ConnectivityState::TransientFailure {
            return None;
        }
        match current.pick(&PickInfo::new("", &Metadata::new())) {
            PickResult::Fail(status) | PickResult::Drop(status) => Some(status),
            PickResult::Pick(_) | PickResult::Queue => None,
        }
    }

    /// Why a call has no connection.
    fn unconnected(&self) -> Unconnected {
        let unconnected = lock(&self.attempts).unconnected(self.current.load().state);
        match self.failure() {
            Some(failure) => Unconnected {
                failure: Some(failure.message().to_owned()),
                ..unconnected
            },
            None => unconnected,
        }
    }

    /// What the channel's task knows of its attempts to connect.
    pub(super) fn attempts(&self) -> MutexGuard<'_, ConnectAttempts> {
        lock(&self.attempts)
    }

    /// A connection is wanted, if there is none.
    pub(super) fn exit_idle(&self) {
        exit_idle(&lock(&self.events), &self.exit_idle_pending);
    }

    /// The task is doing what [`exit_idle`](Self::exit_idle) asks for.
    pub(super) fn begin_exit_idle(&self) {
        self.exit_idle_pending.store(false, Ordering::Release);
    }

    /// The backoff restarts, and its waits end.
    pub(super) fn reset_backoff(&self) {
        if !self.reset_backoff_pending.swap(true, Ordering::AcqRel) {
            // The channel is gone when it cannot be sent.
            let _ = lock(&self.events).send(Event::ResetBackoff);
        }
    }

    /// The task is doing what [`reset_backoff`](Self::reset_backoff) asks for.
    pub(super) fn begin_reset_backoff(&self) {
        self.reset_backoff_pending.store(false, Ordering::Release);
    }

    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// From now on this holds for calls.
    pub(super) fn set_call_config(&self, config: &Arc<CallConfig>) {
        self.call_config.store(Some(Arc::clone(config)));
        self.changed.notify_waiters();
    }

    /// This holds for calls, unless it is known what does.
    pub(super) fn default_call_config(&self, config: &Arc<CallConfig>) {
        if self.call_config.load().is_none() {
            self.set_call_config(config);
        }
    }

    /// What the service config says about a method, as far as is known.
    pub(super) fn method_config(&self, method: &str) -> MethodConfig {
        let config = self.call_config.load();
        let config = config.as_ref().and_then(|config| config.method(method));
        config.cloned().unwrap_or_default()
    }

    /// Completes a call's options by what holds for it, if that is known; returns by what its attempts
    /// are governed.
    pub(super) fn configure(&self, method: &str, options: &mut CallOptions) -> Option<Plan> {
        let config = self.call_config.load();
        let config = config.as_ref()?;
        Some(config.configure(method, options))
    }

    /// What holds for a call. Waits until it is known, which is when the target has been resolved for
    /// the first time. `start` starts the channel's task if there is none.
    ///
    /// Cancel-safe.
    pub(super) async fn wait_for_call_config(
        &self,
        wait_for_ready: bool,
        start: impl Fn() -> Result<(), Status>,
    ) -> Result<Arc<CallConfig>, Status> {
        let losses = self.task_losses();
        loop {
            let mut changed = pin!(self.changed.notified());
            // Registered before looking, so that no change is missed.
            changed.as_mut().enable();
            if self.is_closed() {
                return Err(closed());
            }
            if let Some(config) = self.call_config.load_full() {
                return Ok(config);
            }
            match self.lost_since(losses) {
                Some(status) if !wait_for_ready => return Err(status),
                _ => start()?,
            }
            self.exit_idle();
            changed.await;
        }
    }

    /// The connection for a call, if one is ready: no lock, no registration.
    pub(super) fn ready(&self, call: &PickInfo<'_>) -> Option<Picked> {
        if self.is_closed() {
            return None;
        }
        match self.try_pick(call) {
            Tried::Picked(picked) => Some(picked),
            Tried::Wait | Tried::Queue(..) | Tried::Failed(_) => None,
        }
    }

    /// The connection for a call. Waits while none is ready, and with `wait_for_ready` also while none
    /// can be made. `start` starts the channel's task if there is none.
    ///
    /// Cancel-safe.
    pub(super) async fn pick(
        &self,
        call: &PickInfo<'_>,
        wait_for_ready: bool,
        given_up: &GivenUp,
        start: impl Fn() -> Result<(), Status>,
    ) -> Result<Picked, Failure> {
        let losses = self.task_losses();
        loop {
            let mut changed = pin!(self.changed.notified());
            // Registered before looking, so that no change is missed.
            changed.as_mut().enable();
            if self.is_closed() {
                return Err(Failure::here(closed()));
            }
            match self.lost_since(losses) {
                Some(status) if !wait_for_ready => {
                    return Err(Failure {
                        status,
                        delivery: Delivery::Possible,
                        is_final: false,
                    });
                }
                _ => start().map_err(Failure::here)?,
            }
            match self.try_pick(call) {
                Tried::Picked(picked) => return Ok(picked),
                Tried::Wait => self.wait_for_connection(changed, given_up).await,
                Tried::Queue(subconn, queue, done) => {
                    let mut stream = pin!(self.wait_for_stream(&subconn, &queue, changed));
                    let waiting = given_up.waiting(|| {
                        let server = subconn.address().clone();
                        Some(Wait::Stream { server })
                    });
                    let stream = stream.as_mut().await;
                    waiting.over();
                    match stream {
                        Some(permit) => return Ok(Picked { permit, done }),
                        None => drop(done),
                    }
                }
                Tried::Failed(failure) if wait_for_ready && !failure.is_final => {
                    self.wait_for_connection(changed, given_up).await;
                }
                Tried::Failed(failure) => return Err(failure),
            }
        }
    }

    /// Waits for another picker.
    async fn wait_for_connection(&self, changed: Pin<&mut Notified<'_>>, given_up: &GivenUp) {
        let waiting = given_up.waiting(|| Some(Wait::Connection(self.unconnected())));
        changed.await;
        waiting.over();
    }

    /// A stream of a subchannel that has none left; `None` when there is another picker before.
    async fn wait_for_stream(
        &self,
        subconn: &SubConn,
        queue: &Arc<StreamQueue>,
        mut changed: Pin<&mut Notified<'_>>,
    ) -> Option<StreamPermit> {
        let waiting = queue.join();
        let _counted = Counted::new(&self.waiting);
        loop {
            let mut told = pin!(waiting.changed());
            told.as_mut().enable();
            match subconn.offer_to_first() {
                Offer::Permit(permit) => return Some(permit),
                Offer::NotConnected => return None,
                Offer::Wait(_) => {}
            }
            let is_changed = poll_fn(|cx| {
                if changed.as_mut().poll(cx).is_ready() {
                    Poll::Ready(true)
                } else {
                    told.as_mut().poll(cx).map(|()| false)
                }
            });
            if is_changed.await {
                return None;
            }
        }
    }

    /// What the present picker has for a call.
    fn try_pick(&self, call: &PickInfo<'_>) -> Tried {
        let failed = |status: Status, is_final| {
            Tried::Failed(Failure {
                status: status.into_control_plane_failure(),
                delivery: Delivery::Possible,
                is_final,
            })
        };
        match self.current.load().pick(call) {
            PickResult::Pick(pick) => {
                let done = Done::new(pick.on_done);
                match pick.subconn.offer() {
                    Offer::Permit(permit) => Tried::Picked(Picked { permit, done }),
                    Offer::Wait(queue) => Tried::Queue(pick.subconn.clone(), queue, done),
                    // The connection was lost a moment ago: there will be another picker.
                    Offer::NotConnected => Tried::Wait,
                }
            }
            PickResult::Queue => Tried::Wait,
            PickResult::Fail(status) => failed(status, false),
            PickResult::Drop(status) => failed(status, true),
        }
    }

    /// A connection is open.
    pub(super) fn add_connection(&self, id: ConnectionId, transport: &Arc<dyn ClientTransport>) {
        lock(&self.connections).insert(id, Arc::downgrade(transport));
    }

    /// A connection is gone.
    pub(super) fn remove_connection(&self, id: ConnectionId) {
        lock(&self.connections).remove(&id);
    }

    /// Closes all connections at once.
    pub(super) fn close_connections(&self) {
        let connections = std::mem::take(&mut *lock(&self.connections));
        for transport in connections.values().filter_map(Weak::upgrade) {
            transport.close();
        }
    }

    /// How many calls wait because their server allows no more streams.
    pub(super) fn calls_waiting_for_streams(&self) -> usize {
        let connections = lock(&self.connections);
        let transports: Vec<_> = connections.values().filter_map(Weak::upgrade).collect();
        drop(connections);
        let in_transports: usize = transports
            .iter()
            .map(|transport| transport.waiting_streams())
            .sum();
        in_transports + self.waiting.load(Ordering::Acquire)
    }
}

/// Counts one as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Snapshot {
    /// Picks; it is users' code, and a panic of it is the call's alone.
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        caught("the picker", || self.picker.pick(call))
            .unwrap_or_else(|panicked| PickResult::Drop(Status::internal(panicked.to_string())))
    }
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

/// The status of calls that have waited for a channel whose task was lost.
fn lost(lost: Lost) -> Status {
    Status::unavailable(format!("the channel stopped while the call waited: {lost}"))
}

/// The status of calls on a channel that was closed.
pub(super) fn closed() -> Status {
    Status::cancelled("the channel was closed by its user")
}
