//! The keepalive of a server's connection: the probe, and the limits on idleness and age. The
//! connection's task owns it.

use std::time::Duration;

use tokio::time::Instant;

use super::ServerParameters;
use super::probe::{Probe, ProbeStep, Unanswered};

/// The random part of a connection's age, in both directions. Source: grpc-go `getJitter`.
const AGE_JITTER: f64 = 0.1;

/// The keepalive of one connection of a server.
///
/// The probe goes on while the connection drains, so that a client that died meanwhile holds no
/// resources. grpc-go stops it then.
///
/// Source: grpc-go `http2Server.keepalive`; gRFC A9.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerKeepalive {
    probe: Probe,
    max_idle: Option<Duration>,
    /// The time to check whether the connection is idle. `None`: never.
    idle_due: Option<Instant>,
    age: Age,
}

/// The age of a connection.
///
/// ```text
/// Young ── until ──► Grace ── until ──► Over
/// ```
#[derive(Clone, Copy, Debug)]
enum Age {
    /// The age is below the limit.
    Young {
        /// The time of the limit. `None`: there is none.
        until: Option<Instant>,
        grace: Option<Duration>,
    },
    /// The connection drains because of its age.
    Grace {
        /// The time at which its calls are cancelled. `None`: never.
        until: Option<Instant>,
    },
    /// The connection must be closed.
    Over,
}

/// A step of the connection's task, at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerStep {
    /// Nothing, until the next deadline.
    Wait,
    /// Sends a PING.
    Ping,
    /// Begins a graceful close, with this debug data.
    Drain(&'static str),
    /// Closes the connection: its client does not answer.
    Lost(Unanswered),
    /// Closes the connection: the grace period after its maximum age has passed.
    TooOld,
}

impl ServerKeepalive {
    /// Creates the keepalive of a connection that is accepted now. `random` is in [0, 1).
    pub(crate) fn new(parameters: ServerParameters, now: Instant, random: f64) -> Self {
        let ServerParameters {
            max_connection_idle,
            max_connection_age,
            max_connection_age_grace,
            time,
            timeout,
        } = parameters;
        let until = max_connection_age.and_then(|age| {
            // An age that its type cannot express is no limit.
            let seconds = age.as_secs_f64() * (1.0 + AGE_JITTER * (2.0 * random - 1.0));
            now.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
        });
        Self {
            probe: Probe::new(time, timeout, now),
            max_idle: max_connection_idle,
            idle_due: max_connection_idle.and_then(|idle| now.checked_add(idle)),
            age: Age::Young {
                until,
                grace: max_connection_age_grace,
            },
        }
    }

    /// Returns whether [`handle_timeout`](Self::handle_timeout) needs the time since which there is
    /// no stream.
    #[inline]
    pub(crate) fn watches_idleness(&self) -> bool {
        self.idle_due.is_some()
    }

    /// The time at which the connection reaches its maximum age. `None`: never, or that has been.
    pub(crate) fn max_age_at(&self) -> Option<Instant> {
        match self.age {
            Age::Young { until, .. } => until,
            Age::Grace { .. } | Age::Over => None,
        }
    }

    /// The time of the next call of [`handle_timeout`](Self::handle_timeout).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let age = match self.age {
            Age::Young { until, .. } | Age::Grace { until } => until,
            Age::Over => None,
        };
        [self.probe.deadline(), self.idle_due, age]
            .into_iter()
            .flatten()
            .min()
    }

    /// Handles a deadline if one has come. The caller repeats it until it returns
    /// [`ServerStep::Wait`]. `received` is the time at which something was last received.
    /// `idle_since` is the time at which the last stream ended or the connection began; `None`
    /// while there are streams.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        received: Instant,
        idle_since: Option<Instant>,
    ) -> ServerStep {
        match self.probe.handle_timeout(now, received, true) {
            ProbeStep::Wait => {}
            ProbeStep::Ping => return ServerStep::Ping,
            ProbeStep::Lost(unanswered) => return ServerStep::Lost(unanswered),
        }
        let is_due = |until: Option<Instant>| until.is_some_and(|until| until <= now);
        match self.age {
            Age::Young { until, grace } if is_due(until) => {
                let until = grace.and_then(|grace| now.checked_add(grace));
                self.age = Age::Grace { until };
                self.idle_due = None;
                return ServerStep::Drain("max_age");
            }
            Age::Grace { until } if is_due(until) => {
                self.age = Age::Over;
                return ServerStep::TooOld;
            }
            Age::Young { .. } | Age::Grace { .. } | Age::Over => {}
        }
        if let Some(max_idle) = self.max_idle
            && is_due(self.idle_due)
        {
            self.idle_due = idle_since.unwrap_or(now).checked_add(max_idle);
            if is_due(self.idle_due) {
                self.idle_due = None;
                return ServerStep::Drain("max_idle");
            }
        }
        ServerStep::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Parameters without any limit, which a test completes.
    fn off() -> ServerParameters {
        ServerParameters {
            time: Duration::MAX,
            ..ServerParameters::default()
        }
    }

    /// A connection's keepalive and its clock.
    struct Fixture {
        begun: Instant,
        keepalive: ServerKeepalive,
    }

    impl Fixture {
        fn new(parameters: ServerParameters, random: f64) -> Self {
            let begun = Instant::now();
            Self {
                begun,
                keepalive: ServerKeepalive::new(parameters, begun, random),
            }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.begun + SECOND * u32::try_from(seconds).expect("short")
        }

        fn due(&self) -> Option<f64> {
            let deadline = self.keepalive.deadline()?;
            Some((deadline - self.begun).as_secs_f64())
        }

        /// At this second, with something received all the time.
        fn step(&mut self, seconds: u64, idle_since: Option<u64>) -> ServerStep {
            let now = self.at(seconds);
            let idle_since = idle_since.map(|since| self.at(since));
            self.keepalive.handle_timeout(now, now, idle_since)
        }
    }

    #[test]
    fn by_default_there_are_pings_every_two_hours_and_no_bounds() {
        let mut fixture = Fixture::new(ServerParameters::default(), 0.5);
        assert_eq!(fixture.due(), Some(7_200.0));
        let (begun, due, lost) = (fixture.begun, fixture.at(7_200), fixture.at(7_220));
        let keepalive = &mut fixture.keepalive;
        // No stream is needed.
        let step = keepalive.handle_timeout(due, begun, Some(begun));
        assert_eq!(step, ServerStep::Ping);
        let step = keepalive.handle_timeout(lost, begun, Some(begun));
        assert!(matches!(step, ServerStep::Lost(_)), "{step:?}");
    }

    #[test]
    fn a_connection_is_drained_when_it_was_idle_for_long() {
        let parameters = ServerParameters {
            max_connection_idle: Some(10 * SECOND),
            ..off()
        };
        let mut fixture = Fixture::new(parameters, 0.5);
        assert!(fixture.keepalive.watches_idleness());
        assert_eq!(fixture.due(), Some(10.0));
        assert_eq!(fixture.step(10, None), ServerStep::Wait, "it is busy");
        assert_eq!(fixture.due(), Some(20.0));
        assert_eq!(fixture.step(20, Some(13)), ServerStep::Wait);
        assert_eq!(fixture.due(), Some(23.0));
        assert_eq!(fixture.step(23, Some(13)), ServerStep::Drain("max_idle"));
        assert_eq!(fixture.due(), None);
        assert_eq!(fixture.step(100, Some(13)), ServerStep::Wait);
    }

    #[test]
    fn a_connection_is_drained_at_its_age_and_closed_after_the_grace() {
        let parameters = ServerParameters {
            max_connection_idle: Some(80 * SECOND),
            max_connection_age: Some(100 * SECOND),
            max_connection_age_grace: Some(5 * SECOND),
            ..off()
        };
        let mut fixture = Fixture::new(parameters, 0.5);
        assert_eq!(fixture.step(80, None), ServerStep::Wait);
        assert_eq!(fixture.due(), Some(100.0));
        assert_eq!(fixture.step(99, None), ServerStep::Wait);
        assert_eq!(fixture.step(100, None), ServerStep::Drain("max_age"));
        assert_eq!(fixture.step(100, None), ServerStep::Wait);
        assert_eq!(fixture.due(), Some(105.0), "idleness matters no more");
        assert_eq!(fixture.step(105, None), ServerStep::TooOld);
        assert_eq!(fixture.step(105, None), ServerStep::Wait);
    }

    #[test]
    fn without_a_grace_calls_have_all_the_time() {
        let parameters = ServerParameters {
            max_connection_age: Some(100 * SECOND),
            ..off()
        };
        let mut fixture = Fixture::new(parameters, 0.5);
        assert_eq!(fixture.step(100, None), ServerStep::Drain("max_age"));
        assert_eq!(fixture.due(), None);
    }

    #[test]
    fn the_age_is_a_tenth_longer_or_shorter_at_random() {
        let parameters = ServerParameters {
            max_connection_age: Some(100 * SECOND),
            ..off()
        };
        for (random, expected) in [(0.0, 90.0), (0.25, 95.0), (0.5, 100.0), (1.0, 110.0)] {
            let due = Fixture::new(parameters, random).due().expect("a bound");
            assert!((due - expected).abs() < 1e-6, "{random}: {due}");
        }
        let for_ever = ServerParameters {
            max_connection_idle: Some(Duration::MAX),
            max_connection_age: Some(Duration::MAX),
            ..off()
        };
        assert_eq!(Fixture::new(for_ever, 0.9).due(), None);
    }

    #[test]
    fn a_client_that_dies_while_its_connection_drains_is_noticed() {
        let parameters = ServerParameters {
            max_connection_age: Some(100 * SECOND),
            time: 60 * SECOND,
            ..off()
        };
        let mut fixture = Fixture::new(parameters, 0.5);
        assert_eq!(fixture.step(60, None), ServerStep::Wait);
        assert_eq!(fixture.step(100, None), ServerStep::Drain("max_age"));
        let silent_since = fixture.at(60);
        let mut at = |seconds| {
            let now = fixture.at(seconds);
            fixture.keepalive.handle_timeout(now, silent_since, None)
        };
        assert_eq!(at(120), ServerStep::Ping);
        let step = at(140);
        assert!(matches!(step, ServerStep::Lost(_)), "{step:?}");
    }

    #[test]
    fn several_deadlines_that_have_come_are_several_steps() {
        let parameters = ServerParameters {
            max_connection_idle: Some(10 * SECOND),
            max_connection_age: Some(10 * SECOND),
            time: 10 * SECOND,
            ..off()
        };
        let mut fixture = Fixture::new(parameters, 0.5);
        let (begun, now) = (fixture.begun, fixture.at(10));
        let mut steps = Vec::new();
        loop {
            let keepalive = &mut fixture.keepalive;
            match keepalive.handle_timeout(now, begun, Some(begun)) {
                ServerStep::Wait => break,
                step => steps.push(step),
            }
        }
        assert_eq!(steps, [ServerStep::Ping, ServerStep::Drain("max_age")]);
    }
}
