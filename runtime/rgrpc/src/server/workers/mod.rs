//! The workers of a server, set by `Server::workers`: threads with a runtime each.
//!
//! Accept loops stay on their caller's runtime. They share a server's [`Workers`] and give each
//! connection to the [`Worker`] that has the fewest. The accept loops and the connections hold the
//! leases of the threads, so nothing has to stop the threads: a server that stops ends accept
//! loops and connections. As a connection does, a thread holds a receiver by which the server
//! knows that something still runs for it.

mod least_loaded;
mod worker;

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{Mutex as AsyncMutex, watch};

use least_loaded::least_loaded;
use worker::{Reservation, Worker};

use super::{ServeError, ServerHandle};
use crate::lock::lock;
use crate::transport::ServerPhase;

/// The workers of a server, as its accept loops share them.
#[derive(Debug)]
pub(super) struct SharedWorkers {
    count: NonZeroUsize,
    /// Weak, because a server that serves nothing has no threads.
    running: AsyncMutex<Weak<Workers>>,
}

impl SharedWorkers {
    pub(super) fn new(count: NonZeroUsize) -> Self {
        Self {
            count,
            running: AsyncMutex::default(),
        }
    }

    /// Returns the workers that run for another accept loop, or starts new ones.
    pub(super) async fn running(&self, server: &ServerHandle) -> Result<Arc<Workers>, ServeError> {
        let mut running = self.running.lock().await;
        if let Some(workers) = running.upgrade() {
            return Ok(workers);
        }
        let workers = Arc::new(Workers::start(self.count, &server.watch()).await?);
        *running = Arc::downgrade(&workers);
        Ok(workers)
    }
}

/// Running workers.
#[derive(Debug)]
pub(super) struct Workers {
    workers: Vec<Worker>,
    /// The next worker among those with equally many connections.
    turn: Mutex<usize>,
}

impl Workers {
    async fn start(
        count: NonZeroUsize,
        alive: &watch::Receiver<ServerPhase>,
    ) -> Result<Self, ServeError> {
        let mut workers = Vec::new();
        for number in 0..count.get() {
            let worker = Worker::start(number, alive.clone());
            workers.push(worker.await.map_err(ServeError::Worker)?);
        }
        Ok(Self {
            workers,
            turn: Mutex::default(),
        })
    }

    /// Serves a connection on the worker that has the fewest, until the future is ready.
    pub(super) fn serve(&self, connection: impl Future<Output = ()> + Send + 'static) {
        if let Some(reserved) = self.reserve() {
            reserved.serve(connection);
        }
    }

    /// Reserves the worker that has the fewest connections.
    fn reserve(&self) -> Option<Reservation> {
        // Held until the worker counts the connection, so that no two are dealt by the same counts.
        let mut turn = lock(&self.turn);
        let counts = self.workers.iter().map(Worker::connections);
        let chosen = least_loaded(counts, *turn)?;
        *turn = chosen + 1;
        Some(self.workers[chosen].reserve())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    use super::*;

    /// A connection that ends when the sender is dropped, and that says where it is served.
    async fn connection(workers: &Workers) -> (String, oneshot::Sender<()>) {
        let (told, tells) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        workers.serve(async {
            let thread = std::thread::current();
            // The test waits for it.
            let _ = told.send(thread.name().unwrap_or_default().to_owned());
            let _ = ended.await;
        });
        (tells.await.expect("it is served"), end)
    }

    #[tokio::test]
    async fn a_connection_goes_to_the_worker_where_one_has_ended() {
        let server = ServerHandle::default();
        let shared = SharedWorkers::new(NonZeroUsize::new(3).expect("not 0"));
        let workers = shared.running(&server).await.expect("threads");
        let mut ends = Vec::new();
        for worker in [0, 1, 2, 0, 1, 2] {
            let (thread, end) = connection(&workers).await;
            assert_eq!(thread, format!("rgrpc-worker-{worker}"));
            ends.push(end);
        }
        // Its worker has one, the others two.
        drop(ends.remove(4));
        while workers.workers[1].connections() > 1 {
            yield_now().await;
        }
        for worker in [1, 2, 0, 1] {
            let (thread, end) = connection(&workers).await;
            assert_eq!(thread, format!("rgrpc-worker-{worker}"));
            ends.push(end);
        }
    }

    #[tokio::test]
    async fn workers_end_when_neither_accept_loops_nor_connections_are_left() {
        let server = ServerHandle::default();
        let shared = SharedWorkers::new(NonZeroUsize::MIN);
        let workers = shared.running(&server).await.expect("a thread");
        let (_, end) = connection(&workers).await;
        let again = shared.running(&server).await.expect("the same");
        assert!(Arc::ptr_eq(&workers, &again));
        drop((workers, again));
        let mut stopped = std::pin::pin!(server.stopped());
        tokio::select! {
            biased;
            () = &mut stopped => panic!("a connection is left"),
            () = yield_now() => {}
        }
        drop(end);
        stopped.await;
    }
}
