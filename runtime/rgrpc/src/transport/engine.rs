//! The choice of the engine: the one place that names both. The attempt to connect of a channel and the
//! connection of a server begin here, each on its own task.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

#[cfg(feature = "transport-h2")]
use super::h2;
use super::{
    AuthorityError, ClientSettings, ClientTransport, ConnectionPhase, Dispatch, PrefaceError,
    Report, ServerSettings, ServerTransport, Transport, native,
};
use crate::io::Connected;

/// The future that serves a connection. It is ready when the connection has ended.
pub(crate) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Transport {
    /// Checks that the engine can send this `:authority`, which is valid by RFC 3986.
    #[cfg_attr(
        not(feature = "transport-h2"),
        allow(unused_variables, reason = "only h2 minds")
    )]
    pub(crate) fn check_authority(self, authority: &str) -> Result<(), AuthorityError> {
        match self {
            Self::Native => Ok(()),
            #[cfg(feature = "transport-h2")]
            Self::H2 => h2::check_authority(authority),
        }
    }

    /// Returns whether the engine implements [keepalive](super::keepalive).
    pub(crate) fn has_keepalive(self) -> bool {
        self == Self::Native
    }

    /// Creates the client transport of a connection. Ready when the server's SETTINGS have arrived.
    ///
    /// The caller limits the time. A dropped future closes the connection.
    pub(crate) async fn connect(
        self,
        connected: Connected,
        settings: ClientSettings,
        report: Report,
    ) -> Result<Arc<dyn ClientTransport>, PrefaceError> {
        match self {
            Self::Native => native::connect(connected, settings, report).await,
            #[cfg(feature = "transport-h2")]
            Self::H2 => h2::connect(connected, settings, report).await,
        }
    }

    /// Serves a connection until it ends.
    pub(crate) fn serve<D: Dispatch>(
        self,
        connected: Connected,
        settings: ServerSettings,
        phase: ConnectionPhase,
        dispatch: Arc<D>,
    ) -> Serving {
        match self {
            Self::Native => {
                let connection = native::ServerConnection::new(connected, settings, phase);
                Box::pin(connection.serve(dispatch))
            }
            #[cfg(feature = "transport-h2")]
            Self::H2 => {
                let connection = h2::ServerConnection::new(connected, settings, phase);
                Box::pin(connection.serve(dispatch))
            }
        }
    }
}
