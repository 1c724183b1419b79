//! The strikes of a client that sends too many PINGs. The task of a server's connection owns them
//! and reports every PING.

use std::time::Duration;

use tokio::time::Instant;

use super::EnforcementPolicy;

/// The number of tolerated strikes. One more ends the connection. Source: grpc-go `maxPingStrikes`.
const MAX_STRIKES: u8 = 2;

/// The minimum time between PINGs without streams, where these are not permitted. Source: grpc-go
/// `defaultPingTimeout`.
const MIN_TIME_WITHOUT_STREAM: Duration = Duration::from_secs(2 * 60 * 60);

/// The policy on the PINGs of one client, and the client's strikes so far.
///
/// A client that measures the bandwidth by PINGs sends one after it has received DATA that followed
/// the answer to the last one. The server has then sent DATA since the last PING, so there is no
/// strike. This holds for grpc-go's estimator and for ours, whatever the policy.
///
/// Source: grpc-go `http2Server.handlePing`; gRFC A8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PingEnforcer {
    policy: EnforcementPolicy,
    strikes: u8,
    last_ping: Option<Instant>,
    /// The number of frames that had been sent at the last PING.
    sent: u64,
}

impl PingEnforcer {
    /// Creates the policy of a new connection.
    pub(crate) fn new(policy: EnforcementPolicy) -> Self {
        Self {
            policy,
            strikes: 0,
            last_ping: None,
            sent: 0,
        }
    }

    /// Handles a PING. `sent` is the number of HEADERS and DATA frames that the server has sent so
    /// far. Returns whether the connection may go on.
    pub(crate) fn ping(&mut self, now: Instant, has_streams: bool, sent: u64) -> bool {
        let last = self.last_ping.replace(now);
        if std::mem::replace(&mut self.sent, sent) != sent {
            self.strikes = 0;
            return true;
        }
        let min_time = if has_streams || self.policy.permit_without_stream {
            self.policy.min_time
        } else {
            MIN_TIME_WITHOUT_STREAM
        };
        let is_early = last.is_some_and(|last| now.saturating_duration_since(last) < min_time);
        self.strikes = self.strikes.saturating_add(u8::from(is_early));
        self.strikes <= MAX_STRIKES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;

    /// PINGs as (seconds, there are streams, frames sent so far, the connection goes on).
    type Pings = &'static [(u64, bool, u64, bool)];

    fn run(policy: EnforcementPolicy, pings: Pings) {
        let begun = Instant::now();
        let mut enforcer = PingEnforcer::new(policy);
        for (n, &(seconds, has_streams, sent, expected)) in pings.iter().enumerate() {
            let now = begun + Duration::from_secs(seconds);
            let goes_on = enforcer.ping(now, has_streams, sent);
            assert_eq!(goes_on, expected, "PING {n}");
        }
    }

    fn permitting() -> EnforcementPolicy {
        EnforcementPolicy {
            permit_without_stream: true,
            ..EnforcementPolicy::default()
        }
    }

    #[test]
    fn the_fourth_ping_in_a_row_is_one_too_many() {
        let pings: Pings = &[
            (0, true, 0, true),
            (1, true, 0, true),
            (2, true, 0, true),
            (3, true, 0, false),
        ];
        run(EnforcementPolicy::default(), pings);
        run(permitting(), pings);
    }

    #[test]
    fn a_client_that_keeps_the_minimum_may_ping_for_ever() {
        let policy = EnforcementPolicy::default();
        let begun = Instant::now();
        let mut enforcer = PingEnforcer::new(policy);
        for n in 0..100 {
            let now = begun + Duration::from_secs(n * 5 * MINUTE);
            assert!(enforcer.ping(now, true, 0), "PING {n}");
        }
    }

    #[test]
    fn an_honest_ping_forgives_no_strike() {
        run(
            EnforcementPolicy::default(),
            &[
                (0, true, 0, true),
                (1, true, 0, true),
                (5 * MINUTE + 1, true, 0, true),
                (5 * MINUTE + 2, true, 0, true),
                (10 * MINUTE + 2, true, 0, true),
                (10 * MINUTE + 3, true, 0, false),
            ],
        );
    }

    #[test]
    fn frames_sent_since_the_last_ping_clear_the_strikes() {
        run(
            EnforcementPolicy::default(),
            &[
                (0, true, 0, true),
                (1, true, 0, true),
                (2, true, 0, true),
                (3, true, 1, true),
                (4, true, 1, true),
                (5, true, 1, true),
                (6, true, 2, true),
                (7, true, 2, true),
                (8, true, 2, true),
                (9, true, 2, false),
            ],
        );
    }

    #[test]
    fn without_streams_two_hours_have_to_pass_unless_the_policy_permits() {
        run(
            EnforcementPolicy::default(),
            &[
                (0, false, 0, true),
                (HOUR, false, 0, true),
                (2 * HOUR, false, 0, true),
                (4 * HOUR, false, 0, true),
                (5 * HOUR, false, 0, false),
            ],
        );
        run(
            permitting(),
            &[
                (0, false, 0, true),
                (5 * MINUTE, false, 0, true),
                (10 * MINUTE, false, 0, true),
                (15 * MINUTE, false, 0, true),
                (20 * MINUTE, false, 0, true),
            ],
        );
    }

    #[test]
    fn a_minimum_of_zero_lets_all_pings_with_streams_pass() {
        let policy = EnforcementPolicy {
            min_time: Duration::ZERO,
            permit_without_stream: false,
        };
        run(
            policy,
            &[
                (0, true, 0, true),
                (0, true, 0, true),
                (0, true, 0, true),
                (0, true, 0, true),
                (0, false, 0, true),
                (0, false, 0, true),
                (0, false, 0, false),
            ],
        );
    }
}
