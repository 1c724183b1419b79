//! The figures of a report that tables show.

use crate::report::Report;

/// A figure, and how a table names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    pub(super) title: &'static str,
    pub(super) of: fn(&Report) -> f64,
}

pub(super) const SERVER_CPU: Figure = Figure {
    title: "CPU of the server for each call, µs",
    of: server_cpu,
};

pub(super) const CLIENT_CPU: Figure = Figure {
    title: "CPU of the client for each call, µs",
    of: |report| report.cpu_us_per_call,
};

pub(super) const CALLS: Figure = Figure {
    title: "Calls a second",
    of: |report| report.calls_per_s,
};

pub(super) const P50: Figure = Figure {
    title: "Latency p50, µs",
    of: |report| report.p50_us,
};

pub(super) const P99: Figure = Figure {
    title: "Latency p99, µs",
    of: |report| report.p99_us,
};

pub(super) const P99_TO_P50: Figure = Figure {
    title: "Latency p99 ÷ p50",
    of: |report| report.p99_us / report.p50_us,
};

fn server_cpu(report: &Report) -> f64 {
    report.server_cpu_us_per_call.unwrap_or(f64::NAN)
}
