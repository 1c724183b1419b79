//! The picker, and the counters of outstanding calls that it compares.
//!
//! Created by the policy, on the channel's task; calls pick on their own tasks, and count as
//! outstanding until their attempt ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::balancer::{PickInfo, PickResult, Picker};

/// The number of outstanding calls of an endpoint. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct OutstandingCalls(Arc<AtomicUsize>);

/// An outstanding call, which counts until it is dropped.
struct OutstandingCall(Arc<AtomicUsize>);

impl OutstandingCalls {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn begin(&self) -> OutstandingCall {
        self.0.fetch_add(1, Ordering::Relaxed);
        OutstandingCall(Arc::clone(&self.0))
    }
}

impl Drop for OutstandingCall {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A picker that draws some endpoints, and picks the one with the fewest outstanding calls.
///
/// Two simultaneous calls can read the same counts and pick the same endpoint (gRFC A48,
/// "Outstanding request counter raciness").
pub(super) struct LeastRequestPicker {
    choice_count: u32,
    endpoints: Vec<(Arc<dyn Picker>, OutstandingCalls)>,
}

impl LeastRequestPicker {
    pub(super) fn new(
        choice_count: u32,
        endpoints: Vec<(Arc<dyn Picker>, OutstandingCalls)>,
    ) -> Self {
        Self {
            choice_count,
            endpoints,
        }
    }
}

impl Picker for LeastRequestPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let drawn = (0..self.choice_count).filter_map(|_| fastrand::choice(&self.endpoints));
        // The first of several endpoints with the same count.
        let Some((picker, calls)) = drawn.min_by_key(|(_, calls)| calls.count()) else {
            return PickResult::Queue;
        };
        match picker.pick(call) {
            PickResult::Pick(pick) => {
                let call = calls.begin();
                PickResult::Pick(pick.on_done(move |_| drop(call)))
            }
            other => other,
        }
    }
}
