//! The phase of a server's connection: running, draining or stopped. The server and the connection's
//! handle set it; the connection's task waits for it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::sync::watch;

use super::ConnectionHandle;

/// The phase of a server, or of one of its connections, from running to stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ServerPhase {
    /// New connections and new calls are accepted.
    Running,
    /// Open calls go on. New ones are refused.
    Draining,
    /// Everything ends at once.
    Stopped,
}

/// The phase of a connection, as its task observes it: the later of the server's phase and its own.
#[derive(Debug)]
pub(crate) struct ConnectionPhase {
    server: watch::Receiver<ServerPhase>,
    connection: ConnectionHandle,
    /// The last phase that was returned.
    seen: ServerPhase,
}

impl ConnectionPhase {
    pub(crate) fn new(server: watch::Receiver<ServerPhase>, connection: ConnectionHandle) -> Self {
        Self {
            server,
            connection,
            seen: ServerPhase::Running,
        }
    }

    /// The connection.
    pub(crate) fn connection(&self) -> &ConnectionHandle {
        &self.connection
    }

    /// Waits until the phase has changed. A server that was dropped without being stopped cancels
    /// its calls. Cancel-safe.
    pub(crate) async fn next(&mut self) -> ServerPhase {
        loop {
            let phase = self.changed().await;
            // The other of the two may have reached this phase before.
            if phase > self.seen || phase == ServerPhase::Running {
                self.seen = phase;
                return phase;
            }
        }
    }

    /// Waits until one of the two phases has changed.
    async fn changed(&mut self) -> ServerPhase {
        let Self {
            server,
            connection,
            seen,
        } = self;
        let own = {
            let mut changed = pin!(server.changed());
            poll_fn(|cx| {
                if let Poll::Ready(phase) = connection.poll_later(*seen, cx) {
                    return Poll::Ready(Some(phase));
                }
                changed.as_mut().poll(cx).map(|changed| match changed {
                    Ok(()) => None,
                    Err(_) => Some(ServerPhase::Stopped),
                })
            })
            .await
        };
        own.unwrap_or_else(|| *server.borrow_and_update())
    }

    /// Waits until the phase is not [`ServerPhase::Running`]. Cancel-safe.
    #[cfg(feature = "transport-h2")]
    pub(crate) async fn stopping(&mut self) {
        while self.next().await == ServerPhase::Running {}
    }
}
