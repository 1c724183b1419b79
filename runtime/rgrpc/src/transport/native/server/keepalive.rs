//! The keepalive of a server's connection, with what it observes of the connection: the input, the
//! client's PINGs, and the time without streams. The rules are in `transport/keepalive/`; the
//! connection's task owns this and calls it in its turns.

use rgrpc_http2::Connection;
use tokio::time::Instant;

use super::stream::ServerLink;
use crate::transport::keepalive::{PingEnforcer, ServerKeepalive, ServerStep};
use crate::transport::native::link::End;
use crate::transport::{DisconnectReason, ServerSettings};

/// The keepalive of a connection, and the facts that decide about it.
pub(super) struct Keepalive {
    limits: ServerKeepalive,
    enforcer: PingEnforcer,
    /// The time at which something was last received.
    received: Instant,
    idleness: Idleness,
}

impl Keepalive {
    /// Creates the keepalive of a connection that begins now.
    pub(super) fn new(settings: &ServerSettings, now: Instant) -> Self {
        Self {
            limits: ServerKeepalive::new(settings.keepalive, now, fastrand::f64()),
            enforcer: PingEnforcer::new(settings.enforcement),
            received: now,
            idleness: Idleness {
                since: now,
                was_busy: false,
                opened: 0,
            },
        }
    }

    /// The time at which the connection reaches its maximum age, if there is one.
    pub(super) fn max_age_at(&self) -> Option<Instant> {
        self.limits.max_age_at()
    }

    /// The time at which something was last received.
    pub(super) fn last_received(&self) -> Instant {
        self.received
    }

    /// Records that something was received.
    #[inline]
    pub(super) fn received(&mut self, now: Instant) {
        self.received = now;
    }

    /// Handles a PING of the client, which the core has answered.
    pub(super) fn pinged(&mut self, link: &ServerLink, now: Instant) -> Result<(), End> {
        let core = &link.core;
        let sent = core.stats().headers_sent + core.stats().data_frames_sent;
        if self.enforcer.ping(now, core.open_streams() > 0, sent) {
            Ok(())
        } else {
            Err(Box::new(DisconnectReason::TooManyPings))
        }
    }

    /// Looks at the connection before its task sleeps. Returns the time of the next call of
    /// [`handle_timeout`](Self::handle_timeout).
    pub(super) fn prepare_sleep(&mut self, link: &ServerLink, now: Instant) -> Option<Instant> {
        if self.limits.watches_idleness() {
            self.idleness.look(&link.core, now);
        }
        self.limits.deadline()
    }

    /// Handles the deadlines that have come.
    pub(super) fn handle_timeout(
        &mut self,
        link: &mut ServerLink,
        now: Instant,
    ) -> Result<(), End> {
        let is_idle = link.core.open_streams() == 0;
        let idle_since = is_idle.then_some(self.idleness.since);
        loop {
            match self.limits.handle_timeout(now, self.received, idle_since) {
                ServerStep::Wait => return Ok(()),
                ServerStep::Ping => link.keepalive_ping(),
                ServerStep::Drain(why) => link.drain(why, now),
                ServerStep::Lost(unanswered) => return Err(Box::new(unanswered.into())),
                ServerStep::TooOld => return Err(Box::new(DisconnectReason::MaxConnectionAge)),
            }
        }
    }
}

/// The time since which a connection has no stream.
///
/// Updated once a turn. A stream that began and ended within a turn is counted.
#[derive(Clone, Copy, Debug)]
struct Idleness {
    since: Instant,
    /// There were streams at the last update.
    was_busy: bool,
    /// The number of streams opened up to then.
    opened: u64,
}

impl Idleness {
    fn look<T, H: Clone>(&mut self, core: &Connection<T, H>, now: Instant) {
        let opened = core.stats().streams_opened;
        let is_busy = core.open_streams() > 0;
        if is_busy || self.was_busy || opened != self.opened {
            *self = Self {
                since: now,
                was_busy: is_busy,
                opened,
            };
        }
    }
}
