//! Picks the connection of an attempt: at once if one is ready, else as soon as the picker has one.
//!
//! Called by attempts, on the caller's task; the picker is users' code, and runs under no lock.

use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::sync::futures::Notified;

use crate::balancer::{DoneInfo, LoadReport, OnDone, PickInfo, PickResult, SubConn};
use crate::client::call::scheduler::AttemptFailure;
use crate::client::call::wait_reason::WaitReason;
use crate::client::call::wait_recorder::WaitRecorder;
use crate::client::config::CallConfig;
use crate::client::connectivity::{
    ChannelState, Connections, Offer, PickerVersion, StreamPermit, StreamQueue, closed,
};
use crate::metadata::Metadata;
use crate::select_biased::{Either, select_biased};
use crate::status::{Origin, Status};
use crate::task::caught;

/// The connection of an attempt.
pub(in crate::client::call) struct Picked {
    pub(in crate::client::call) permit: StreamPermit,
    /// The picker's metadata for the request.
    pub(in crate::client::call) metadata: Metadata,
}

/// The answer of a picker that is no connection at once.
pub(in crate::client::call) struct Unpicked {
    outcome: UnpickedOutcome,
    /// The picker that has answered.
    version: PickerVersion,
}

enum UnpickedOutcome {
    /// The attempt waits for the next picker.
    WaitForPicker,
    /// The attempt waits for a stream of this subchannel.
    WaitForStream(SubConn, Arc<StreamQueue>, Metadata),
    Failed(AttemptFailure),
}

/// Asks the present picker for the connection of an attempt: no lock, no registration. The pick's
/// callback goes to `callback`.
pub(in crate::client::call) fn pick(
    channel: &ChannelState,
    call: &PickInfo<'_>,
    callback: &mut PickerCallback,
) -> Result<Picked, Unpicked> {
    let failed = |status: Status, is_final| {
        UnpickedOutcome::Failed(AttemptFailure {
            is_final,
            ..AttemptFailure::passing_here(status.into_control_plane_failure())
        })
    };
    if channel.picker.is_closed() {
        let failure = AttemptFailure::final_here(closed());
        return Err(Unpicked {
            outcome: UnpickedOutcome::Failed(failure),
            version: channel.picker.version(),
        });
    }
    channel.picker.pick(call, |result, version| {
        let outcome = match result {
            PickResult::Pick(pick) => {
                *callback = PickerCallback::new(pick.on_done);
                match Connections::offer(pick.subconn) {
                    Offer::Permit(permit) => {
                        let metadata = pick.metadata;
                        return Ok(Picked { permit, metadata });
                    }
                    Offer::Wait(queue) => {
                        let subconn = pick.subconn.clone();
                        UnpickedOutcome::WaitForStream(subconn, queue, pick.metadata)
                    }
                    // The connection was lost a moment ago: there will be another picker.
                    Offer::NotConnected => {
                        callback.give_up();
                        UnpickedOutcome::WaitForPicker
                    }
                }
            }
            PickResult::Queue => UnpickedOutcome::WaitForPicker,
            PickResult::Fail(status) => failed(status.with_origin(Origin::Connection), false),
            PickResult::Drop(status) => failed(status, true),
        };
        Err(Unpicked { outcome, version })
    })
}

/// Waits for the connection of an attempt that `first` has not given: for a stream of the picked
/// subchannel, or for the next picker, which is asked then. Each picker is asked once. With
/// `wait_for_ready` it waits also while none can be made. `start` starts the channel's task if there
/// is none.
///
/// Cancel-safe.
pub(in crate::client::call) async fn wait_for_pick(
    channel: &ChannelState,
    call: &PickInfo<'_>,
    callback: &mut PickerCallback,
    first: Unpicked,
    wait_for_ready: bool,
    recorder: &WaitRecorder,
    start: impl Fn() -> Result<(), Status>,
) -> Result<Picked, AttemptFailure> {
    let losses = channel.task.losses();
    let mut first = Some(first);
    loop {
        let mut changed = pin!(channel.picker.changed());
        // Registered before looking, so that no change is missed.
        changed.as_mut().enable();
        if channel.picker.is_closed() {
            return Err(AttemptFailure::final_here(closed()));
        }
        match channel.task.lost_since(losses) {
            Some(status) if !wait_for_ready => {
                return Err(AttemptFailure::passing_here(status));
            }
            _ => start().map_err(AttemptFailure::final_here)?,
        }
        let Unpicked { outcome, version } = match first.take() {
            Some(first) => first,
            None => match pick(channel, call, callback) {
                Ok(picked) => return Ok(picked),
                Err(unpicked) => unpicked,
            },
        };
        let mut next = NextPicker {
            channel,
            version,
            changed,
        };
        match outcome {
            UnpickedOutcome::Failed(failure) if failure.is_final || !wait_for_ready => {
                return Err(failure);
            }
            UnpickedOutcome::WaitForPicker | UnpickedOutcome::Failed(_) => {
                let reason = || WaitReason::Connection(channel.unconnected());
                recorder.during(pin!(next.published()), reason).await;
            }
            UnpickedOutcome::WaitForStream(subconn, queue, metadata) => {
                let stream = pin!(wait_for_stream(channel, &subconn, &queue, next));
                let reason = || WaitReason::Stream {
                    server: subconn.address().clone(),
                };
                if let Some(permit) = recorder.during(stream, reason).await {
                    return Ok(Picked { permit, metadata });
                }
                callback.give_up();
            }
        }
    }
}

/// The picker that follows one that was asked.
struct NextPicker<'a, 'p> {
    channel: &'a ChannelState,
    version: PickerVersion,
    /// Enabled before the versions are compared.
    changed: Pin<&'p mut Notified<'a>>,
}

impl NextPicker<'_, '_> {
    /// Waits until it is published, or the channel is closed.
    async fn published(&mut self) {
        let picker = &self.channel.picker;
        while picker.version() == self.version && !picker.is_closed() {
            self.changed.as_mut().await;
            self.changed.set(picker.changed());
            self.changed.as_mut().enable();
        }
    }
}

/// The service config as it concerns calls. Waits until it is known, which is when the target has
/// been resolved for the first time. `start` starts the channel's task if there is none.
///
/// Cancel-safe.
pub(in crate::client::call) async fn wait_for_call_config(
    channel: &ChannelState,
    wait_for_ready: bool,
    start: impl Fn() -> Result<(), Status>,
) -> Result<Arc<CallConfig>, Status> {
    let losses = channel.task.losses();
    loop {
        let mut changed = pin!(channel.picker.changed());
        // Registered before looking, so that no change is missed.
        changed.as_mut().enable();
        if channel.picker.is_closed() {
            return Err(closed());
        }
        if let Some(config) = channel.picker.call_config() {
            return Ok(config);
        }
        match channel.task.lost_since(losses) {
            Some(status) if !wait_for_ready => return Err(status),
            _ => start()?,
        }
        channel.task.exit_idle();
        changed.await;
    }
}

/// A stream of a subchannel that has none left; `None` when there is another picker before.
async fn wait_for_stream(
    channel: &ChannelState,
    subconn: &SubConn,
    queue: &Arc<StreamQueue>,
    mut next: NextPicker<'_, '_>,
) -> Option<StreamPermit> {
    let waiting = queue.join();
    let counted = channel.calls.wait_for_stream();
    let mut next = pin!(next.published());
    loop {
        let mut told = pin!(waiting.changed());
        told.as_mut().enable();
        match Connections::offer_to_first(subconn) {
            Offer::Permit(permit) => return Some(permit),
            // There will be another picker.
            Offer::NotConnected => break,
            Offer::Wait(_) => {}
        }
        if let Either::First(()) = select_biased(next.as_mut(), told).await {
            return None;
        }
    }
    drop((waiting, counted));
    next.await;
    None
}

/// The callback of a picker for the end of an attempt.
///
/// Called once, also when the attempt was not sent. It is users' code: no lock is held while it
/// runs, and a panic of it is logged and ends nothing else.
#[derive(Default)]
pub(in crate::client::call) struct PickerCallback(Option<OnDone>);

impl PickerCallback {
    #[inline]
    fn new(on_done: Option<OnDone>) -> Self {
        Self(on_done)
    }

    pub(in crate::client::call) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Tells the picker that the attempt, which was sent, has ended with these trailers.
    pub(in crate::client::call) fn call(
        mut self,
        outcome: Result<(), &Status>,
        trailers: &Metadata,
        (bytes_sent, bytes_received): (bool, bool),
    ) {
        if let Some(on_done) = self.0.take() {
            let report = LoadReport::from_trailer(trailers);
            let done = DoneInfo::new(outcome.err(), report.as_ref())
                .with_trailers(trailers)
                .with_bytes(bytes_sent, bytes_received);
            run(on_done, &done);
        }
    }

    /// Tells the picker that the attempt has ended with this status before it was sent.
    pub(in crate::client::call) fn not_sent(&mut self, status: &Status) {
        if let Some(on_done) = self.0.take() {
            let done = DoneInfo::new(Some(status), None).with_bytes(false, false);
            run(on_done, &done);
        }
    }

    /// Tells the picker that the attempt goes elsewhere.
    #[inline]
    pub(in crate::client::call) fn give_up(&mut self) {
        if !self.is_none() {
            self.not_sent(&Status::cancelled("the call was not sent there"));
        }
    }
}

impl Drop for PickerCallback {
    #[inline]
    fn drop(&mut self) {
        self.give_up();
    }
}

fn run(on_done: OnDone, done: &DoneInfo<'_>) {
    // The attempt is over, whatever becomes of this.
    let _ = caught("the picker's callback", || on_done(done));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_that_panics_ends_nothing_else() {
        let panics = || PickerCallback::new(Some(Box::new(|_| panic!("user code"))));
        panics().call(Ok(()), &Metadata::new(), (true, true));
        drop(panics());
    }
}
