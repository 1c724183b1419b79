//! The probe of a silent peer, for clients and servers: it decides when to send a PING, and when to
//! give up the connection. The connection's task calls it.

use std::time::Duration;

use tokio::time::Instant;

/// The maximum delay of the task at the deadline of an answer. A task that runs later was itself
/// delayed, perhaps with the whole process, and the answer may wait to be read. The answer then
/// gets this much more time, once.
const LATE: Duration = Duration::from_secs(1);

/// The probe of a connection's peer.
///
/// ```text
///                nothing received for `time`
///  ┌──────────┐ ───────────────────────────► ┌─────────┐ nothing received for `timeout`
///  │ Watching │          sends a PING        │ Probing │ ──────────────────────────────► lost
///  └──────────┘ ◄─────────────────────────── └─────────┘
///    │                 something received      │      ▲
///    │ there is no stream, and a client needs  │      │ a stream is opened:
///    │ one to send PINGs                       ▼      │ sends a PING
///    │                                       ┌─────────┐
///    └─────────────────────────────────────► │ Dormant │
///                                            └─────────┘
/// ```
///
/// Source: grpc-go `http2Client.keepalive`, `http2Server.keepalive`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    time: Duration,
    timeout: Duration,
    state: ProbeState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeState {
    /// Something was received since the last PING, or no PING was sent.
    Watching {
        /// The time to check whether something was received since. `None`: never.
        due: Option<Instant>,
    },
    /// A PING was sent, and nothing has been received since.
    Probing {
        /// The time to check, between now and `expires`.
        due: Instant,
        /// The time at which the connection is lost.
        expires: Instant,
        /// The time at which something was last received, before the PING.
        received: Instant,
        /// True once the answer got more time.
        is_late: bool,
    },
    /// No PINGs are sent until there is a stream.
    Dormant,
}

/// A step of the connection's task, at the probe's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeStep {
    /// Nothing, until the next deadline.
    Wait,
    /// Sends a PING.
    Ping,
    /// Closes the connection.
    Lost(Unanswered),
}

/// The failure of a connection whose peer did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unanswered {
    /// The time of silence before the PING.
    pub(crate) time: Duration,
    /// The time of silence after it.
    pub(crate) timeout: Duration,
}

impl Probe {
    /// Creates the probe of a connection that is created now.
    pub(super) fn new(time: Duration, timeout: Duration, now: Instant) -> Self {
        Self {
            time,
            timeout,
            state: ProbeState::Watching {
                due: now.checked_add(time),
            },
        }
    }

    /// The time between PINGs.
    pub(super) fn time(&self) -> Duration {
        self.time
    }

    /// The time of the next call of [`handle_timeout`](Self::handle_timeout).
    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            ProbeState::Watching { due } => due,
            ProbeState::Probing { due, .. } => Some(due),
            ProbeState::Dormant => None,
        }
    }

    /// Returns whether a new stream has to [wake](Self::wake) the probe.
    #[inline]
    pub(super) fn is_dormant(&self) -> bool {
        self.state == ProbeState::Dormant
    }

    /// Handles the deadline if it has come. `received` is the time at which something was last
    /// received. Without `may_ping` the probe sleeps instead of sending a PING.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        received: Instant,
        may_ping: bool,
    ) -> ProbeStep {
        if self.deadline().is_none_or(|due| now < due) {
            return ProbeStep::Wait;
        }
        if let ProbeState::Probing {
            expires,
            received: before,
            is_late,
            ..
        } = self.state
            && received <= before
        {
            return self.unanswered(now, expires, before, is_late, may_ping);
        }
        let due = received.checked_add(self.time);
        self.state = ProbeState::Watching { due };
        if due.is_none_or(|due| now < due) {
            return ProbeStep::Wait;
        }
        if !may_ping {
            self.state = ProbeState::Dormant;
            return ProbeStep::Wait;
        }
        self.ping(now, received)
    }

    fn unanswered(
        &mut self,
        now: Instant,
        expires: Instant,
        received: Instant,
        is_late: bool,
        may_ping: bool,
    ) -> ProbeStep {
        if expires <= now {
            let lateness = now - expires;
            if is_late || lateness < LATE {
                return ProbeStep::Lost(Unanswered {
                    time: self.time,
                    timeout: self.timeout,
                });
            }
            let expires = now + LATE;
            self.state = ProbeState::Probing {
                due: expires,
                expires,
                received,
                is_late: true,
            };
        } else if may_ping {
            self.state = ProbeState::Probing {
                due: self.next_look(now, expires),
                expires,
                received,
                is_late,
            };
        } else {
            self.state = ProbeState::Dormant;
        }
        ProbeStep::Wait
    }

    /// Wakes the probe when a stream was opened. The caller sends the PING.
    pub(super) fn wake(&mut self, now: Instant, received: Instant) {
        self.ping(now, received);
    }

    fn ping(&mut self, now: Instant, received: Instant) -> ProbeStep {
        let expires = now.checked_add(self.timeout);
        self.state = match expires {
            Some(expires) => ProbeState::Probing {
                due: self.next_look(now, expires),
                expires,
                received,
                is_late: false,
            },
            // The answer has no deadline.
            None => ProbeState::Watching {
                due: now.checked_add(self.time),
            },
        };
        ProbeStep::Ping
    }

    /// The time of the next check for an answer: after `time`, so that the next PING is not late.
    fn next_look(&self, now: Instant, expires: Instant) -> Instant {
        now.checked_add(self.time)
            .map_or(expires, |look| look.min(expires))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: u64 = 10;

    /// An event of a probe, in seconds after its creation.
    enum Given {
        /// Its deadline is this.
        Due(Option<u64>),
        /// Something is received, which moves no deadline.
        Received(u64),
        /// The deadline has come, with streams: it pings, waits or is lost.
        At(u64, &'static str),
        /// The same without streams.
        AtWithoutStreams(u64, &'static str),
        /// A stream is opened.
        Wake(u64),
    }

    fn run(timeout: u64, given: &[Given]) {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut probe = Probe::new(
            Duration::from_secs(TIME),
            Duration::from_secs(timeout),
            begun,
        );
        let mut received = begun;
        for (n, given) in given.iter().enumerate() {
            let mut step = |now, may_ping, expected: &str| {
                let step = match probe.handle_timeout(now, received, may_ping) {
                    ProbeStep::Wait => "wait",
                    ProbeStep::Ping => "ping",
                    ProbeStep::Lost(_) => "lost",
                };
                assert_eq!(step, expected, "step {n}");
            };
            match given {
                Given::Due(due) => assert_eq!(probe.deadline(), due.map(at), "step {n}"),
                Given::Received(seconds) => received = at(*seconds),
                Given::At(seconds, expected) => step(at(*seconds), true, expected),
                Given::AtWithoutStreams(seconds, expected) => step(at(*seconds), false, expected),
                Given::Wake(seconds) => {
                    assert!(probe.is_dormant(), "step {n}");
                    probe.wake(at(*seconds), received);
                }
            }
        }
    }

    use Given::{At, AtWithoutStreams, Due, Received, Wake};

    #[test]
    fn silence_is_probed_after_the_time_and_lost_after_the_timeout() {
        run(
            3,
            &[
                Due(Some(10)),
                At(9, "wait"),
                At(10, "ping"),
                Due(Some(13)),
                At(12, "wait"),
                At(13, "lost"),
            ],
        );
    }

    #[test]
    fn an_answer_or_anything_else_that_is_received_counts_from_when_it_came() {
        run(
            3,
            &[
                At(10, "ping"),
                Received(11),
                At(13, "wait"),
                Due(Some(21)),
                At(21, "ping"),
                Received(22),
                At(24, "wait"),
                Due(Some(32)),
            ],
        );
    }

    #[test]
    fn activity_moves_the_deadline_only_when_that_has_come() {
        run(
            3,
            &[
                Received(4),
                Received(7),
                Due(Some(10)),
                At(10, "wait"),
                Due(Some(17)),
                Received(12),
                At(17, "wait"),
                Due(Some(22)),
                At(22, "ping"),
            ],
        );
    }

    #[test]
    fn with_a_timeout_longer_than_the_time_an_answer_is_looked_for_after_the_time() {
        run(
            25,
            &[
                At(10, "ping"),
                Due(Some(20)),
                At(20, "wait"),
                Due(Some(30)),
                At(30, "wait"),
                Due(Some(35)),
                At(35, "lost"),
            ],
        );
        run(
            25,
            &[
                At(10, "ping"),
                Received(11),
                At(20, "wait"),
                Due(Some(21)),
                At(21, "ping"),
            ],
        );
    }

    #[test]
    fn without_streams_it_sleeps_and_a_stream_makes_it_ping_at_once() {
        run(
            3,
            &[
                AtWithoutStreams(10, "wait"),
                Due(None),
                At(100, "wait"),
                Received(150),
                Wake(200),
                Due(Some(203)),
                At(203, "lost"),
            ],
        );
    }

    #[test]
    fn a_stream_that_ends_while_an_answer_is_awaited_changes_nothing_until_the_next_look() {
        run(
            3,
            &[
                At(10, "ping"),
                // Lost comes before dormant, as in grpc-go.
                AtWithoutStreams(13, "lost"),
            ],
        );
        run(
            25,
            &[
                At(10, "ping"),
                AtWithoutStreams(20, "wait"),
                Due(None),
                Wake(21),
                Due(Some(31)),
            ],
        );
    }

    #[test]
    fn a_task_that_was_held_up_itself_gives_the_answer_a_second_to_be_read() {
        run(
            3,
            &[
                At(10, "ping"),
                At(40, "wait"),
                Due(Some(41)),
                Received(40),
                At(41, "wait"),
                Due(Some(50)),
            ],
        );
        run(
            3,
            &[
                At(10, "ping"),
                At(40, "wait"),
                // The task was delayed again, but the answer gets more time only once.
                At(80, "lost"),
            ],
        );
    }

    #[test]
    fn times_without_end_are_never() {
        let now = Instant::now();
        let never = Probe::new(Duration::MAX, Duration::from_secs(1), now);
        assert_eq!(never.deadline(), None);
        let mut patient = Probe::new(Duration::from_secs(1), Duration::MAX, now);
        for second in 1..5 {
            let at = now + Duration::from_secs(second);
            assert_eq!(patient.handle_timeout(at, now, true), ProbeStep::Ping);
        }
    }
}
