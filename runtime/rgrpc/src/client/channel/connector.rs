//! Connects to an address: dialing, the handshake, and HTTP/2 up to the server's SETTINGS.
//!
//! Called by the task of each attempt to connect.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::timeout;

use crate::credentials::ChannelCredentials;
use crate::extensions::Extensions;
use crate::io::{Address, Dial, Peer};
use crate::lock::lock;
use crate::side::Side;
use crate::stats::{ConnectionBegin, StatsHandlers};
use crate::task::caught_in;
use crate::transport::{
    ClientSettings, ClientTransport, ConnectError, Report, Transport, TransportEvent,
};

/// Makes a channel's connections: dials, shakes hands, and waits for the server's SETTINGS.
#[derive(Clone)]
pub(in crate::client) struct Connector {
    pub(in crate::client) dialer: Arc<dyn Dial>,
    pub(in crate::client) credentials: ChannelCredentials,
    /// The authority without its port: the name that a server's certificate is for.
    pub(in crate::client) host: String,
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
        limit: Duration,
        report: Report,
    ) -> Result<Arc<dyn ClientTransport>, ConnectError> {
        match timeout(limit, self.connect_to(address.clone(), report)).await {
            Ok(Ok(transport)) => Ok(transport),
            Ok(Err(problem)) => Err(problem.map_text(|text| format!("{address}: {text}"))),
            Err(_) => Err(ConnectError::new(format!(
                "{address} did not answer within {} s",
                in_hundredths(limit)
            ))),
        }
    }

    async fn connect_to(
        &self,
        address: Address,
        report: Report,
    ) -> Result<Arc<dyn ClientTransport>, ConnectError> {
        let dialed = caught_in("the dialer", || self.dialer.dial(address))
            .await
            .map_err(|panicked| ConnectError::new(panicked.to_string()))?
            .map_err(ConnectError::caused_by)?;
        if let Some(timeout) = self.tcp_user_timeout {
            dialed.set_tcp_user_timeout(timeout);
        }
        let secured = self
            .credentials
            .handshake(dialed, &self.host)
            .await
            .map_err(ConnectError::caused_by)?;
        let report = self.record(&secured.peer, report);
        self.transport
            .connect(secured, self.settings.clone(), report)
            .await
            .map_err(|problem| problem.map_text(|text| text + self.credentials.unanswered_hint()))
    }

    /// Begins the connection with the stats handlers, if there are any. They are told of its end with
    /// its last event, or when it could not be made.
    fn record(&self, peer: &Peer, report: Report) -> Report {
        if self.stats.is_empty() {
            return report;
        }
        let recorders = self.stats.begin_connection(&mut ConnectionBegin {
            side: Side::Client,
            peer,
            extensions: &mut Extensions::new(),
        });
        let recorders = Mutex::new(Some(recorders));
        Arc::new(move |event| {
            if let TransportEvent::Closed { .. } = event {
                let recorders = lock(&recorders).take();
                drop(recorders);
            }
            report(event);
        })
    }
}

/// Seconds, with as many digits as they need and two after the point at most.
fn in_hundredths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100.0).round() / 100.0
}
