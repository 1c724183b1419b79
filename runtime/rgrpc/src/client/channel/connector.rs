//! Connects to an address: dialing, the handshake, and HTTP/2 up to the server's SETTINGS.
//!
//! Called by the task of each attempt to connect.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::client::connectivity::{ConnectError, ConnectFailure};
use crate::credentials::ChannelCredentials;
use crate::io::{Address, Dial};
use crate::task::caught_in;
use crate::transport::{ClientSettings, ClientTransport, Report, Transport};

/// Makes a channel's connections: dials, shakes hands, and waits for the server's SETTINGS.
#[derive(Clone)]
pub(in crate::client) struct Connector {
    pub(in crate::client) dialer: Arc<dyn Dial>,
    pub(in crate::client) credentials: ChannelCredentials,
    /// The authority without its port: the name that a server's certificate is for.
    pub(in crate::client) host: String,
    pub(in crate::client) transport: Transport,
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
        let connected = timeout(limit, self.connect_to(address.clone(), report)).await;
        connected
            .unwrap_or(Err(ConnectFailure::TimedOut(limit)))
            .map_err(|failure| ConnectError::new(address.clone(), failure))
    }

    async fn connect_to(
        &self,
        address: Address,
        report: Report,
    ) -> Result<Arc<dyn ClientTransport>, ConnectFailure> {
        let dialed = caught_in("the dialer", || self.dialer.dial(address))
            .await
            .map_err(ConnectFailure::DialerPanicked)?
            .map_err(|error| ConnectFailure::Dial(Arc::new(error)))?;
        if let Some(timeout) = self.tcp_user_timeout {
            dialed.set_tcp_user_timeout(timeout);
        }
        let secured = self
            .credentials
            .handshake(dialed, &self.host)
            .await
            .map_err(|error| ConnectFailure::Handshake(error.into()))?;
        self.transport
            .connect(secured, self.settings.clone(), report)
            .await
            .map_err(|error| ConnectFailure::Preface {
                error: Box::new(error),
                hint: self.credentials.unanswered_hint(),
            })
    }
}
