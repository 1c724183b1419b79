//! The state machine of a subchannel: when connections are made, and what its policy is told.
//!
//! Owned by the channel's task; the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, ConnectParams};
use crate::balancer::{Health, SubConnState};
use crate::client::connectivity::ConnectionId;
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;
use crate::transport::ConnectError;

/// The connections to an address, their owner, and the decision when they are made. The states are
/// those drawn at [`SubConn`](crate::balancer::SubConn).
///
/// There is one connection, or there are several, where calls have used up the streams of those that
/// there are (gRFC A105); one attempt at a time. Those beyond the first do not show in the state.
///
/// `C` is a connection; the decisions do not look at it.
///
/// Source: grpc-go `addrConn`.
#[derive(Debug)]
pub(super) struct Subchannel<C> {
    state: SubchannelState,
    /// Those that take calls, the oldest first; none unless it is ready.
    connections: Vec<(ConnectionId, C)>,
    attempt: Option<ConnectAttempt>,
    /// No attempt begins before.
    backoff_until: Option<Instant>,
    backoff: Backoff,
    /// The failure of the last attempt.
    failure: Option<Status>,
    /// The number of attempts since the last that succeeded.
    attempts: u64,
}

/// The state that the policy was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubchannelState {
    Idle,
    Connecting,
    Ready,
    TransientFailure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ConnectAttempt {
    id: ConnectionId,
    /// The connection was lost before the attempt had ended.
    is_lost: bool,
}

/// The answer to a wish for a connection.
#[derive(Debug)]
pub(super) enum Connect {
    /// An attempt begins, which may take as long.
    Begin(Duration),
    /// One is under way already.
    UnderWay,
    /// It is too early: the last attempt has failed.
    Failed(Status),
    /// Nothing: it is not idle.
    Nothing,
}

/// The consequence of an attempt that has succeeded.
#[derive(Debug)]
pub(super) struct Connected {
    /// The connection is to be used.
    pub(super) is_wanted: bool,
    /// The states to tell the policy.
    pub(super) states: &'static [SubConnState],
}

impl<C> Subchannel<C> {
    /// Idle.
    pub(super) fn new(params: ConnectParams) -> Self {
        Self {
            state: SubchannelState::Idle,
            connections: Vec::new(),
            attempt: None,
            backoff_until: None,
            backoff: Backoff::new(params),
            failure: None,
            attempts: 0,
        }
    }

    /// A connection is wanted. `id` names the attempt, if one begins.
    pub(super) fn connect(&mut self, id: ConnectionId) -> Connect {
        if self.state != SubchannelState::Idle {
            return Connect::Nothing;
        }
        if self.attempt.is_some() {
            self.state = SubchannelState::Connecting;
            return Connect::UnderWay;
        }
        if let (Some(_), Some(failure)) = (self.backoff_until, &self.failure) {
            self.state = SubchannelState::TransientFailure;
            return Connect::Failed(failure.clone());
        }
        self.state = SubchannelState::Connecting;
        Connect::Begin(self.begin(id))
    }

    /// Calls have used up the streams of the connections that there are, of which there may be `max`.
    /// Returns how long the attempt may take that begins, if one does.
    pub(super) fn grow(&mut self, id: ConnectionId, max: usize) -> Option<Duration> {
        let may_grow = self.state == SubchannelState::Ready
            && self.connections.len() < max
            && self.attempt.is_none()
            && self.backoff_until.is_none();
        may_grow.then(|| self.begin(id))
    }

    fn begin(&mut self, id: ConnectionId) -> Duration {
        self.attempt = Some(ConnectAttempt { id, is_lost: false });
        self.attempts += 1;
        self.backoff.connect_timeout()
    }

    /// Ends the present attempt, if it has this name.
    fn end(&mut self, id: ConnectionId) -> Option<ConnectAttempt> {
        self.attempt.take_if(|attempt| attempt.id == id)
    }

    /// The connections that take calls, the oldest first.
    pub(super) fn connections(&self) -> &[(ConnectionId, C)] {
        &self.connections
    }

    /// The state, as its policy was told it last.
    pub(super) fn state(&self) -> ConnectivityState {
        match self.state {
            SubchannelState::Idle => ConnectivityState::Idle,
            SubchannelState::Connecting => ConnectivityState::Connecting,
            SubchannelState::Ready => ConnectivityState::Ready,
            SubchannelState::TransientFailure => ConnectivityState::TransientFailure,
        }
    }

    /// An attempt has succeeded. The connection is kept if it is wanted.
    pub(super) fn connected(&mut self, id: ConnectionId, connection: C) -> Connected {
        const READY: SubConnState = SubConnState::Ready(Health::Serving);
        let ignored = Connected {
            is_wanted: false,
            states: &[],
        };
        let Some(attempt) = self.end(id) else {
            return ignored;
        };
        self.backoff.reset();
        self.attempts = 0;
        match (self.state, attempt.is_lost) {
            (SubchannelState::Connecting, true) => {
                self.state = SubchannelState::Idle;
                Connected {
                    is_wanted: false,
                    states: &[READY, SubConnState::Idle],
                }
            }
            (SubchannelState::Connecting, false) => {
                self.state = SubchannelState::Ready;
                self.connections.push((id, connection));
                Connected {
                    is_wanted: true,
                    states: &[READY],
                }
            }
            (SubchannelState::Ready, false) => {
                self.connections.push((id, connection));
                Connected {
                    is_wanted: true,
                    states: &[],
                }
            }
            // Nobody wants it any more.
            (SubchannelState::Ready, true)
            | (SubchannelState::Idle | SubchannelState::TransientFailure, _) => ignored,
        }
    }

    /// An attempt has failed. `random` is in [0, 1). Returns the state to tell the policy.
    pub(super) fn failed(
        &mut self,
        id: ConnectionId,
        problem: &ConnectError,
        now: Instant,
        random: f64,
    ) -> Option<SubConnState> {
        self.end(id)?;
        let delay = self.backoff.failed(random);
        // A time too far away to be expressed does not come.
        self.backoff_until = Some(now + delay.min(FAR));
        let failure = problem.to_status().retold(format!(
            "{problem} (attempt {}, next in {:.1} s)",
            self.attempts,
            delay.as_secs_f64()
        ));
        self.failure = Some(failure.clone());
        (self.state == SubchannelState::Connecting).then(|| {
            self.state = SubchannelState::TransientFailure;
            SubConnState::TransientFailure(failure)
        })
    }

    /// A connection takes no more calls. Returns whether it was the last one, so that the subchannel is
    /// idle now.
    pub(super) fn lost(&mut self, connection: ConnectionId) -> bool {
        if let Some(attempt) = &mut self.attempt
            && attempt.id == connection
        {
            attempt.is_lost = true;
        }
        self.connections.retain(|(id, _)| *id != connection);
        let was_last = self.state == SubchannelState::Ready && self.connections.is_empty();
        if was_last {
            self.state = SubchannelState::Idle;
        }
        was_last
    }

    /// The time at which it is to be [woken](Self::wake).
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.backoff_until
    }

    /// Ends the backoff if it is over; returns whether the subchannel is idle for that.
    pub(super) fn wake(&mut self, now: Instant) -> bool {
        self.backoff_until.is_some_and(|until| until <= now) && self.end_backoff()
    }

    /// Makes further waits begin at the base delay. Returns whether it was in one, and is idle now.
    pub(super) fn reset_backoff(&mut self) -> bool {
        self.backoff.reset();
        self.end_backoff()
    }

    fn end_backoff(&mut self) -> bool {
        self.backoff_until = None;
        let has_failed = self.state == SubchannelState::TransientFailure;
        if has_failed {
            self.state = SubchannelState::Idle;
        }
        has_failed
    }
}

/// About a century.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ConnectionId = ConnectionId(1);
    const SECOND: ConnectionId = ConnectionId(2);
    const THIRD: ConnectionId = ConnectionId(3);

    fn subchannel() -> Subchannel<()> {
        Subchannel::new(ConnectParams::default())
    }

    /// With this connection, which is ready.
    fn ready(connection: ConnectionId) -> Subchannel<()> {
        let mut subchannel = subchannel();
        begin(&mut subchannel, connection);
        connect(&mut subchannel, connection);
        subchannel
    }

    fn begin(subchannel: &mut Subchannel<()>, attempt: ConnectionId) -> Duration {
        match subchannel.connect(attempt) {
            Connect::Begin(limit) => limit,
            other => panic!("{other:?}"),
        }
    }

    fn nothing(subchannel: &mut Subchannel<()>, attempt: ConnectionId) {
        let what = subchannel.connect(attempt);
        assert!(matches!(what, Connect::Nothing), "{what:?}");
    }

    /// The attempt succeeds, and its connection is the one that is ready.
    fn connect(subchannel: &mut Subchannel<()>, attempt: ConnectionId) {
        let connected = subchannel.connected(attempt, ());
        assert!(connected.is_wanted);
        assert!(matches!(connected.states, [SubConnState::Ready(_)]));
    }

    fn refused() -> ConnectError {
        ConnectError::caused_by("refused")
    }

    fn fail(subchannel: &mut Subchannel<()>, attempt: ConnectionId, now: Instant) -> String {
        match subchannel.failed(attempt, &refused(), now, 0.5) {
            Some(SubConnState::TransientFailure(status)) => status.message().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_connects_only_when_it_is_idle() {
        let now = Instant::now();
        let mut subchannel = subchannel();
        assert_eq!(begin(&mut subchannel, FIRST), Duration::from_secs(20));
        nothing(&mut subchannel, SECOND);
        fail(&mut subchannel, FIRST, now);
        nothing(&mut subchannel, SECOND);
        assert!(subchannel.wake(now + Duration::from_secs(1)));
        begin(&mut subchannel, SECOND);
        connect(&mut subchannel, SECOND);
        nothing(&mut subchannel, FIRST);
        assert!(subchannel.lost(SECOND));
        begin(&mut subchannel, FIRST);
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
            begin(&mut subchannel, FIRST);
            assert_eq!(fail(&mut subchannel, FIRST, now), text);
            assert!(!subchannel.wake(now));
            now = subchannel.wake_at().expect("in backoff");
            assert!(subchannel.wake(now));
            assert_eq!(subchannel.wake_at(), None);
        }
        begin(&mut subchannel, FIRST);
        connect(&mut subchannel, FIRST);
        subchannel.lost(FIRST);
        begin(&mut subchannel, SECOND);
        let text = fail(&mut subchannel, SECOND, now);
        assert_eq!(text, "refused (attempt 1, next in 1.0 s)");
    }

    #[test]
    fn a_failure_keeps_the_error_behind_it_also_when_it_is_told_again() {
        use std::io;

        let now = Instant::now();
        let mut subchannel = subchannel();
        begin(&mut subchannel, FIRST);
        let refused = ConnectError::caused_by(io::Error::from(io::ErrorKind::ConnectionRefused));
        let failed = subchannel.failed(FIRST, &refused, now, 0.5);
        let Some(SubConnState::TransientFailure(status)) = failed else {
            panic!("{failed:?}");
        };
        let source = std::error::Error::source(&status).and_then(|e| e.downcast_ref::<io::Error>());
        let kind = source.map(io::Error::kind);
        assert_eq!(kind, Some(io::ErrorKind::ConnectionRefused));
    }

    #[test]
    fn what_is_heard_of_other_connections_changes_nothing() {
        let now = Instant::now();
        let mut subchannel = subchannel();
        assert!(!subchannel.lost(FIRST));
        begin(&mut subchannel, SECOND);
        assert!(!subchannel.connected(FIRST, ()).is_wanted);
        assert!(subchannel.failed(FIRST, &refused(), now, 0.5).is_none());
        assert!(!subchannel.lost(FIRST));
        connect(&mut subchannel, SECOND);
        assert!(subchannel.failed(SECOND, &refused(), now, 0.5).is_none());
    }

    #[test]
    fn a_connection_that_is_lost_before_it_is_known_was_ready_nevertheless() {
        let mut subchannel = subchannel();
        begin(&mut subchannel, FIRST);
        assert!(!subchannel.lost(FIRST));
        let connected = subchannel.connected(FIRST, ());
        assert!(!connected.is_wanted);
        let states = connected.states;
        assert!(
            matches!(states, [SubConnState::Ready(_), SubConnState::Idle]),
            "{states:?}"
        );
        begin(&mut subchannel, SECOND);
    }

    #[test]
    fn a_reset_ends_the_wait_and_makes_the_next_one_short() {
        let now = Instant::now();
        let mut subchannel = subchannel();
        assert!(!subchannel.reset_backoff());
        for attempt in 0..3 {
            begin(&mut subchannel, FIRST);
            fail(&mut subchannel, FIRST, now);
            assert!(subchannel.reset_backoff(), "{attempt}");
        }
        begin(&mut subchannel, FIRST);
        assert!(!subchannel.reset_backoff(), "it does not wait");
        fail(&mut subchannel, FIRST, now);
        assert_eq!(subchannel.wake_at(), Some(now + Duration::from_secs(1)));
    }

    #[test]
    fn it_grows_to_as_many_connections_as_it_may_have_one_at_a_time() {
        let mut subchannel = subchannel();
        assert_eq!(subchannel.grow(FIRST, 3), None, "idle");
        begin(&mut subchannel, FIRST);
        assert_eq!(subchannel.grow(SECOND, 3), None, "connecting");
        connect(&mut subchannel, FIRST);
        assert_eq!(subchannel.grow(SECOND, 1), None);
        assert!(subchannel.grow(SECOND, 2).is_some());
        assert_eq!(subchannel.grow(THIRD, 3), None, "one at a time");
        let connected = subchannel.connected(SECOND, ());
        assert!(connected.is_wanted);
        assert!(connected.states.is_empty());
        assert_eq!(subchannel.grow(THIRD, 2), None);
        assert!(!subchannel.lost(FIRST), "the second is there");
        assert!(subchannel.lost(SECOND));
    }

    #[test]
    fn growth_that_fails_waits_and_does_not_show() {
        let now = Instant::now();
        let mut subchannel = ready(FIRST);
        subchannel.grow(SECOND, 2);
        assert!(subchannel.failed(SECOND, &refused(), now, 0.5).is_none());
        assert_eq!(subchannel.grow(THIRD, 2), None, "in backoff");
        assert!(!subchannel.wake(now + Duration::from_secs(1)), "not idle");
        assert!(subchannel.grow(THIRD, 2).is_some());
    }

    #[test]
    fn when_the_last_connection_is_lost_an_attempt_that_is_under_way_goes_on_for_who_connects() {
        let mut subchannel = ready(FIRST);
        subchannel.grow(SECOND, 2);
        assert!(subchannel.lost(FIRST));
        let what = subchannel.connect(THIRD);
        assert!(matches!(what, Connect::UnderWay), "{what:?}");
        connect(&mut subchannel, SECOND);

        let mut subchannel = ready(FIRST);
        subchannel.grow(SECOND, 2);
        assert!(subchannel.lost(FIRST));
        assert!(!subchannel.connected(SECOND, ()).is_wanted, "by nobody");
    }

    #[test]
    fn when_the_last_connection_is_lost_backoff_holds_for_who_connects() {
        let now = Instant::now();
        let mut subchannel = ready(FIRST);
        subchannel.grow(SECOND, 2);
        subchannel.failed(SECOND, &refused(), now, 0.5);
        assert!(subchannel.lost(FIRST));
        let what = subchannel.connect(THIRD);
        assert!(matches!(what, Connect::Failed(_)), "{what:?}");
        assert!(subchannel.wake(now + Duration::from_secs(1)));
        begin(&mut subchannel, THIRD);
    }
}
