//! The attempts to connect, as a state machine without a clock and without subchannels.
//!
//! Owned and driven by [`PickFirst`](super::PickFirst) while it connects, on the channel's task.

use std::time::Duration;

use tokio::time::Instant;

use crate::status::Status;

/// The delay between the start of an attempt and the start of the next one beside it (RFC 8305,
/// section 5).
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The attempts to connect to a list of addresses until one is READY. Decides which address to
/// connect to, and when all have failed. An address is an index into the list.
///
/// The first pass tries the addresses in order, with Happy Eyeballs: the next attempt begins when
/// the present one fails, or 250 ms after it has begun. When each address has failed once, all are
/// retried without end, each after its backoff.
///
/// Source: gRFC A61, "Happy Eyeballs in the pick_first LB Policy".
#[derive(Debug)]
pub(super) struct AddressAttempts {
    /// The state of each address.
    attempts: Vec<AddressAttempt>,
    phase: PassPhase,
}

/// The attempts to connect to one address.
#[derive(Debug)]
struct AddressAttempt {
    state: ConnectState,
    /// The address has failed in this pass, or was in backoff when its turn came.
    has_failed: bool,
}

/// The state of a connection that is not READY.
#[derive(Clone, Debug)]
pub(super) enum ConnectState {
    Idle,
    Connecting,
    /// The last attempt has failed with this status, and its backoff is not over.
    BackingOff(Status),
}

/// The phase of the attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassPhase {
    /// The first pass through the list.
    Pass {
        /// The last address that was begun. The length of the list if no address is left to wait
        /// for.
        current: usize,
        /// The time of the next attempt. `None` if there is no next address.
        next_at: Option<Instant>,
    },
    /// All addresses have failed, and are retried.
    Repeating {
        /// The number of failed attempts since the last reported failure.
        failures: usize,
    },
}

/// The actions that follow from an event.
#[derive(Debug, Default)]
pub(super) struct ConnectStep {
    /// The addresses to connect to.
    pub(super) connect: Vec<usize>,
    /// The failure to report: the last one, when all addresses have failed. Reported again each
    /// time as many attempts have failed as there are addresses.
    pub(super) failure: Option<Status>,
}

impl AddressAttempts {
    /// Begins a pass over addresses in these states. There must be at least one.
    pub(super) fn begin(
        states: impl IntoIterator<Item = ConnectState>,
        now: Instant,
    ) -> (Self, ConnectStep) {
        let attempts = states.into_iter().map(|state| AddressAttempt {
            state,
            has_failed: false,
        });
        let mut attempts = Self {
            attempts: attempts.collect(),
            phase: PassPhase::Repeating { failures: 0 },
        };
        let step = attempts.begin_at(0, None, now);
        (attempts, step)
    }

    /// Returns true if the address is connecting.
    pub(super) fn is_connecting(&self, index: usize) -> bool {
        matches!(self.attempts[index].state, ConnectState::Connecting)
    }

    /// Converts to the state of each address.
    pub(super) fn into_states(self) -> impl Iterator<Item = ConnectState> {
        self.attempts.into_iter().map(|attempt| attempt.state)
    }

    /// Records that an address is connecting.
    pub(super) fn connecting(&mut self, index: usize) {
        self.attempts[index].state = ConnectState::Connecting;
    }

    /// Records a failed attempt.
    pub(super) fn failed(&mut self, index: usize, status: Status, now: Instant) -> ConnectStep {
        let attempt = &mut self.attempts[index];
        attempt.state = ConnectState::BackingOff(status.clone());
        attempt.has_failed = true;
        let count = self.attempts.len();
        match &mut self.phase {
            // Earlier attempts may fail later. The pass waits only for the last one that was begun.
            PassPhase::Pass { current, .. } if *current == index => {
                self.begin_at(index + 1, Some(status), now)
            }
            PassPhase::Pass { .. } => self.end_pass(status),
            PassPhase::Repeating { failures } => {
                *failures += 1;
                let all = *failures >= count;
                if all {
                    *failures = 0;
                }
                ConnectStep {
                    connect: Vec::new(),
                    failure: all.then_some(status),
                }
            }
        }
    }

    /// Records the end of an address's backoff. Its turn may be over, or still to come.
    pub(super) fn idle(&mut self, index: usize) -> ConnectStep {
        self.attempts[index].state = ConnectState::Idle;
        match self.phase {
            PassPhase::Pass { .. } => ConnectStep::default(),
            PassPhase::Repeating { .. } => self.connect(index),
        }
    }

    /// The time of the next [`wake`](Self::wake).
    pub(super) fn wake_at(&self) -> Option<Instant> {
        match self.phase {
            PassPhase::Pass { next_at, .. } => next_at,
            PassPhase::Repeating { .. } => None,
        }
    }

    /// Begins the next attempt, if its time has come.
    pub(super) fn wake(&mut self, now: Instant) -> ConnectStep {
        match self.phase {
            PassPhase::Pass {
                current,
                next_at: Some(next_at),
            } if next_at <= now => self.begin_at(current + 1, None, now),
            _ => ConnectStep::default(),
        }
    }

    /// Begins the next attempt at or after this index. `failure` is the failure of the attempt
    /// before, if it has failed.
    fn begin_at(&mut self, start: usize, mut failure: Option<Status>, now: Instant) -> ConnectStep {
        for index in start..self.attempts.len() {
            let attempt = &mut self.attempts[index];
            let step = match &attempt.state {
                ConnectState::BackingOff(status) => {
                    attempt.has_failed = true;
                    failure = Some(status.clone());
                    continue;
                }
                ConnectState::Idle => {
                    // It may have failed in an attempt of an earlier pass, before its turn.
                    attempt.has_failed = false;
                    self.connect(index)
                }
                ConnectState::Connecting => ConnectStep::default(),
            };
            let has_next = index + 1 < self.attempts.len();
            self.phase = PassPhase::Pass {
                current: index,
                next_at: has_next.then(|| now + ATTEMPT_DELAY),
            };
            return step;
        }
        self.phase = PassPhase::Pass {
            current: self.attempts.len(),
            next_at: None,
        };
        match failure {
            Some(status) => self.end_pass(status),
            None => ConnectStep::default(),
        }
    }

    /// Ends the pass if each address has failed. `status` is the last failure.
    fn end_pass(&mut self, status: Status) -> ConnectStep {
        if !self.attempts.iter().all(|attempt| attempt.has_failed) {
            return ConnectStep::default();
        }
        self.phase = PassPhase::Repeating { failures: 0 };
        let mut connect = Vec::new();
        for (index, attempt) in self.attempts.iter_mut().enumerate() {
            if let ConnectState::Idle = attempt.state {
                attempt.state = ConnectState::Connecting;
                connect.push(index);
            }
        }
        ConnectStep {
            connect,
            failure: Some(status),
        }
    }

    fn connect(&mut self, index: usize) -> ConnectStep {
        self.attempts[index].state = ConnectState::Connecting;
        ConnectStep {
            connect: vec![index],
            failure: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Status {
        Status::unavailable(text.to_owned())
    }

    /// Begins attempts at `count` idle addresses.
    fn begin(count: usize, now: Instant) -> (AddressAttempts, ConnectStep) {
        AddressAttempts::begin(vec![ConnectState::Idle; count], now)
    }

    /// Asserts the actions of a step.
    #[track_caller]
    fn assert_step(step: &ConnectStep, connect: &[usize], failure: Option<&str>) {
        assert_eq!(step.connect, connect);
        assert_eq!(step.failure.as_ref().map(Status::message), failure);
    }

    #[test]
    fn the_next_attempt_begins_after_a_failure_or_after_250_ms() {
        let start = Instant::now();
        let (mut attempts, step) = begin(4, start);
        assert_step(&step, &[0], None);
        assert_eq!(attempts.wake_at(), Some(start + ATTEMPT_DELAY));
        let now = start + Duration::from_millis(100);
        assert_step(&attempts.failed(0, status("a"), now), &[1], None);
        assert_eq!(attempts.wake_at(), Some(now + ATTEMPT_DELAY));
        assert_step(&attempts.wake(start + ATTEMPT_DELAY), &[], None);
        let now = now + ATTEMPT_DELAY;
        assert_step(&attempts.wake(now), &[2], None);
        // An earlier attempt fails. No attempt begins.
        assert_step(&attempts.failed(1, status("b"), now), &[], None);
        assert_eq!(attempts.wake_at(), Some(now + ATTEMPT_DELAY));
        assert_step(&attempts.wake(now + ATTEMPT_DELAY), &[3], None);
        assert_eq!(attempts.wake_at(), None, "there is no next address");
    }

    #[test]
    fn the_pass_ends_when_each_address_has_failed_in_any_order() {
        let now = Instant::now();
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let (mut attempts, _) = begin(3, now);
            attempts.wake(now + ATTEMPT_DELAY);
            attempts.wake(now + 2 * ATTEMPT_DELAY);
            assert_step(&attempts.failed(order[0], status("a"), now), &[], None);
            assert_step(&attempts.failed(order[1], status("b"), now), &[], None);
            assert_step(&attempts.failed(order[2], status("c"), now), &[], Some("c"));
        }
    }

    #[test]
    fn after_the_pass_each_address_is_retried_after_its_backoff() {
        let now = Instant::now();
        let (mut attempts, _) = begin(2, now);
        attempts.failed(0, status("a"), now);
        assert_step(&attempts.idle(0), &[], None);
        assert_step(&attempts.failed(1, status("b"), now), &[0], Some("b"));
        assert_step(&attempts.idle(1), &[1], None);
        assert_eq!(attempts.wake_at(), None);
    }

    #[test]
    fn after_the_pass_a_failure_is_reported_once_per_number_of_addresses() {
        let now = Instant::now();
        let (mut attempts, _) = begin(3, now);
        for index in 0..3 {
            attempts.failed(index, status("first"), now);
        }
        for round in 0..3 {
            for (index, text, reported) in [(0, "a", None), (0, "b", None), (2, "c", Some("c"))] {
                assert_step(&attempts.idle(index), &[index], None);
                let step = attempts.failed(index, status(text), now);
                assert_step(&step, &[], reported);
            }
            assert!(!attempts.is_connecting(1), "round {round}: it backs off");
        }
    }

    #[test]
    fn a_pass_depends_on_the_states_of_its_addresses() {
        use ConnectState::{BackingOff, Connecting, Idle};
        let failed = || BackingOff(status("before"));
        let now = Instant::now();
        for (states, connect, waits, failure) in [
            (vec![Idle, Idle], vec![0], true, None),
            (vec![Idle], vec![0], false, None),
            // The pass waits for it, as if it had begun now.
            (vec![Connecting, Idle], vec![], true, None),
            (vec![Connecting], vec![], false, None),
            // The pass skips it.
            (vec![failed(), Idle, Idle], vec![1], true, None),
            (vec![failed(), Idle], vec![1], false, None),
            (vec![failed(), Connecting], vec![], false, None),
            (vec![failed(), failed()], vec![], false, Some("before")),
        ] {
            let what = format!("{states:?}");
            let (attempts, step) = AddressAttempts::begin(states, now);
            assert_eq!(step.connect, connect, "{what}");
            assert_eq!(
                step.failure.as_ref().map(Status::message),
                failure,
                "{what}"
            );
            assert_eq!(attempts.wake_at().is_some(), waits, "{what}");
        }
    }

    #[test]
    fn an_address_that_failed_before_its_turn_is_tried_again_at_its_turn() {
        let now = Instant::now();
        let states = [ConnectState::Idle, ConnectState::Connecting];
        let (mut attempts, step) = AddressAttempts::begin(states, now);
        assert_step(&step, &[0], None);
        assert_step(&attempts.failed(1, status("early"), now), &[], None);
        assert_step(&attempts.idle(1), &[], None);
        // The pass is not over. It waits for the second attempt at this address.
        assert_step(&attempts.failed(0, status("a"), now), &[1], None);
        assert_step(&attempts.failed(1, status("late"), now), &[], Some("late"));
    }

    /// Simulates random failures and ends of backoffs, and asserts progress.
    #[test]
    fn there_is_always_an_attempt_under_way_or_a_backoff_to_wait_for() {
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let count = random.usize(1..6);
            let states: Vec<_> = (0..count)
                .map(|_| match random.u8(..3) {
                    0 => ConnectState::Idle,
                    1 => ConnectState::Connecting,
                    _ => ConnectState::BackingOff(status("before")),
                })
                .collect();
            let mut now = Instant::now();
            let (mut attempts, mut step) = AddressAttempts::begin(states, now);
            let mut reported = step.failure.is_some();
            for _ in 0..100 {
                for index in &step.connect {
                    assert!(attempts.is_connecting(*index), "seed {seed}");
                }
                let idle = attempts
                    .attempts
                    .iter()
                    .filter(|attempt| matches!(attempt.state, ConnectState::Idle))
                    .count();
                let connecting = (0..count).filter(|index| attempts.is_connecting(*index));
                match attempts.phase {
                    PassPhase::Pass { .. } => assert!(connecting.count() > 0, "seed {seed}"),
                    PassPhase::Repeating { .. } => assert_eq!(idle, 0, "seed {seed}"),
                }
                now += Duration::from_millis(random.u64(..200));
                let index = random.usize(..count);
                step = match &attempts.attempts[index].state {
                    ConnectState::Idle => attempts.wake(now),
                    ConnectState::Connecting => attempts.failed(index, status("later"), now),
                    ConnectState::BackingOff(_) => attempts.idle(index),
                };
                reported |= step.failure.is_some();
            }
            assert!(reported, "seed {seed}: each has failed by now");
        }
    }
}
