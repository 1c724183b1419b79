use std::time::Duration;

use tokio::time::Instant;

use crate::balancer::{Health, SubConnState};
use crate::client::backoff::{Backoff, ConnectParams};
use crate::client::event::ConnectionId;
use crate::status::Status;

/// Decides when a connection to an address is made, and what its policy is told. The states are those
/// drawn at [`SubConn`](crate::balancer::SubConn).
///
/// Source: grpc-go `addrConn`.
#[derive(Debug)]
pub(super) struct Subchannel {
    state: State,
    backoff: Backoff,
    /// How many attempts there were since the last that succeeded.
    attempts: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Connecting(ConnectionId),
    /// The connection was lost before its attempt had ended.
    LostAlready(ConnectionId),
    Ready(ConnectionId),
    TransientFailure {
        until: Instant,
    },
}

impl Subchannel {
    /// Idle.
    pub(super) fn new(params: ConnectParams) -> Self {
        Self {
            state: State::Idle,
            backoff: Backoff::new(params),
            attempts: 0,
        }
    }

    /// It is to connect. If it is idle it begins an attempt of this name, which may take as long as is
    /// returned; else it is left as it is.
    pub(super) fn connect(&mut self, attempt: ConnectionId) -> Option<Duration> {
        if self.state != State::Idle {
            return None;
        }
        self.state = State::Connecting(attempt);
        self.attempts += 1;
        Some(self.backoff.connect_timeout())
    }

    /// An attempt has succeeded. Returns which states follow; none if it is not the present one.
    pub(super) fn connected(&mut self, attempt: ConnectionId) -> &'static [SubConnState] {
        const READY: SubConnState = SubConnState::Ready(Health::Serving);
        let states: &[SubConnState] = match self.state {
            State::Connecting(present) if present == attempt => {
                self.state = State::Ready(attempt);
                &[READY]
            }
            State::LostAlready(present) if present == attempt => {
                self.state = State::Idle;
                &[READY, SubConnState::Idle]
            }
            _ => return &[],
        };
        self.backoff.reset();
        self.attempts = 0;
        states
    }

    /// An attempt has failed. `random` is in [0, 1).
    pub(super) fn failed(
        &mut self,
        attempt: ConnectionId,
        problem: &str,
        now: Instant,
        random: f64,
    ) -> Option<SubConnState> {
        let (State::Connecting(present) | State::LostAlready(present)) = self.state else {
            return None;
        };
        if present != attempt {
            return None;
        }
        let delay = self.backoff.failed(random);
        // A time too far away to be expressed does not come.
        let until = now + delay.min(FAR);
        self.state = State::TransientFailure { until };
        Some(SubConnState::TransientFailure(Status::unavailable(
            format!(
                "{problem} (attempt {}, next in {:.1} s)",
                self.attempts,
                delay.as_secs_f64()
            ),
        )))
    }

    /// A connection takes no more calls. Whether it was the one in use, so that it is idle now.
    pub(super) fn lost(&mut self, connection: ConnectionId) -> bool {
        match self.state {
            State::Ready(present) if present == connection => {
                self.state = State::Idle;
                true
            }
            State::Connecting(present) if present == connection => {
                self.state = State::LostAlready(present);
                false
            }
            _ => false,
        }
    }

    /// When it wants to be [woken](Self::wake).
    pub(super) fn wake_at(&self) -> Option<Instant> {
        match self.state {
            State::TransientFailure { until } => Some(until),
            _ => None,
        }
    }

    /// Whether its backoff is over, so that it is idle now.
    pub(super) fn wake(&mut self, now: Instant) -> bool {
        let over = self.wake_at().is_some_and(|until| until <= now);
        if over {
            self.state = State::Idle;
        }
        over
    }

    /// Further waits begin at the base delay. Whether it was in one, so that it is idle now.
    pub(super) fn reset_backoff(&mut self) -> bool {
        self.backoff.reset();
        let waited = self.wake_at().is_some();
        if waited {
            self.state = State::Idle;
        }
        waited
    }
}

/// About a century.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ConnectionId = ConnectionId(1);
    const SECOND: ConnectionId = ConnectionId(2);

    fn subchannel() -> Subchannel {
        Subchannel::new(ConnectParams::default())
    }

    fn fail(subchannel: &mut Subchannel, attempt: ConnectionId, now: Instant) -> String {
        match subchannel.failed(attempt, "refused", now, 0.5) {
            Some(SubConnState::TransientFailure(status)) => status.message().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_connects_only_when_it_is_idle() {
        let now = Instant::now();
        let mut subchannel = subchannel();
        assert_eq!(subchannel.connect(FIRST), Some(Duration::from_secs(20)));
        assert_eq!(subchannel.connect(SECOND), None, "connecting");
        fail(&mut subchannel, FIRST, now);
        assert_eq!(subchannel.connect(SECOND), None, "in backoff");
        assert!(subchannel.wake(now + Duration::from_secs(1)));
        assert!(subchannel.connect(SECOND).is_some());
        assert_eq!(subchannel.connected(SECOND).len(), 1);
        assert_eq!(subchannel.connect(FIRST), None, "ready");
        assert!(subchannel.lost(SECOND));
        assert!(subchannel.connect(FIRST).is_some());
    }

    #[test]
    fn failures_say_which_attempt_it_was_and_when_the_next_is() {
        let mut now = Instant::now();
        let mut subchannel = subchannel();
        for text in [
            "refused (attempt 1, next in 1.0 s)",
            "refused (attempt 2, next in 1.6 s)",
            "refused (attempt 3, next in 2.6 s)",
        ] {
            subchannel.connect(FIRST);
            assert_eq!(fail(&mut subchannel, FIRST, now), text);
            assert!(!subchannel.wake(now));
            now = subchannel.wake_at().expect("in backoff");
            assert!(subchannel.wake(now));
            assert_eq!(subchannel.wake_at(), None);
        }
        subchannel.connect(FIRST);
        subchannel.connected(FIRST);
        subchannel.lost(FIRST);
        subchannel.connect(SECOND);
        let text = fail(&mut subchannel, SECOND, now);
        assert_eq!(text, "refused (attempt 1, next in 1.0 s)");
    }

    #[test]
    fn what_is_heard_of_other_connections_changes_nothing() {
        let now = Instant::now();
        let mut subchannel = subchannel();
        assert!(!subchannel.lost(FIRST));
        subchannel.connect(SECOND);
        assert!(subchannel.connected(FIRST).is_empty());
        assert!(subchannel.failed(FIRST, "", now, 0.5).is_none());
        assert!(!subchannel.lost(FIRST));
        assert_eq!(subchannel.connected(SECOND).len(), 1);
        assert!(subchannel.failed(SECOND, "", now, 0.5).is_none());
    }

    #[test]
    fn a_connection_that_is_lost_before_it_is_known_was_ready_nevertheless() {
        let mut subchannel = subchannel();
        subchannel.connect(FIRST);
        assert!(!subchannel.lost(FIRST));
        let states = subchannel.connected(FIRST);
        assert!(
            matches!(states, [SubConnState::Ready(_), SubConnState::Idle]),
            "{states:?}"
        );
        assert!(subchannel.connect(SECOND).is_some());
    }

    #[test]
    fn a_reset_ends_the_wait_and_makes_the_next_one_short() {
        let now = Instant::now();
        let mut subchannel = subchannel();
        assert!(!subchannel.reset_backoff());
        for attempt in 0..3 {
            subchannel.connect(FIRST);
            fail(&mut subchannel, FIRST, now);
            assert!(subchannel.reset_backoff(), "{attempt}");
        }
        subchannel.connect(FIRST);
        assert!(!subchannel.reset_backoff(), "it does not wait");
        fail(&mut subchannel, FIRST, now);
        assert_eq!(subchannel.wake_at(), Some(now + Duration::from_secs(1)));
    }
}
