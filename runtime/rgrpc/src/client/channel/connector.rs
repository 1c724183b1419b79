//! Connects to an address: dialing, the handshake, and HTTP/2 up to the server's SETTINGS.
//!
//! Called by the task of each attempt to connect.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::client::connectivity::{ConnectError, ConnectFailure, ConnectPhase};
use crate::credentials::{ChannelCredentials, HandshakeTarget};
use crate::extensions::Extensions;
use crate::io::{Address, Dial, Peer};
use crate::lock::lock;
use crate::resolver::Attributes;
use crate::side::Side;
use crate::stats::{ConnectionBegin, ConnectionRecorders, StatsHandlers};
use crate::task::caught_in;
use crate::transport::{
    ClientSettings, ClientTransport, Disconnect, Report, Transport, TransportEvent,
};

/// Makes a channel's connections: dials, shakes hands, and waits for the server's SETTINGS.
#[derive(Clone)]
pub(in crate::client) struct Connector {
    pub(in crate::client) dialer: Arc<dyn Dial>,
    pub(in crate::client) credentials: ChannelCredentials,
    /// The authority without its port: the name that a server's certificate is for.
    pub(in crate::client) host: String,
    /// The channel's authority.
    pub(in crate::client) authority: String,
    pub(in crate::client) transport: Transport,
    pub(in crate::client) stats: StatsHandlers,
    pub(in crate::client) tcp_user_timeout: Option<Duration>,
    pub(in crate::client) settings: ClientSettings,
}

impl Connector {
    /// Connects to an address within `limit`. The text of the error names the address.
    pub(super) async fn connect(
        &self,
        address: &Address,
        attributes: &Attributes,
        limit: Duration,
        report: Report,
    ) -> Result<Arc<dyn ClientTransport>, ConnectError> {
        let deadline = Deadline::after(limit);
        let connected = self.connect_to(address, attributes, deadline, report).await;
        connected.map_err(|failure| ConnectError::new(address.clone(), failure))
    }

    async fn connect_to(
        &self,
        address: &Address,
        attributes: &Attributes,
        deadline: Deadline,
        report: Report,
    ) -> Result<Arc<dyn ClientTransport>, ConnectFailure> {
        let timed_out = |phase| {
            let limit = deadline.limit;
            move || ConnectFailure::TimedOut { phase, limit }
        };
        let dialed = deadline
            .bounds(caught_in("the dialer", || {
                self.dialer.dial_with(address.clone(), attributes)
            }))
            .await
            .ok_or_else(timed_out(ConnectPhase::Dial))?
            .map_err(ConnectFailure::DialerPanicked)?
            .map_err(|error| ConnectFailure::Dial(Arc::new(error)))?;
        if let Some(timeout) = self.tcp_user_timeout {
            dialed.set_tcp_user_timeout(timeout);
        }
        let target = HandshakeTarget {
            host: &self.host,
            authority: &self.authority,
            address,
            attributes,
        };
        let secured = deadline
            .bounds(self.credentials.secure(dialed, &target, deadline.at))
            .await
            .unwrap_or_else(|| Err(self.credentials.timed_out(deadline.limit)))
            .map_err(|error| ConnectFailure::Handshake(Arc::new(error)))?;
        let recorders = self.begin_recording(&secured.peer);
        let report = match &recorders {
            Some(recorders) => Arc::clone(recorders).before(report),
            None => report,
        };
        let connect = self
            .transport
            .connect(secured, self.settings.clone(), report);
        let connected = deadline
            .bounds(connect)
            .await
            .ok_or_else(timed_out(ConnectPhase::Preface))?;
        connected.map_err(|error| {
            if let Some(recorders) = recorders {
                recorders.end(&error.0);
            }
            ConnectFailure::Preface {
                error: Box::new(error),
                hint: self.credentials.unanswered_hint(),
            }
        })
    }

    /// Begins the connection with the stats handlers, if there are any; returns their recorders.
    fn begin_recording(&self, peer: &Peer) -> Option<Arc<SharedRecorders>> {
        let recorders = self.stats.begin_connection(&mut ConnectionBegin {
            side: Side::Client,
            peer,
            extensions: &mut Extensions::new(),
        })?;
        Some(Arc::new(SharedRecorders(Mutex::new(Some(recorders)))))
    }
}

/// The recorders of a connection, until it has ended.
struct SharedRecorders(Mutex<Option<ConnectionRecorders>>);

impl SharedRecorders {
    /// Reports the end of the connection, the first time.
    fn end(&self, end: &Disconnect) {
        let recorders = lock(&self.0).take();
        if let Some(recorders) = recorders {
            recorders.set_reason(end.reason());
        }
    }

    /// Has them told of the last event of the connection, before it is reported further.
    fn before(self: Arc<Self>, report: Report) -> Report {
        Arc::new(move |event| {
            if let TransportEvent::Closed { end, .. } = &event {
                self.end(end);
            }
            report(event);
        })
    }
}

/// The end of an attempt's time to connect.
#[derive(Clone, Copy)]
struct Deadline {
    limit: Duration,
    /// `None`: too far away to be expressed.
    at: Option<Instant>,
}

impl Deadline {
    fn after(limit: Duration) -> Self {
        Self {
            limit,
            at: Instant::now().checked_add(limit),
        }
    }

    /// Runs a future until the deadline. `None`: it was not ready in time. As cancel-safe as the
    /// future.
    async fn bounds<F: Future>(&self, future: F) -> Option<F::Output> {
        match self.at {
            Some(at) => timeout_at(at, future).await.ok(),
            None => Some(future.await),
        }
    }
}
