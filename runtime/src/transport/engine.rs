use std::env;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use super::{
    ClientTransport, Dispatch, Phase, Report, ServerSettings, ServerTransport, h2, native,
};
use crate::io::Connected;

/// What carries calls over a connection: the HTTP/2 implementation.
///
/// Calls behave alike on both. The default is [`Transport::H2`], unless the environment variable
/// `RGRPC_TRANSPORT` says `native` (or `h2`) when the first channel or server is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// The engine of this crate: one task a connection, which owns all of its state.
    Native,
    /// The `h2` crate.
    H2,
}

impl Default for Transport {
    fn default() -> Self {
        static DEFAULT: OnceLock<Transport> = OnceLock::new();
        *DEFAULT.get_or_init(|| match env::var("RGRPC_TRANSPORT").as_deref() {
            Ok("native") => Self::Native,
            Ok("h2") | Err(_) => Self::H2,
            Ok(other) => {
                tracing::warn!(
                    value = other,
                    "RGRPC_TRANSPORT names no transport: native or h2 is expected; using h2"
                );
                Self::H2
            }
        })
    }
}

impl Transport {
    /// Makes a client transport of a connection: ready when the server's SETTINGS have arrived.
    ///
    /// The caller bounds the time; a dropped future closes the connection.
    pub(crate) async fn connect(
        self,
        connected: Connected,
        report: Report,
    ) -> Result<Arc<dyn ClientTransport>, String> {
        match self {
            Self::Native => native::connect(connected, report).await,
            Self::H2 => h2::connect(connected, report).await,
        }
    }

    /// Serves a connection until it ends.
    pub(crate) async fn serve<D: Dispatch>(
        self,
        connected: Connected,
        settings: ServerSettings,
        phase: watch::Receiver<Phase>,
        dispatch: Arc<D>,
    ) {
        match self {
            Self::Native => {
                let connection = native::ServerConnection::new(connected, settings, phase);
                connection.serve(dispatch).await;
            }
            Self::H2 => {
                let connection = h2::ServerConnection::new(connected, settings, phase);
                connection.serve(dispatch).await;
            }
        }
    }
}
