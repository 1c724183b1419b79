//! CPU time of processes, all threads together, to the nanosecond.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// The CPU clock of a process.
#[derive(Clone, Copy, Debug)]
pub struct CpuClock(ClockId);

impl CpuClock {
    /// The clock of this process.
    #[must_use]
    pub const fn own() -> Self {
        Self(ClockId::CLOCK_PROCESS_CPUTIME_ID)
    }

    /// The clock of another process.
    ///
    /// # Errors
    /// There is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let id = i32::try_from(pid).with_context(|| format!("{pid} is no process id"))?;
        let clock = clock_getcpuclockid(Pid::from_raw(id))
            .with_context(|| format!("process {pid} has no CPU clock"))?;
        Ok(Self(clock))
    }

    /// The time that the process has run, in user and kernel.
    ///
    /// # Errors
    /// The process has ended.
    pub fn now(self) -> Result<Duration> {
        let time = clock_gettime(self.0).context("reading a CPU clock")?;
        Ok(time.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_clock_and_the_clock_of_the_own_pid_are_the_same() {
        let own = CpuClock::own().now().unwrap();
        let by_pid = CpuClock::of(std::process::id()).unwrap().now().unwrap();
        let later = CpuClock::own().now().unwrap();
        assert!(
            own <= by_pid && by_pid <= later,
            "{own:?} {by_pid:?} {later:?}"
        );
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(CpuClock::of(u32::MAX).is_err());
    }
}
