//! The picker, whose scheduler is replaced while calls use it.
//!
//! Calls pick on their own tasks, without a lock; the policy replaces the scheduler, on the
//! channel's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::scheduler::Scheduler;
use super::weight::{LatestWeight, weight};
use crate::balancer::{PickInfo, PickResult, Picker};

/// A picker with a scheduler, which the policy replaces when weights change.
pub(super) struct WeightedPicker {
    endpoints: Vec<(Arc<dyn Picker>, LatestWeight)>,
    /// The error penalty for the reports of calls. `None` if backends report out of band.
    call_reports: Option<f64>,
    scheduler: ArcSwap<Scheduler>,
    next_number: AtomicU64,
}

impl WeightedPicker {
    /// Creates a picker. `start`, in [0, 1), chooses the first number.
    pub(super) fn new(
        endpoints: Vec<(Arc<dyn Picker>, LatestWeight)>,
        call_reports: Option<f64>,
        scheduler: Scheduler,
        start: f64,
    ) -> Self {
        Self {
            endpoints,
            call_reports,
            scheduler: ArcSwap::from_pointee(scheduler),
            // The conversion rounds down, and leaves enough numbers.
            next_number: AtomicU64::new((start * f64::from(u32::MAX)) as u64),
        }
    }

    /// Replaces the scheduler, for the same endpoints in the same order.
    pub(super) fn set_scheduler(&self, scheduler: Scheduler) {
        self.scheduler.store(Arc::new(scheduler));
    }
}

impl Picker for WeightedPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        let next = || self.next_number.fetch_add(1, Ordering::Relaxed);
        let turn = self.scheduler.load().pick(next);
        let Some((picker, latest)) = turn.and_then(|index| self.endpoints.get(index)) else {
            return PickResult::Queue;
        };
        match (picker.pick(call), self.call_reports) {
            (PickResult::Pick(pick), Some(penalty)) => {
                let latest = latest.clone();
                PickResult::Pick(pick.on_done(move |outcome| {
                    let report = outcome.load_report;
                    if let Some(weight) = report.and_then(|report| weight(report, penalty)) {
                        latest.set(weight);
                    }
                }))
            }
            (other, _) => other,
        }
    }
}
