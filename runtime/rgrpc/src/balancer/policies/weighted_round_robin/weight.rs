//! The weight of an endpoint: its formula, the cell that calls write, and its history.
//!
//! [`LatestWeight`] is written on the tasks of calls; the policy reads it and owns
//! [`WeightHistory`], on the channel's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::balancer::LoadReport;

/// The weight of an endpoint: the number of calls per second that it could serve at full
/// utilization, by its report. More than 0. `None` if the report has no utilization or no calls.
///
/// ```text
///                            calls a second
///   weight = ─────────────────────────────────────────────────
///             utilization + failures ÷ calls × error penalty
/// ```
///
/// The utilization is the application's, if it reports one, otherwise the CPU's.
pub(super) fn weight(report: &LoadReport, error_utilization_penalty: f64) -> Option<f64> {
    let calls = report.rps_fractional;
    let utilization = if report.application_utilization > 0.0 {
        report.application_utilization
    } else {
        report.cpu_utilization
    };
    if !(utilization > 0.0 && calls > 0.0) {
        return None;
    }
    let failures = report.eps.max(0.0) / calls;
    let weight = calls / (utilization + failures * error_utilization_penalty.max(0.0));
    (weight.is_finite() && weight > 0.0).then_some(weight)
}

/// The weight from an endpoint's last report, shared between picker and policy. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct LatestWeight(Arc<AtomicU64>);

impl LatestWeight {
    /// No report. The bits of 0.0, which is not a weight.
    const NONE: u64 = 0;

    pub(super) fn set(&self, weight: f64) {
        self.0.store(weight.to_bits(), Ordering::Relaxed);
    }

    /// Returns the weight of the last report since the last call of this method.
    pub(super) fn take(&self) -> Option<f64> {
        match self.0.swap(Self::NONE, Ordering::Relaxed) {
            Self::NONE => None,
            bits => Some(f64::from_bits(bits)),
        }
    }
}

/// The weight of an endpoint since it was connected, with the times of its reports.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WeightHistory(Option<Reported>);

/// The last weight, and the times of the first and the last report.
#[derive(Clone, Copy, Debug)]
struct Reported {
    weight: f64,
    first: Instant,
    last: Instant,
}

impl WeightHistory {
    pub(super) fn report(&mut self, weight: f64, now: Instant) {
        let first = self.0.map_or(now, |reported| reported.first);
        self.0 = Some(Reported {
            weight,
            first,
            last: now,
        });
    }

    /// The weight, if the last report is less than `expiration` ago and the first at least
    /// `blackout` ago. An expired weight is removed, so that the next one has a blackout again.
    pub(super) fn weight(
        &mut self,
        now: Instant,
        blackout: Duration,
        expiration: Duration,
    ) -> Option<f64> {
        let Reported {
            weight,
            first,
            last,
        } = self.0?;
        if now.saturating_duration_since(last) >= expiration {
            self.0 = None;
            return None;
        }
        (now.saturating_duration_since(first) >= blackout).then_some(weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_is_calls_divided_by_utilization_and_failures() {
        for ([application, cpu, calls, failures], penalty, expected) in [
            ([0.0, 0.5, 100.0, 0.0], 1.0, Some(200.0)),
            ([0.25, 0.5, 100.0, 0.0], 1.0, Some(400.0)),
            // The utilization is more than 1.
            ([0.0, 2.0, 100.0, 0.0], 1.0, Some(50.0)),
            ([0.0, 0.5, 100.0, 50.0], 1.0, Some(100.0)),
            ([0.0, 0.5, 100.0, 50.0], 0.0, Some(200.0)),
            ([0.0, 0.5, 100.0, 50.0], 3.0, Some(50.0)),
            // Reports without a weight.
            ([0.0, 0.0, 100.0, 0.0], 1.0, None),
            ([0.0, 0.5, 0.0, 0.0], 1.0, None),
            ([0.0, 0.0, 100.0, 50.0], 1.0, None),
            // Invalid reports.
            ([-1.0, 0.5, 100.0, 0.0], 1.0, Some(200.0)),
            ([0.0, -0.5, 100.0, 0.0], 1.0, None),
            ([0.0, 0.5, 100.0, -50.0], 1.0, Some(200.0)),
            ([f64::NAN, 0.5, 100.0, 0.0], 1.0, Some(200.0)),
            ([0.0, f64::NAN, 100.0, 0.0], 1.0, None),
            ([0.0, 0.5, f64::INFINITY, 0.0], 1.0, None),
            ([f64::INFINITY, 0.0, 100.0, 0.0], 1.0, None),
        ] {
            let report = LoadReport {
                application_utilization: application,
                cpu_utilization: cpu,
                rps_fractional: calls,
                eps: failures,
                ..LoadReport::default()
            };
            assert_eq!(weight(&report, penalty), expected, "{report:?}");
        }
    }

    #[test]
    fn the_last_of_several_reports_is_returned_once() {
        let latest = LatestWeight::default();
        assert_eq!(latest.take(), None);
        latest.set(1.0);
        latest.clone().set(2.0);
        assert_eq!(latest.take(), Some(2.0));
        assert_eq!(latest.take(), None);
    }

    #[test]
    fn a_weight_is_used_between_blackout_and_expiration() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let weight = |history: &mut WeightHistory, seconds| {
            let (blackout, expiration) = (Duration::from_secs(10), Duration::from_secs(60));
            history.weight(at(seconds), blackout, expiration)
        };
        let mut history = WeightHistory::default();
        assert_eq!(weight(&mut history, 0), None);
        history.report(1.0, at(0));
        assert_eq!(weight(&mut history, 9), None);
        assert_eq!(weight(&mut history, 10), Some(1.0));
        history.report(2.0, at(20));
        assert_eq!(weight(&mut history, 20), Some(2.0));
        assert_eq!(weight(&mut history, 79), Some(2.0));
        assert_eq!(weight(&mut history, 80), None);
        history.report(3.0, at(90));
        assert_eq!(weight(&mut history, 99), None, "it has a new blackout");
        assert_eq!(weight(&mut history, 100), Some(3.0));
    }

    #[test]
    fn without_a_blackout_the_first_report_counts() {
        let now = Instant::now();
        let mut history = WeightHistory::default();
        history.report(1.0, now);
        let weight = history.weight(now, Duration::ZERO, Duration::from_secs(1));
        assert_eq!(weight, Some(1.0));
    }
}
