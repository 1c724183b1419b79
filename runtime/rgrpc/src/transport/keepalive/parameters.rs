//! The parameters of keepalive, as users set them. Channels and servers normalize them once, when
//! they are created. Connections copy the result.

use std::time::Duration;

/// The minimum time between a channel's PINGs. Source: grpc-go `internal.KeepaliveMinPingTime`.
const MIN_CLIENT_TIME: Duration = Duration::from_secs(10);

/// The minimum time between a server's PINGs. Source: grpc-go
/// `internal.KeepaliveMinServerPingTime`.
const MIN_SERVER_TIME: Duration = Duration::from_secs(1);

/// The default time between a server's PINGs.
const DEFAULT_SERVER_TIME: Duration = Duration::from_secs(2 * 60 * 60);

/// The default wait for an answer.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// The keepalive of a channel's connections.
///
/// ```
/// use std::time::Duration;
/// use rgrpc::keepalive::ClientParameters;
///
/// // A dead connection is noticed 40 s after the last octet from it.
/// let keepalive = ClientParameters {
///     timeout: Duration::from_secs(10),
///     ..ClientParameters::new(Duration::from_secs(30))
/// };
/// ```
///
/// Source: grpc-go `keepalive.ClientParameters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientParameters {
    /// The time without any octet received after which the client sends a PING. A time below
    /// the minimum of 10 s is raised to it, with a warning in the log. `Duration::MAX` means no
    /// PINGs.
    ///
    /// When a server ends a connection with GOAWAY `too_many_pings`, the time doubles for later
    /// connections of the channel.
    pub time: Duration,
    /// The time after a PING within which something must be received, or the connection is closed.
    /// Zero means the default. Default: 20 s.
    pub timeout: Duration,
    /// Sends PINGs also while the connection has no call. Servers permit that only if their
    /// [`EnforcementPolicy::permit_without_stream`] does. Default: false; the first call after a
    /// pause longer than `time` sends a PING at once instead.
    pub permit_without_stream: bool,
}

impl ClientParameters {
    /// Creates parameters with this time and otherwise the defaults. A PING is sent after the time
    /// without any octet received.
    #[must_use]
    pub const fn new(time: Duration) -> Self {
        Self {
            time,
            timeout: DEFAULT_TIMEOUT,
            permit_without_stream: false,
        }
    }

    /// Returns the parameters with every value in its range. Logs a time that is too short.
    pub(crate) fn in_range(self) -> Self {
        if self.time < MIN_CLIENT_TIME {
            tracing::warn!(
                time = ?self.time,
                "a keepalive time of a channel was raised to the minimum of 10 s; the option is keepalive"
            );
        }
        Self {
            time: self.time.max(MIN_CLIENT_TIME),
            timeout: timeout_or_default(self.timeout),
            ..self
        }
    }
}

/// The keepalive of a server's connections: PINGs, and the bounds on idleness and age.
///
/// ```
/// use std::time::Duration;
/// use rgrpc::keepalive::ServerParameters;
///
/// // Clients reconnect every half an hour, and so find new replicas.
/// let keepalive = ServerParameters {
///     max_connection_age: Some(Duration::from_secs(30 * 60)),
///     max_connection_age_grace: Some(Duration::from_secs(60)),
///     ..ServerParameters::default()
/// };
/// ```
///
/// Source: grpc-go `keepalive.ServerParameters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerParameters {
    /// The time without any call after which a connection is closed gracefully, by GOAWAY with the
    /// debug data `max_idle`. It counts from the end of the last call, or from the start of the
    /// connection. `None` and zero mean no limit. Default: `None`.
    pub max_connection_idle: Option<Duration>,
    /// The age at which a connection is closed gracefully, by GOAWAY with the debug data `max_age`.
    /// Each connection's age is longer or shorter by a random part of up to 10 %, so that clients
    /// do not reconnect all at once. `None` and zero mean no limit. Default: `None`.
    pub max_connection_age: Option<Duration>,
    /// The time in which calls can end after [`max_connection_age`](Self::max_connection_age). Then
    /// the connection is closed, and its remaining calls are cancelled. `None` and zero mean no
    /// limit. Default: `None`.
    pub max_connection_age_grace: Option<Duration>,
    /// The time without any octet received after which the server sends a PING. The minimum is 1 s:
    /// a shorter time is raised to that, with a warning in the log. Zero means the default, and
    /// `Duration::MAX` means no PINGs. Default: 2 h.
    pub time: Duration,
    /// The time after a PING within which something must be received, or the connection is closed
    /// and its calls are cancelled. Zero means the default. Default: 20 s.
    pub timeout: Duration,
}

impl Default for ServerParameters {
    fn default() -> Self {
        Self {
            max_connection_idle: None,
            max_connection_age: None,
            max_connection_age_grace: None,
            time: DEFAULT_SERVER_TIME,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

impl ServerParameters {
    /// Returns the parameters with every value in its range. Logs a time that is too short.
    pub(crate) fn in_range(self) -> Self {
        let bound = |time: Option<Duration>| time.filter(|time| !time.is_zero());
        let time = match self.time {
            Duration::ZERO => DEFAULT_SERVER_TIME,
            time if time < MIN_SERVER_TIME => {
                tracing::warn!(
                    ?time,
                    "a keepalive time of a server was raised to the minimum of 1 s; the option is keepalive"
                );
                MIN_SERVER_TIME
            }
            time => time,
        };
        Self {
            max_connection_idle: bound(self.max_connection_idle),
            max_connection_age: bound(self.max_connection_age),
            max_connection_age_grace: bound(self.max_connection_age_grace),
            time,
            timeout: timeout_or_default(self.timeout),
        }
    }
}

/// A server's policy on the PINGs of its clients.
///
/// A PING that comes too soon is a strike. The third strike ends the connection, by GOAWAY with the
/// code ENHANCE_YOUR_CALM and the debug data `too_many_pings`. Headers, messages or trailers of a
/// response that the server has sent since the last PING clear the strikes. So PINGs by which a
/// client measures the bandwidth of its downloads are no strikes. The first PING of a connection is
/// no strike either.
///
/// Source: grpc-go `keepalive.EnforcementPolicy`; gRFC A8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnforcementPolicy {
    /// The minimum time between two PINGs. Zero means no minimum (in grpc-go: the default).
    /// Default: 5 min.
    pub min_time: Duration,
    /// Permits PINGs on a connection without calls, as often as on one with calls. Without it, one
    /// in 2 h is permitted there. Default: false.
    pub permit_without_stream: bool,
}

impl Default for EnforcementPolicy {
    fn default() -> Self {
        Self {
            min_time: Duration::from_secs(5 * 60),
            permit_without_stream: false,
        }
    }
}

fn timeout_or_default(timeout: Duration) -> Duration {
    if timeout.is_zero() {
        DEFAULT_TIMEOUT
    } else {
        timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_clients_time_is_at_least_10_s_and_a_timeout_of_zero_is_20_s() {
        for (time, expected) in [
            (Duration::ZERO, 10 * SECOND),
            (9 * SECOND, 10 * SECOND),
            (10 * SECOND, 10 * SECOND),
            (11 * SECOND, 11 * SECOND),
            (Duration::MAX, Duration::MAX),
        ] {
            assert_eq!(ClientParameters::new(time).in_range().time, expected);
        }
        let parameters = ClientParameters {
            timeout: Duration::ZERO,
            permit_without_stream: true,
            ..ClientParameters::new(30 * SECOND)
        };
        assert_eq!(
            parameters.in_range(),
            ClientParameters {
                time: 30 * SECOND,
                timeout: 20 * SECOND,
                permit_without_stream: true,
            }
        );
    }

    #[test]
    fn a_servers_time_is_at_least_1_s_and_zero_is_the_default_or_no_bound() {
        for (time, expected) in [
            (Duration::ZERO, 7_200 * SECOND),
            (SECOND / 2, SECOND),
            (SECOND, SECOND),
            (Duration::MAX, Duration::MAX),
        ] {
            let parameters = ServerParameters {
                time,
                ..ServerParameters::default()
            };
            assert_eq!(parameters.in_range().time, expected);
        }
        let zero = Some(Duration::ZERO);
        let parameters = ServerParameters {
            max_connection_idle: zero,
            max_connection_age: zero,
            max_connection_age_grace: zero,
            time: Duration::ZERO,
            timeout: Duration::ZERO,
        };
        assert_eq!(parameters.in_range(), ServerParameters::default());
    }
}
