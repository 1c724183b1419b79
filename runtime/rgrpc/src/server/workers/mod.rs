//! The threads of a server that serves on workers, of `Server::workers`.
//!
//! Accept loops stay on their caller's runtime. They share a server's [`Workers`] and deal
//! connections to them, each to the [`Worker`] that has the fewest. What keeps the threads is held
//! by the accept loops and by the connections, so nothing has to stop them: a server that stops
//! ends the ones and the others. The threads hold what tells the server that something still runs
//! for it, as connections do.

mod least_loaded;
mod worker;

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{Mutex as AsyncMutex, watch};

use least_loaded::least_loaded;
use worker::Worker;

use super::{ServeError, ServerHandle};
use crate::lock::lock;
use crate::transport::ServerPhase;

/// Where the accept loops of a server find its workers.
#[derive(Debug)]
pub(super) struct SharedWorkers {
    count: NonZeroUsize,
    /// Not kept from here: a server that is there and serves nothing has no threads.
    running: AsyncMutex<Weak<Workers>>,
}

impl SharedWorkers {
    pub(super) fn new(count: NonZeroUsize) -> Self {
        Self {
            count,
            running: AsyncMutex::default(),
        }
    }

    /// The workers that run for another accept loop, or new ones.
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

/// Workers that run.
#[derive(Debug)]
pub(super) struct Workers {
    workers: Vec<Worker>,
    /// Whose turn it is among workers with as many connections.
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
        // Held until the worker has the connection, so that no two are dealt by the same counts.
        let mut turn = lock(&self.turn);
        let counts = self.workers.iter().map(Worker::connections);
        let Some(chosen) = least_loaded(counts, *turn) else {
            return;
        };
        *turn = chosen + 1;
        self.workers[chosen].serve(connection);
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
