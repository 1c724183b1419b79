use std::time::Duration;

use tokio::time::Instant;

use crate::status::Status;

/// How long an attempt has to itself before the next address is tried beside it (RFC 8305,
/// section 5).
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connecting to the addresses of a list, until one of them is ready: decides which to connect to,
/// and when all have failed. Addresses are known to it by their place in the list.
///
/// First they are passed through in order, with Happy Eyeballs: the next one is tried when the
/// present one has failed, or 250 ms after it was begun. When each has failed once, all are tried
/// again and again, each when its backoff is over.
///
/// Source: gRFC A61, "Happy Eyeballs in the pick_first LB Policy".
#[derive(Debug)]
pub(super) struct Attempts {
    /// For each address.
    attempts: Vec<Attempt>,
    phase: Phase,
}

#[derive(Debug)]
struct Attempt {
    state: AttemptState,
    /// It has failed since the pass began, or had failed before and could not be tried again.
    has_failed: bool,
}

/// What a connection to an address is doing that is not ready.
#[derive(Clone, Debug)]
pub(super) enum AttemptState {
    Idle,
    Connecting,
    /// It has failed with this, and cannot be tried again yet.
    BackingOff(Status),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Going through the list.
    Pass {
        /// The last address that was begun; past the end when there is none left to wait for.
        current: usize,
        /// When the next one's turn is, if there is a next one.
        next_at: Option<Instant>,
    },
    /// Trying all addresses.
    Repeating {
        /// How many attempts have failed since the failure was last told.
        failures: usize,
    },
}

/// What is to be done next.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Connect to these.
    pub(super) connect: Vec<usize>,
    /// All addresses have failed, or about as many attempts as there are addresses have failed
    /// since this was last told: the last failure.
    pub(super) failure: Option<Status>,
}

impl Attempts {
    /// Begins a pass over addresses in these states; at least one.
    pub(super) fn begin(
        states: impl IntoIterator<Item = AttemptState>,
        now: Instant,
    ) -> (Self, Step) {
        let attempts = states.into_iter().map(|state| Attempt {
            state,
            has_failed: false,
        });
        let mut attempts = Self {
            attempts: attempts.collect(),
            phase: Phase::Repeating { failures: 0 },
        };
        let step = attempts.go_on_from(0, None, now);
        (attempts, step)
    }

    /// Whether an attempt is under way.
    pub(super) fn is_connecting(&self, index: usize) -> bool {
        matches!(self.attempts[index].state, AttemptState::Connecting)
    }

    /// What each is doing.
    pub(super) fn into_states(self) -> impl Iterator<Item = AttemptState> {
        self.attempts.into_iter().map(|attempt| attempt.state)
    }

    /// An attempt is under way.
    pub(super) fn connecting(&mut self, index: usize) {
        self.attempts[index].state = AttemptState::Connecting;
    }

    /// An attempt has failed.
    pub(super) fn failed(&mut self, index: usize, status: Status, now: Instant) -> Step {
        let attempt = &mut self.attempts[index];
        attempt.state = AttemptState::BackingOff(status.clone());
        attempt.has_failed = true;
        let count = self.attempts.len();
        match &mut self.phase {
            // Others that were begun earlier may fail later; only the last one is waited for.
            Phase::Pass { current, .. } if *current == index => {
                self.go_on_from(index + 1, Some(status), now)
            }
            Phase::Pass { .. } => self.end_pass(status),
            Phase::Repeating { failures } => {
                *failures += 1;
                let all = *failures >= count;
                if all {
                    *failures = 0;
                }
                Step {
                    connect: Vec::new(),
                    failure: all.then_some(status),
                }
            }
        }
    }

    /// An address can be tried again. Its turn may not have come, or be over.
    pub(super) fn idle(&mut self, index: usize) -> Step {
        self.attempts[index].state = AttemptState::Idle;
        match self.phase {
            Phase::Pass { .. } => Step::default(),
            Phase::Repeating { .. } => self.connect(index),
        }
    }

    /// When it wants to be [woken](Self::wake).
    pub(super) fn wake_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Pass { next_at, .. } => next_at,
            Phase::Repeating { .. } => None,
        }
    }

    /// Begins the next address if its turn has come.
    pub(super) fn wake(&mut self, now: Instant) -> Step {
        match self.phase {
            Phase::Pass {
                current,
                next_at: Some(next_at),
            } if next_at <= now => self.go_on_from(current + 1, None, now),
            _ => Step::default(),
        }
    }

    /// Begins the next attempt from this address on. `failure` is why the one before it is over, if
    /// it is.
    fn go_on_from(&mut self, start: usize, mut failure: Option<Status>, now: Instant) -> Step {
        for index in start..self.attempts.len() {
            let attempt = &mut self.attempts[index];
            let step = match &attempt.state {
                AttemptState::BackingOff(status) => {
                    attempt.has_failed = true;
                    failure = Some(status.clone());
                    continue;
                }
                AttemptState::Idle => {
                    // It may have failed out of turn, in an attempt of an earlier pass.
                    attempt.has_failed = false;
                    self.connect(index)
                }
                AttemptState::Connecting => Step::default(),
            };
            let has_next = index + 1 < self.attempts.len();
            self.phase = Phase::Pass {
                current: index,
                next_at: has_next.then(|| now + ATTEMPT_DELAY),
            };
            return step;
        }
        self.phase = Phase::Pass {
            current: self.attempts.len(),
            next_at: None,
        };
        match failure {
            Some(status) => self.end_pass(status),
            None => Step::default(),
        }
    }

    /// Ends the pass, if each address has failed; the last one with this.
    fn end_pass(&mut self, status: Status) -> Step {
        if !self.attempts.iter().all(|attempt| attempt.has_failed) {
            return Step::default();
        }
        self.phase = Phase::Repeating { failures: 0 };
        let mut connect = Vec::new();
        for (index, attempt) in self.attempts.iter_mut().enumerate() {
            if let AttemptState::Idle = attempt.state {
                attempt.state = AttemptState::Connecting;
                connect.push(index);
            }
        }
        Step {
            connect,
            failure: Some(status),
        }
    }

    fn connect(&mut self, index: usize) -> Step {
        self.attempts[index].state = AttemptState::Connecting;
        Step {
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

    /// Attempts at so many addresses that are idle, with what is done first.
    fn begin(count: usize, now: Instant) -> (Attempts, Step) {
        Attempts::begin(vec![AttemptState::Idle; count], now)
    }

    /// Asserts what is to be done: to connect to these, and to tell this failure.
    #[track_caller]
    fn assert_step(step: &Step, connect: &[usize], failure: Option<&str>) {
        assert_eq!(step.connect, connect);
        assert_eq!(step.failure.as_ref().map(Status::message), failure);
    }

    #[test]
    fn the_next_address_is_begun_when_the_present_one_fails_or_250_ms_later() {
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
        // One that was begun earlier fails: nothing is begun for it.
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
    fn after_the_pass_each_address_is_tried_when_its_backoff_is_over() {
        let now = Instant::now();
        let (mut attempts, _) = begin(2, now);
        attempts.failed(0, status("a"), now);
        assert_step(&attempts.idle(0), &[], None);
        assert_step(&attempts.failed(1, status("b"), now), &[0], Some("b"));
        assert_step(&attempts.idle(1), &[1], None);
        assert_eq!(attempts.wake_at(), None);
    }

    #[test]
    fn after_the_pass_as_many_failures_as_addresses_are_told_as_one() {
        let now = Instant::now();
        let (mut attempts, _) = begin(3, now);
        for index in 0..3 {
            attempts.failed(index, status("first"), now);
        }
        for round in 0..3 {
            for (index, text, told) in [(0, "a", None), (0, "b", None), (2, "c", Some("c"))] {
                assert_step(&attempts.idle(index), &[index], None);
                let step = attempts.failed(index, status(text), now);
                assert_step(&step, &[], told);
            }
            assert!(!attempts.is_connecting(1), "round {round}: it backs off");
        }
    }

    #[test]
    fn a_pass_takes_addresses_as_they_are() {
        use AttemptState::{BackingOff, Connecting, Idle};
        let failed = || BackingOff(status("before"));
        let now = Instant::now();
        for (states, connect, waits, failure) in [
            (vec![Idle, Idle], vec![0], true, None),
            (vec![Idle], vec![0], false, None),
            // Is waited for, as if it had been begun now.
            (vec![Connecting, Idle], vec![], true, None),
            (vec![Connecting], vec![], false, None),
            // Is passed over.
            (vec![failed(), Idle, Idle], vec![1], true, None),
            (vec![failed(), Idle], vec![1], false, None),
            (vec![failed(), Connecting], vec![], false, None),
            (vec![failed(), failed()], vec![], false, Some("before")),
        ] {
            let what = format!("{states:?}");
            let (attempts, step) = Attempts::begin(states, now);
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
    fn an_address_that_failed_out_of_turn_gets_its_turn_nevertheless() {
        let now = Instant::now();
        let states = [AttemptState::Idle, AttemptState::Connecting];
        let (mut attempts, step) = Attempts::begin(states, now);
        assert_step(&step, &[0], None);
        assert_step(&attempts.failed(1, status("early"), now), &[], None);
        assert_step(&attempts.idle(1), &[], None);
        // The pass is not over: the second attempt at it is waited for.
        assert_step(&attempts.failed(0, status("a"), now), &[1], None);
        assert_step(&attempts.failed(1, status("late"), now), &[], Some("late"));
    }

    /// Lets attempts fail and backoffs end at random, and looks that it always goes on.
    #[test]
    fn there_is_always_an_attempt_under_way_or_a_backoff_to_wait_for() {
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let count = random.usize(1..6);
            let states: Vec<_> = (0..count)
                .map(|_| match random.u8(..3) {
                    0 => AttemptState::Idle,
                    1 => AttemptState::Connecting,
                    _ => AttemptState::BackingOff(status("before")),
                })
                .collect();
            let mut now = Instant::now();
            let (mut attempts, mut step) = Attempts::begin(states, now);
            let mut told = step.failure.is_some();
            for _ in 0..100 {
                for index in &step.connect {
                    assert!(attempts.is_connecting(*index), "seed {seed}");
                }
                let idle = attempts
                    .attempts
                    .iter()
                    .filter(|attempt| matches!(attempt.state, AttemptState::Idle))
                    .count();
                let connecting = (0..count).filter(|index| attempts.is_connecting(*index));
                match attempts.phase {
                    Phase::Pass { .. } => assert!(connecting.count() > 0, "seed {seed}"),
                    Phase::Repeating { .. } => assert_eq!(idle, 0, "seed {seed}"),
                }
                now += Duration::from_millis(random.u64(..200));
                let index = random.usize(..count);
                step = match &attempts.attempts[index].state {
                    AttemptState::Idle => attempts.wake(now),
                    AttemptState::Connecting => attempts.failed(index, status("later"), now),
                    AttemptState::BackingOff(_) => attempts.idle(index),
                };
                told |= step.failure.is_some();
            }
            assert!(told, "seed {seed}: each has failed by now");
        }
    }
}
