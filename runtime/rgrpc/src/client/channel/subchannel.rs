//! The state machine of a subchannel: decides when to connect, and which states its policy gets.
//!
//! Owned by the channel's task; the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, ConnectParams};
use crate::balancer::{Health, SubConnState};
use crate::client::config::DEFAULT_MAX_TRANSPARENT_RETRIES;
use crate::client::connectivity::{ConnectError, ConnectionId};
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;

/// The connections to an address, their owner, and the decision when they are made. The states are
/// those drawn at [`SubConn`](crate::balancer::SubConn).
///
/// There is one connection, or there are several, where calls have used up the streams of those
/// that there are (gRFC A105); one attempt at a time. Those beyond the first do not show in the
/// state.
///
/// Backoff restarts after a connection that was of use: it was up for the base delay, or has served
/// a call. One that ends before, such as that of a server whose first words are SETTINGS and
/// GOAWAY, counts as a failed attempt, except for the first [`MAX_EXCUSED`] in a row.
///
/// Source: grpc-go `addrConn`, whose backoff restarts after each connection: it connects to such a
/// server in a loop without a pause.
///
/// `C` is a connection; the decisions do not look at it.
#[derive(Debug)]
pub(super) struct Subchannel<C> {
    state: SubchannelState,
    /// Those that take calls, the oldest first; none unless it is ready.
    connections: Vec<OwnedConnection<C>>,
    attempt: Option<SubchannelAttempt>,
    /// No attempt begins before.
    backoff_until: Option<Instant>,
    backoff: Backoff,
    /// The failure of the last attempt.
    failure: Option<Status>,
    /// The number of attempts since the last connection that was of use.
    attempts: u64,
    /// The last connections that were of no use, and were not counted as failures.
    excused: u16,
}

/// A connection that takes calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnedConnection<C> {
    pub(super) id: ConnectionId,
    since: Instant,
    pub(super) connection: C,
}

/// The end of a connection, or of its taking calls.
#[derive(Debug)]
pub(super) struct Loss {
    /// A response has begun on it, or may still begin.
    pub(super) served: bool,
    /// The reason of the end.
    pub(super) problem: ConnectError,
}

/// The last state that the policy got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubchannelState {
    Idle,
    Connecting,
    Ready,
    TransientFailure,
}

/// The attempt to connect that is under way.
#[derive(Debug)]
struct SubchannelAttempt {
    id: ConnectionId,
    /// The connection was lost before the attempt had ended.
    loss: Option<Loss>,
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
    /// True if the connection is used; else it is closed.
    pub(super) is_used: bool,
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
            excused: 0,
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

    /// Begins to connect once more, because calls use all streams of the connections. There may be
    /// `max` connections. Returns the timeout of the attempt, if one begins.
    pub(super) fn grow(&mut self, id: ConnectionId, max: usize) -> Option<Duration> {
        let may_grow = self.state == SubchannelState::Ready
            && self.connections.len() < max
            && self.attempt.is_none()
            && self.backoff_until.is_none();
        may_grow.then(|| self.begin(id))
    }

    fn begin(&mut self, id: ConnectionId) -> Duration {
        self.attempt = Some(SubchannelAttempt { id, loss: None });
        self.attempts += 1;
        self.backoff.connect_timeout()
    }

    /// Ends the present attempt, if it has this name.
    fn end(&mut self, id: ConnectionId) -> Option<SubchannelAttempt> {
        self.attempt.take_if(|attempt| attempt.id == id)
    }

    /// The connections that take calls, the oldest first.
    pub(super) fn connections(&self) -> &[OwnedConnection<C>] {
        &self.connections
    }

    /// The last state that the policy got.
    pub(super) fn state(&self) -> ConnectivityState {
        match self.state {
            SubchannelState::Idle => ConnectivityState::Idle,
            SubchannelState::Connecting => ConnectivityState::Connecting,
            SubchannelState::Ready => ConnectivityState::Ready,
            SubchannelState::TransientFailure => ConnectivityState::TransientFailure,
        }
    }

    /// An attempt has succeeded; the connection is kept if it is wanted. `random` is in [0, 1).
    pub(super) fn connected(
        &mut self,
        id: ConnectionId,
        connection: C,
        now: Instant,
        random: f64,
    ) -> Connected {
        const READY: SubConnState = SubConnState::Ready(Health::Serving);
        let ignored = Connected {
            is_used: false,
            states: &[],
        };
        let Some(attempt) = self.end(id) else {
            return ignored;
        };
        let is_lost = attempt.loss.is_some();
        if let Some(loss) = &attempt.loss {
            self.judge(loss, Duration::ZERO, now, random);
        }
        let owned = OwnedConnection {
            id,
            since: now,
            connection,
        };
        match (self.state, is_lost) {
            (SubchannelState::Connecting, true) => {
                self.state = SubchannelState::Idle;
                Connected {
                    is_used: false,
                    states: &[READY, SubConnState::Idle],
                }
            }
            (SubchannelState::Connecting, false) => {
                self.state = SubchannelState::Ready;
                self.connections.push(owned);
                Connected {
                    is_used: true,
                    states: &[READY],
                }
            }
            (SubchannelState::Ready, false) => {
                self.connections.push(owned);
                Connected {
                    is_used: true,
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
        if self
            .connections
            .iter()
            .any(|owned| self.has_lasted(now - owned.since))
        {
            self.restart_backoff();
        }
        let failure = self.back_off(problem, now, random);
        (self.state == SubchannelState::Connecting).then(|| {
            self.state = SubchannelState::TransientFailure;
            SubConnState::TransientFailure(failure)
        })
    }

    /// No attempt follows for a while.
    fn back_off(&mut self, problem: &ConnectError, now: Instant, random: f64) -> Status {
        let delay = self.backoff.failed(random);
        // A time too far away to be expressed does not come.
        self.backoff_until = Some(now + delay.min(FAR));
        let failure = problem.to_status(format!(
            "{problem} (attempt {}, next in {:.1} s)",
            self.attempts,
            delay.as_secs_f64()
        ));
        self.failure = Some(failure.clone());
        failure
    }

    fn has_lasted(&self, lived: Duration) -> bool {
        lived >= self.backoff.base_delay()
    }

    /// There was a connection that was of use.
    fn restart_backoff(&mut self) {
        self.backoff.reset();
        self.attempts = 0;
        self.excused = 0;
    }

    /// A connection is lost that has lived so long.
    fn judge(&mut self, loss: &Loss, lived: Duration, now: Instant, random: f64) {
        if loss.served || self.has_lasted(lived) {
            self.restart_backoff();
        } else if self.excused < MAX_EXCUSED {
            self.excused += 1;
        } else {
            self.back_off(&loss.problem, now, random);
        }
    }

    /// A connection takes no more calls. `random` is in [0, 1). Returns whether it was the last
    /// one, so that the subchannel is idle now.
    pub(super) fn lost(
        &mut self,
        connection: ConnectionId,
        loss: Loss,
        now: Instant,
        random: f64,
    ) -> bool {
        let mut connections = self.connections.iter();
        if let Some(owned) = connections.find(|owned| owned.id == connection) {
            let lived = now - owned.since;
            self.judge(&loss, lived, now, random);
        }
        if let Some(attempt) = &mut self.attempt
            && attempt.id == connection
        {
            // The first report has the reason.
            attempt.loss.get_or_insert(loss);
        }
        self.connections.retain(|owned| owned.id != connection);
        let was_last = self.state == SubchannelState::Ready && self.connections.is_empty();
        if was_last {
            self.state = SubchannelState::Idle;
        }
        was_last
    }

    /// The time of the next [`wake`](Self::wake).
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
        self.excused = 0;
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

/// The number of connections in a row that may be of no use without backoff.
///
/// As many as a call is retried by default when servers refuse it, so that a call ends well that
/// meets servers that are about to stop before it meets another: in backoff it would fail. The
/// pauses of these retries are between the connections meanwhile.
const MAX_EXCUSED: u16 = DEFAULT_MAX_TRANSPARENT_RETRIES;

/// About a century.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::client::connectivity::ConnectFailure;
    use crate::io::Address;

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
        let connected = connected(subchannel, attempt);
        assert!(connected.is_used);
        assert!(matches!(connected.states, [SubConnState::Ready(_)]));
    }

    fn connected(subchannel: &mut Subchannel<()>, attempt: ConnectionId) -> Connected {
        subchannel.connected(attempt, (), Instant::now(), 0.5)
    }

    /// The connection has served a call, and is lost.
    fn lose(subchannel: &mut Subchannel<()>, connection: ConnectionId) -> bool {
        let loss = Loss {
            served: true,
            problem: failed("closed"),
        };
        subchannel.lost(connection, loss, Instant::now(), 0.5)
    }

    fn failed(cause: impl Into<Box<dyn Error + Send + Sync>>) -> ConnectError {
        let cause = cause.into();
        ConnectError::new(Address::Pipe, ConnectFailure::Dial(cause.into()))
    }

    fn refused() -> ConnectError {
        failed("refused")
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
        assert!(lose(&mut subchannel, SECOND));
        begin(&mut subchannel, FIRST);
    }

    #[test]
    fn failures_say_which_attempt_it_was_and_when_the_next_is() {
        let mut now = Instant::now();
        let mut subchannel = subchannel();
        for text in [
            "pipe: refused (attempt 1, next in 1.0 s)",
            "pipe: refused (attempt 2, next in 1.6 s)",
            "pipe: refused (attempt 3, next in 2.6 s)",
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
        lose(&mut subchannel, FIRST);
        begin(&mut subchannel, SECOND);
        let text = fail(&mut subchannel, SECOND, now);
        assert_eq!(text, "pipe: refused (attempt 1, next in 1.0 s)");
    }

    #[test]
    fn a_failure_keeps_the_error_behind_it_when_it_is_reported_again() {
        use std::io;

        let now = Instant::now();
        let mut subchannel = subchannel();
        begin(&mut subchannel, FIRST);
        let refused = failed(io::Error::from(io::ErrorKind::ConnectionRefused));
        let failed = subchannel.failed(FIRST, &refused, now, 0.5);
        let Some(SubConnState::TransientFailure(status)) = failed else {
            panic!("{failed:?}");
        };
        let source = std::error::Error::source(&status).and_then(|e| e.downcast_ref::<io::Error>());
        let kind = source.map(io::Error::kind);
        assert_eq!(kind, Some(io::ErrorKind::ConnectionRefused));
    }

    #[test]
    fn events_of_other_connections_change_nothing() {
        let now = Instant::now();
        let mut subchannel = subchannel();
        assert!(!lose(&mut subchannel, FIRST));
        begin(&mut subchannel, SECOND);
        assert!(!connected(&mut subchannel, FIRST).is_used);
        assert!(subchannel.failed(FIRST, &refused(), now, 0.5).is_none());
        assert!(!lose(&mut subchannel, FIRST));
        connect(&mut subchannel, SECOND);
        assert!(subchannel.failed(SECOND, &refused(), now, 0.5).is_none());
    }

    #[test]
    fn a_connection_lost_before_its_report_still_counts_as_ready() {
        let mut subchannel = subchannel();
        begin(&mut subchannel, FIRST);
        assert!(!lose(&mut subchannel, FIRST));
        let connected = connected(&mut subchannel, FIRST);
        assert!(!connected.is_used);
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
        let connected = connected(&mut subchannel, SECOND);
        assert!(connected.is_used);
        assert!(connected.states.is_empty());
        assert_eq!(subchannel.grow(THIRD, 2), None);
        assert!(!lose(&mut subchannel, FIRST), "the second is there");
        assert!(lose(&mut subchannel, SECOND));
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
    fn an_attempt_goes_on_for_explicit_connects_when_the_last_connection_is_lost() {
        let mut subchannel = ready(FIRST);
        subchannel.grow(SECOND, 2);
        assert!(lose(&mut subchannel, FIRST));
        let what = subchannel.connect(THIRD);
        assert!(matches!(what, Connect::UnderWay), "{what:?}");
        connect(&mut subchannel, SECOND);

        let mut subchannel = ready(FIRST);
        subchannel.grow(SECOND, 2);
        assert!(lose(&mut subchannel, FIRST));
        assert!(!connected(&mut subchannel, SECOND).is_used, "by nobody");
    }

    #[test]
    fn backoff_holds_for_explicit_connects_when_the_last_connection_is_lost() {
        let now = Instant::now();
        let mut subchannel = ready(FIRST);
        subchannel.grow(SECOND, 2);
        subchannel.failed(SECOND, &refused(), now, 0.5);
        assert!(lose(&mut subchannel, FIRST));
        let what = subchannel.connect(THIRD);
        assert!(matches!(what, Connect::Failed(_)), "{what:?}");
        assert!(subchannel.wake(now + Duration::from_secs(1)));
        begin(&mut subchannel, THIRD);
    }

    /// A connection is made and lost after `lived`. Returns how long the next attempt waits.
    fn short_lived(
        subchannel: &mut Subchannel<()>,
        now: &mut Instant,
        lived: Duration,
        served: bool,
    ) -> Option<f64> {
        begin(subchannel, FIRST);
        assert!(subchannel.connected(FIRST, (), *now, 0.5).is_used);
        *now += lived;
        let problem = failed("GOAWAY");
        let loss = Loss { served, problem };
        assert!(subchannel.lost(FIRST, loss, *now, 0.5), "idle");
        let until = subchannel.wake_at()?;
        let waits = until - *now;
        *now = until;
        subchannel.wake(until);
        Some((waits.as_secs_f64() * 10.0).round() / 10.0)
    }

    #[test]
    fn connections_of_no_use_count_as_failures_except_for_the_first_in_a_row() {
        let mut now = Instant::now();
        let short = Duration::from_millis(999);
        let mut subchannel = subchannel();
        for (lived, served) in [
            // It was up for the base delay.
            (Duration::from_secs(1), false),
            // It has served a call.
            (Duration::ZERO, true),
        ] {
            for waits in [None; 10]
                .into_iter()
                .chain([Some(1.0), Some(1.6), Some(2.6)])
            {
                let waited = short_lived(&mut subchannel, &mut now, short, false);
                assert_eq!(waited, waits);
            }
            for _ in 0..20 {
                let waited = short_lived(&mut subchannel, &mut now, lived, served);
                assert_eq!(waited, None, "{lived:?} {served}");
            }
        }
    }

    #[test]
    fn a_connection_of_no_use_that_is_lost_before_it_is_known_counts_as_well() {
        let now = Instant::now();
        let mut subchannel = subchannel();
        for connection in 1..=11 {
            begin(&mut subchannel, FIRST);
            let problem = failed("GOAWAY");
            let loss = Loss {
                served: false,
                problem,
            };
            assert!(!subchannel.lost(FIRST, loss, now, 0.5));
            subchannel.connected(FIRST, (), now, 0.5);
            assert_eq!(subchannel.wake_at().is_some(), connection == 11);
        }
        let Connect::Failed(status) = subchannel.connect(SECOND) else {
            panic!("it waits");
        };
        assert_eq!(status.message(), "pipe: GOAWAY (attempt 11, next in 1.0 s)");
    }

    #[test]
    fn attempts_that_fail_go_on_where_those_before_a_connection_of_no_use_ended() {
        let mut now = Instant::now();
        let mut subchannel = subchannel();
        for text in ["attempt 1, next in 1.0 s", "attempt 2, next in 1.6 s"] {
            begin(&mut subchannel, FIRST);
            assert!(fail(&mut subchannel, FIRST, now).contains(text));
            now = subchannel.wake_at().expect("in backoff");
            subchannel.wake(now);
        }
        let waited = short_lived(&mut subchannel, &mut now, Duration::ZERO, false);
        assert_eq!(waited, None);
        begin(&mut subchannel, FIRST);
        let text = fail(&mut subchannel, FIRST, now);
        assert!(text.contains("attempt 4, next in 2.6 s"), "{text}");
    }
}
