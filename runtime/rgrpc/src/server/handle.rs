use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::transport::Phase;

/// Stops a [`Server`](super::Server); cheap to clone, and usable from anywhere.
///
/// Source: grpc-go `Server.Stop` and `Server.GracefulStop`.
#[derive(Clone)]
pub struct ServerHandle {
    /// Every accept loop, connection, call and worker holds a receiver: when none is left, the
    /// server has stopped.
    phase: Arc<watch::Sender<Phase>>,
}

impl ServerHandle {
    /// Stops at once: listeners and connections are closed, calls are cancelled and their handlers
    /// dropped. Does not wait for that; [`stopped`](Self::stopped) does. Idempotent, and ends a
    /// graceful stop that is under way.
    pub fn stop(&self) {
        self.advance(Phase::Stopped);
    }

    /// Stops gracefully: listeners are closed, clients are told to make new calls elsewhere, and
    /// calls that have begun go on. Ready when the last has ended. Idempotent.
    ///
    /// Cancel-safe: dropping the future only stops the waiting.
    pub async fn graceful_stop(&self) {
        self.advance(Phase::Draining);
        self.stopped().await;
    }

    /// Ready when nothing runs for the server: no listener, no connection, no call, no
    /// [worker](super::Server::workers). Before the server has begun to serve this is so as well.
    ///
    /// Cancel-safe.
    pub async fn stopped(&self) {
        self.phase.closed().await;
    }

    /// A phase is never left for an earlier one.
    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let advances = *phase < to;
            if advances {
                *phase = to;
            }
            advances
        });
    }

    pub(super) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }
}

impl Default for ServerHandle {
    fn default() -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Running)),
        }
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("phase", &*self.phase.borrow())
            .finish()
    }
}
