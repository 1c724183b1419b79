//! `rpc_soak` and `channel_soak`: large unary calls, many times over, with a budget of failures.
//!
//! Called by [`crate::client`]. Each worker is a task that makes its share of the calls, one after
//! the other.
//!
//! Source: gRPC's `doc/interop-test-descriptions.md`; grpc-go `interop/soak_tests.go`.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use rgrpc::{BuildError, Invoke};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::case::{Failure, OrFailure, expect_payload};
use crate::payload::simple_request;
use crate::proto::TestServiceClient;

/// The options of a soak: the `--soak_*` flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The number of calls, of all workers together.
    pub iterations: u32,
    /// The maximum number of calls that fail or take too long.
    pub max_failures: u32,
    /// A call that takes longer than this has failed.
    pub max_latency: Duration,
    /// The timeout of the whole soak.
    pub overall_timeout: Duration,
    /// The shortest time from one call's start to the next's, on one worker.
    pub min_time_between_calls: Duration,
    /// The size of a request's payload, in bytes.
    pub request_size: usize,
    /// The size of a response's payload, in bytes.
    pub response_size: i32,
    /// The number of workers.
    pub workers: u32,
}

impl Default for Options {
    /// The defaults of grpc-go's client.
    fn default() -> Self {
        Self {
            iterations: 10,
            max_failures: 0,
            max_latency: Duration::from_millis(1_000),
            overall_timeout: Duration::from_secs(10),
            min_time_between_calls: Duration::ZERO,
            request_size: 271_828,
            response_size: 314_159,
            workers: 1,
        }
    }
}

/// The report of a soak, or of a worker's share of it.
#[derive(Debug, Default)]
pub struct Report {
    /// The latency of each successful call.
    pub latencies: Vec<Duration>,
    /// Why the others failed.
    pub failures: Vec<String>,
}

/// Why a soak failed.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SoakError {
    /// The number of calls is not a multiple of the number of workers.
    Uneven,
    /// The time was up before all calls were made.
    TimedOut {
        /// The number of calls made.
        made: usize,
        /// The required number of calls.
        wanted: u32,
    },
    /// More calls failed than may fail.
    Failed {
        /// Why each of them did.
        failures: Vec<String>,
        /// The maximum number of failures.
        allowed: u32,
    },
}

/// Makes the calls, each on what `channel` returns.
///
/// # Errors
/// The reason why the soak failed.
pub async fn run<I, F>(options: &Options, channel: F) -> Result<Report, SoakError>
where
    I: Invoke + 'static,
    F: Fn() -> Result<I, BuildError> + Clone + Send + 'static,
{
    let share = options
        .iterations
        .checked_div(options.workers)
        .filter(|share| share * options.workers == options.iterations)
        .ok_or(SoakError::Uneven)?;
    let end = Instant::now() + options.overall_timeout;
    let workers: JoinSet<Report> = (0..options.workers)
        .map(|_| work(options.clone(), share, end, channel.clone()))
        .collect();
    let mut report = Report::default();
    for part in workers.join_all().await {
        report.latencies.extend(part.latencies);
        report.failures.extend(part.failures);
    }
    report.judge(options)
}

/// One worker: its share of the calls, as far as the time allows.
async fn work<I: Invoke>(
    options: Options,
    share: u32,
    end: Instant,
    channel: impl Fn() -> Result<I, BuildError> + Send,
) -> Report {
    let mut report = Report::default();
    for _ in 0..share {
        let start = Instant::now();
        if start >= end {
            break;
        }
        let outcome = match channel() {
            Ok(channel) => call(&options, end, channel)
                .await
                .map_err(|failure| failure.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(()) => report.add(start.elapsed(), options.max_latency),
            Err(failure) => report.failures.push(failure),
        }
        sleep_until(start + options.min_time_between_calls).await;
    }
    report
}

async fn call<I: Invoke>(options: &Options, end: Instant, channel: I) -> Result<(), Failure> {
    let request = simple_request(options.request_size, options.response_size);
    let response = TestServiceClient::new(channel)
        .unary_call(request)
        .deadline(end)
        .await
        .or_failure("UnaryCall")?;
    let payload = response.message().payload.as_ref();
    expect_payload("UnaryCall", payload, options.response_size)
}

impl Report {
    /// A call that ended well, though perhaps too late.
    fn add(&mut self, latency: Duration, max: Duration) {
        if latency > max {
            self.failures
                .push(format!("took {latency:?}, longer than {max:?}"));
        } else {
            self.latencies.push(latency);
        }
    }

    fn judge(self, options: &Options) -> Result<Self, SoakError> {
        let made = self.latencies.len() + self.failures.len();
        if made < options.iterations as usize {
            Err(SoakError::TimedOut {
                made,
                wanted: options.iterations,
            })
        } else if self.failures.len() > options.max_failures as usize {
            Err(SoakError::Failed {
                failures: self.failures,
                allowed: options.max_failures,
            })
        } else {
            Ok(self)
        }
    }

    /// The latency that this part of the calls, in percent, did not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls succeeded, {} failed; latency p50 {:?}, p90 {:?}, max {:?}",
            self.latencies.len(),
            self.failures.len(),
            self.percentile(50),
            self.percentile(90),
            self.percentile(100),
        )
    }
}

impl fmt::Display for SoakError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uneven => {
                f.write_str("--soak_iterations is not a multiple of --soak_num_threads")
            }
            Self::TimedOut { made, wanted } => write!(
                f,
                "only {made} of {wanted} calls were made before --soak_overall_timeout_seconds"
            ),
            Self::Failed { failures, allowed } => write!(
                f,
                "{} calls failed, {allowed} may: {}",
                failures.len(),
                failures.join("; ")
            ),
        }
    }
}

impl Error for SoakError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(latencies: &[u64], failures: u32) -> Report {
        Report {
            latencies: latencies
                .iter()
                .copied()
                .map(Duration::from_millis)
                .collect(),
            failures: (0..failures).map(|n| format!("failure {n}")).collect(),
        }
    }

    #[test]
    fn a_soak_fails_when_calls_are_missing_or_too_many_failed() {
        let options = Options {
            iterations: 4,
            max_failures: 1,
            ..Options::default()
        };
        for (latencies, failures, passes) in [
            (&[1, 1, 1, 1][..], 0, true),
            (&[1, 1, 1], 1, true),
            (&[1, 1], 2, false),
            (&[1, 1, 1], 0, false),
            (&[1, 1], 1, false),
        ] {
            let judged = report(latencies, failures).judge(&options);
            assert_eq!(
                judged.is_ok(),
                passes,
                "{latencies:?}, {failures}: {judged:?}"
            );
        }
    }

    #[test]
    fn a_call_that_takes_too_long_has_failed() {
        let mut report = Report::default();
        let max = Duration::from_millis(2);
        report.add(max, max);
        report.add(max + Duration::from_nanos(1), max);
        assert_eq!((report.latencies.len(), report.failures.len()), (1, 1));
    }

    #[test]
    fn a_percentile_is_the_latency_at_its_rank() {
        let report = report(&[40, 10, 30, 20], 0);
        for (percent, want) in [(0, 10), (25, 10), (50, 20), (51, 30), (90, 40), (100, 40)] {
            let want = Duration::from_millis(want);
            assert_eq!(report.percentile(percent), want, "{percent}");
        }
        assert_eq!(Report::default().percentile(50), Duration::ZERO);
    }
}
