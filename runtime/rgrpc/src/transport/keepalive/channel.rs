//! The keepalive of a channel: its parameters, whose time its connections may double. The tasks of
//! the connections share it. It is read when a connection is created.

use std::sync::Mutex;
use std::time::Duration;

use super::ClientParameters;
use crate::lock::lock;

/// The keepalive parameters of the next connection of a channel.
///
/// Source: grpc-go `ClientConn.keepaliveParams`, `addrConn.adjustParams`.
#[derive(Debug)]
pub(crate) struct ChannelKeepalive {
    parameters: Mutex<ClientParameters>,
}

impl ChannelKeepalive {
    /// Creates the keepalive of a new channel, from parameters that are in range.
    pub(crate) fn new(parameters: ClientParameters) -> Self {
        Self {
            parameters: Mutex::new(parameters),
        }
    }

    /// Returns the parameters of a connection that is created now.
    pub(crate) fn parameters(&self) -> ClientParameters {
        *lock(&self.parameters)
    }

    /// Doubles the time of later connections, because a server has ended a connection with this
    /// time for its PINGs. Several connections that end together double it once. Returns the time
    /// of the next connection.
    pub(crate) fn too_many_pings(&self, time: Duration) -> Duration {
        let mut parameters = lock(&self.parameters);
        parameters.time = parameters.time.max(time.saturating_mul(2));
        parameters.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_that_pings_too_often_doubles_its_own_time_for_the_next() {
        let second = Duration::from_secs(1);
        let keepalive = ChannelKeepalive::new(ClientParameters::new(10 * second));
        for (time, expected) in [
            (10 * second, 20 * second),
            // Another connection with the same time.
            (10 * second, 20 * second),
            (20 * second, 40 * second),
            (10 * second, 40 * second),
            (Duration::MAX, Duration::MAX),
        ] {
            assert_eq!(keepalive.too_many_pings(time), expected);
            assert_eq!(keepalive.parameters().time, expected);
        }
    }
}
