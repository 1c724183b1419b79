//! The keepalive of a client's connection: the probe, which sleeps while there is no stream. The
//! connection's task owns it.

use std::time::Duration;

use tokio::time::Instant;

use super::ClientParameters;
use super::probe::{Probe, ProbeStep};

/// The keepalive of one connection of a channel.
///
/// Source: grpc-go `http2Client.keepalive`; gRFC A8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientKeepalive {
    probe: Probe,
    permit_without_stream: bool,
}

impl ClientKeepalive {
    /// Creates the keepalive of a connection that is created now.
    pub(crate) fn new(parameters: ClientParameters, now: Instant) -> Self {
        let ClientParameters {
            time,
            timeout,
            permit_without_stream,
        } = parameters;
        Self {
            probe: Probe::new(time, timeout, now),
            permit_without_stream,
        }
    }

    /// The time between PINGs on this connection.
    pub(crate) fn time(&self) -> Duration {
        self.probe.time()
    }

    /// The time of the next call of [`handle_timeout`](Self::handle_timeout).
    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.probe.deadline()
    }

    /// Records that there are open streams. Returns whether to send a PING at once: there were no
    /// streams for a long time.
    #[inline]
    pub(crate) fn has_streams(&mut self, now: Instant, received: Instant) -> bool {
        let wakes = self.probe.is_dormant();
        if wakes {
            self.probe.wake(now, received);
        }
        wakes
    }

    /// Handles the deadline if it has come. `received` is the time at which something was last
    /// received.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        received: Instant,
        has_streams: bool,
    ) -> ProbeStep {
        let may_ping = has_streams || self.permit_without_stream;
        self.probe.handle_timeout(now, received, may_ping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_need_a_stream_or_the_permission_to_go_without() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        for (permit_without_stream, has_streams, expected) in [
            (false, false, ProbeStep::Wait),
            (false, true, ProbeStep::Ping),
            (true, false, ProbeStep::Ping),
            (true, true, ProbeStep::Ping),
        ] {
            let parameters = ClientParameters {
                permit_without_stream,
                ..ClientParameters::new(Duration::from_secs(10))
            };
            let mut keepalive = ClientKeepalive::new(parameters, begun);
            assert!(!keepalive.has_streams(at(1), begun));
            let step = keepalive.handle_timeout(at(10), begun, has_streams);
            assert_eq!(step, expected, "{permit_without_stream} {has_streams}");
            // Only a sleeping probe is woken by a stream, and once.
            assert_eq!(
                keepalive.has_streams(at(11), begun),
                expected == ProbeStep::Wait
            );
            assert!(!keepalive.has_streams(at(12), begun));
        }
    }
}
