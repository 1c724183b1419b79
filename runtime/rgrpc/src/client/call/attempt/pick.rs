//! Picks the connection of an attempt: at once if one is ready, else as soon as the picker has one.
//!
//! Called by attempts, on the caller's task; the picker is users' code, and runs under no lock.

use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::sync::futures::Notified;

use crate::balancer::{DoneInfo, LoadReport, OnDone, PickInfo, PickResult, SubConn};
use crate::client::call::scheduler::AttemptFailure;
use crate::client::call::wait_reason::{WaitReason, WaitRecorder};
use crate::client::config::CallConfig;
use crate::client::connectivity::{
    ChannelState, Connections, Offer, StreamPermit, StreamQueue, closed,
};
use crate::metadata::Metadata;
use crate::select_biased::{Either, select_biased};
use crate::status::{Origin, Status};
use crate::task::caught;

/// The connection of an attempt.
pub(in crate::client::call) struct Picked {
    pub(in crate::client::call) permit: StreamPermit,
    pub(in crate::client::call) callback: PickerCallback,
    /// The picker's metadata for the request.
    pub(in crate::client::call) metadata: Metadata,
}

/// The answer of the present picker to an attempt.
enum PickOutcome {
    Picked(Picked),
    /// The attempt waits for the next picker.
    WaitForPicker,
    /// The attempt waits for a stream of this subchannel.
    WaitForStream(SubConn, Arc<StreamQueue>, PickerCallback, Metadata),
    Failed(AttemptFailure),
}

/// The connection of an attempt, if one is ready: no lock, no registration.
pub(in crate::client::call) fn pick_ready(
    channel: &ChannelState,
    call: &PickInfo<'_>,
) -> Option<Picked> {
    if channel.picker.is_closed() {
        return None;
    }
    match try_pick(channel, call) {
        PickOutcome::Picked(picked) => Some(picked),
        PickOutcome::WaitForPicker | PickOutcome::WaitForStream(..) | PickOutcome::Failed(_) => {
            None
        }
    }
}

/// The connection of an attempt. Waits while none is ready, and with `wait_for_ready` also while
/// none can be made. `start` starts the channel's task if there is none.
///
/// Cancel-safe.
pub(in crate::client::call) async fn pick(
    channel: &ChannelState,
    call: &PickInfo<'_>,
    wait_for_ready: bool,
    recorder: &WaitRecorder,
    start: impl Fn() -> Result<(), Status>,
) -> Result<Picked, AttemptFailure> {
    let losses = channel.task.losses();
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
        match try_pick(channel, call) {
            PickOutcome::Picked(picked) => return Ok(picked),
            PickOutcome::WaitForPicker => wait_for_picker(channel, changed, recorder).await,
            PickOutcome::WaitForStream(subconn, queue, callback, metadata) => {
                let stream = pin!(wait_for_stream(channel, &subconn, &queue, changed));
                let reason = || {
                    let server = subconn.address().clone();
                    Some(WaitReason::Stream { server })
                };
                match recorder.during(stream, reason).await {
                    Some(permit) => {
                        return Ok(Picked {
                            permit,
                            callback,
                            metadata,
                        });
                    }
                    None => drop(callback),
                }
            }
            PickOutcome::Failed(failure) if wait_for_ready && !failure.is_final => {
                wait_for_picker(channel, changed, recorder).await;
            }
            PickOutcome::Failed(failure) => return Err(failure),
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

async fn wait_for_picker(
    channel: &ChannelState,
    changed: Pin<&mut Notified<'_>>,
    recorder: &WaitRecorder,
) {
    let reason = || Some(WaitReason::Connection(channel.unconnected()));
    recorder.during(changed, reason).await;
}

/// A stream of a subchannel that has none left; `None` when there is another picker before.
async fn wait_for_stream(
    channel: &ChannelState,
    subconn: &SubConn,
    queue: &Arc<StreamQueue>,
    mut changed: Pin<&mut Notified<'_>>,
) -> Option<StreamPermit> {
    let waiting = queue.join();
    let _counted = channel.calls.wait_for_stream();
    loop {
        let mut told = pin!(waiting.changed());
        told.as_mut().enable();
        match Connections::offer_to_first(subconn) {
            Offer::Permit(permit) => return Some(permit),
            Offer::NotConnected => return None,
            Offer::Wait(_) => {}
        }
        if let Either::First(()) = select_biased(changed.as_mut(), told).await {
            return None;
        }
    }
}

/// Asks the present picker.
fn try_pick(channel: &ChannelState, call: &PickInfo<'_>) -> PickOutcome {
    let failed = |status: Status, is_final| {
        PickOutcome::Failed(AttemptFailure {
            is_final,
            ..AttemptFailure::passing_here(status.into_control_plane_failure())
        })
    };
    channel.picker.pick(call, |result| match result {
        PickResult::Pick(pick) => {
            let metadata = pick.metadata;
            let callback = PickerCallback::new(pick.on_done);
            match Connections::offer(pick.subconn) {
                Offer::Permit(permit) => PickOutcome::Picked(Picked {
                    permit,
                    callback,
                    metadata,
                }),
                Offer::Wait(queue) => {
                    let subconn = pick.subconn.clone();
                    PickOutcome::WaitForStream(subconn, queue, callback, metadata)
                }
                // The connection was lost a moment ago: there will be another picker.
                Offer::NotConnected => PickOutcome::WaitForPicker,
            }
        }
        PickResult::Queue => PickOutcome::WaitForPicker,
        PickResult::Fail(status) => failed(status.with_origin(Origin::Connection), false),
        PickResult::Drop(status) => failed(status, true),
    })
}

/// The callback of a picker for the end of an attempt.
///
/// Called once, also when the attempt was not sent. It is users' code: no lock is held while it
/// runs, and a panic of it is logged and ends nothing else.
pub(in crate::client::call) struct PickerCallback(Option<OnDone>);

impl PickerCallback {
    pub(in crate::client::call) fn new(on_done: Option<OnDone>) -> Self {
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
}

impl Drop for PickerCallback {
    fn drop(&mut self) {
        if let Some(on_done) = self.0.take() {
            let status = Status::cancelled("the call was not sent there");
            run(
                on_done,
                &DoneInfo::new(Some(&status), None).with_bytes(false, false),
            );
        }
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
