//! The report of a client's measurements: the last line of its output, which the driver reads.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::cpu::CpuClock;
use crate::latency::Latencies;

/// The figures of one run. A call is a unary call, a round trip on a stream, or a message pushed.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Report {
    /// Calls within the window.
    pub calls: u64,
    /// Calls a second.
    pub calls_per_s: f64,
    /// Half of the calls took no longer, in microseconds. With pushed messages this and the
    /// following are of whole streams.
    pub p50_us: f64,
    /// 99 % took no longer.
    pub p99_us: f64,
    /// 99.9 % took no longer.
    pub p999_us: f64,
    /// CPU time of the client for each call.
    pub cpu_us_per_call: f64,
    /// CPU time of the server for each call, when the client was told the server's process.
    pub server_cpu_us_per_call: Option<f64>,
}

impl Report {
    /// Reads the last line of a client's output.
    ///
    /// # Errors
    /// It is no report.
    pub fn from_output(output: &str) -> Result<Self> {
        let line = output.lines().last().unwrap_or_default();
        serde_json::from_str(line).with_context(|| format!("{line:?} is no report"))
    }

    /// The report as one line of JSON.
    ///
    /// # Errors
    /// A figure is not finite.
    pub fn to_line(&self) -> Result<String> {
        serde_json::to_string(self).context("writing the report")
    }
}

/// The time in which calls count, with the CPU clocks at its begin.
#[derive(Debug)]
pub struct Window {
    begun: Instant,
    own: Started,
    server: Option<Started>,
}

impl Window {
    /// Begins now.
    ///
    /// # Errors
    /// The server's process has ended.
    pub fn begin(server: Option<CpuClock>) -> Result<Self> {
        Ok(Self {
            own: Started::now(CpuClock::own())?,
            server: server.map(Started::now).transpose()?,
            begun: Instant::now(),
        })
    }

    /// Ends now, with these calls in it.
    ///
    /// # Errors
    /// There were no calls, or the server's process has ended.
    #[allow(clippy::cast_precision_loss, reason = "calls are far below 2^52")]
    pub fn end(self, latencies: &Latencies) -> Result<Report> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let own = self.own.elapsed()?;
        let server = self.server.map(Started::elapsed).transpose()?;
        let calls = latencies.calls();
        ensure!(calls > 0, "no call ended within {seconds:.1} s");
        let per_call = |time: Duration| time.as_secs_f64() * 1e6 / calls as f64;
        Ok(Report {
            calls,
            calls_per_s: calls as f64 / seconds,
            p50_us: latencies.quantile_us(0.5),
            p99_us: latencies.quantile_us(0.99),
            p999_us: latencies.quantile_us(0.999),
            cpu_us_per_call: per_call(own),
            server_cpu_us_per_call: server.map(per_call),
        })
    }
}

#[derive(Debug)]
struct Started {
    clock: CpuClock,
    at: Duration,
}

impl Started {
    fn now(clock: CpuClock) -> Result<Self> {
        Ok(Self {
            clock,
            at: clock.now()?,
        })
    }

    fn elapsed(self) -> Result<Duration> {
        Ok(self.clock.now()?.saturating_sub(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: Report = Report {
        calls: 3,
        calls_per_s: 1.5,
        p50_us: 10.0,
        p99_us: 20.0,
        p999_us: 30.0,
        cpu_us_per_call: 4.0,
        server_cpu_us_per_call: None,
    };

    #[test]
    fn the_last_line_of_the_output_is_the_report() {
        let output = format!("a word\n{}\n", REPORT.to_line().unwrap());
        assert_eq!(Report::from_output(&output).unwrap(), REPORT);
        assert!(Report::from_output("a word\n").is_err());
        assert!(Report::from_output("").is_err());
    }

    #[test]
    fn a_window_without_calls_is_an_error() {
        let latencies = Latencies::new().unwrap();
        assert!(Window::begin(None).unwrap().end(&latencies).is_err());
    }

    #[test]
    fn the_server_has_figures_when_its_clock_is_known() {
        let mut latencies = Latencies::new().unwrap();
        latencies.record(Duration::from_micros(5), 7);
        let own = CpuClock::of(std::process::id()).unwrap();
        let report = Window::begin(Some(own)).unwrap().end(&latencies).unwrap();
        assert_eq!(report.calls, 7);
        assert!(report.server_cpu_us_per_call.is_some());
    }
}
