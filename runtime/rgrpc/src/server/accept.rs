//! The accept loop of a listener.
//!
//! Run by `Server::serve` and its variants, in their future; it spawns a task for each connection,
//! or gives the connection to a worker.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::connection::Connection;
use super::dispatch::Dispatcher;
use super::workers::{SharedWorkers, Workers};
use super::{ServeError, ServerHandle};
use crate::channelz::Registry;
use crate::credentials::ServerCredentials;
use crate::io::{Connected, Listener};
use crate::transport::{ServerPhase, ServerSettings};

/// Accepts connections of one listener and starts their tasks: on its own runtime, or on workers.
pub(super) struct AcceptLoop {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) credentials: ServerCredentials,
    pub(super) settings: ServerSettings,
    pub(super) handle: ServerHandle,
    pub(super) registry: Registry,
    pub(super) workers: Option<Arc<SharedWorkers>>,
    pub(super) tcp_user_timeout: Option<Duration>,
}

/// An event that wakes an accept loop.
enum Event {
    Accepted(io::Result<Option<Connected>>),
    Stopping,
}

impl AcceptLoop {
    /// Runs until the server has stopped, or until the listener is closed for good.
    pub(super) async fn run(self, mut listener: impl Listener) -> Result<(), ServeError> {
        self.dispatcher.check()?;
        within_runtime()?;
        let mut phase = self.handle.watch();
        if *phase.borrow_and_update() != ServerPhase::Running {
            return Err(ServeError::Stopped);
        }
        let workers = match &self.workers {
            Some(workers) => Some(workers.running(&self.handle).await?),
            None => None,
        };
        let listening = self.handle.listen(&self.registry, listener.local_address());
        let mut backoff = AcceptBackoff::default();
        loop {
            let started = match next(&mut listener, &mut phase).await {
                Event::Accepted(Ok(Some(connected))) => self.start(connected, workers.as_deref()),
                Event::Accepted(Ok(None)) => return Ok(()),
                Event::Accepted(Err(error)) => Err(error),
                Event::Stopping => break,
            };
            match started {
                Ok(()) => backoff = AcceptBackoff::default(),
                Err(error) => {
                    let delay = backoff.next_delay();
                    tracing::warn!(
                        listener = %listener.local_address(), %error, ?delay,
                        "accepting a connection failed; trying again"
                    );
                    let stopping =
                        async { drop(phase.wait_for(|p| *p != ServerPhase::Running).await) };
                    // The loop continues in both cases: the time is over, or the server stops.
                    let _ = tokio::time::timeout(delay, stopping).await;
                }
            }
        }
        drop(listener);
        drop(listening);
        drop(phase);
        drop(workers);
        self.handle.stopped().await;
        Ok(())
    }

    fn start(&self, connected: Connected, workers: Option<&Workers>) -> io::Result<()> {
        if let Some(timeout) = self.tcp_user_timeout {
            connected.set_tcp_user_timeout(timeout);
        }
        let mut phase = self.handle.watch();
        // The connection must see a stop that began just now.
        phase.mark_changed();
        let connection = Connection {
            dispatcher: Arc::clone(&self.dispatcher),
            credentials: self.credentials.clone(),
            settings: self.settings.clone(),
            phase,
        };
        match workers {
            None => {
                tokio::spawn(connection.serve(connected));
            }
            Some(workers) => {
                let detached = connected.detach()?;
                workers.serve(connection.attach_and_serve(detached));
            }
        }
        Ok(())
    }
}

/// Checks that there is a tokio runtime, which a server's sockets, timers and tasks need.
pub(super) fn within_runtime() -> Result<(), ServeError> {
    match Handle::try_current() {
        Ok(_) => Ok(()),
        Err(_) => Err(ServeError::OutsideRuntime),
    }
}

/// Waits for the next connection, unless the server stops first.
async fn next(listener: &mut impl Listener, phase: &mut watch::Receiver<ServerPhase>) -> Event {
    let mut stopping = pin!(phase.wait_for(|phase| *phase != ServerPhase::Running));
    let mut accepted = pin!(listener.accept());
    poll_fn(|cx| {
        if stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Stopping);
        }
        accepted.as_mut().poll(cx).map(Event::Accepted)
    })
    .await
}

/// The delay after a failed accept: 5 ms, doubled after each further failure up to 1 s.
///
/// Source: grpc-go `Server.Serve`.
#[derive(Debug, Default)]
struct AcceptBackoff {
    last: Option<Duration>,
}

impl AcceptBackoff {
    fn next_delay(&mut self) -> Duration {
        let delay = match self.last {
            None => Duration::from_millis(5),
            Some(last) => (last * 2).min(Duration::from_secs(1)),
        };
        self.last = Some(delay);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_accepts_wait_5_ms_doubling_to_1_s() {
        let mut backoff = AcceptBackoff::default();
        let delays: Vec<_> = (0..10).map(|_| backoff.next_delay().as_millis()).collect();
        assert_eq!(delays, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
