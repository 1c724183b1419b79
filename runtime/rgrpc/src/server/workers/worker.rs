//! One worker: a thread, its runtime, and the count of its connections.
//!
//! Started by the first accept loop; accept loops give it connections.

use std::convert::Infallible;
use std::future::Future;
use std::{io, thread};

use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};

use crate::transport::ServerPhase;

/// A lease of a worker's thread: the thread ends when the last lease is dropped. Nothing is sent.
type Lease = mpsc::Sender<Infallible>;

/// A thread with a runtime of its own, which it keeps until the last connection has ended.
#[derive(Debug)]
pub(super) struct Worker {
    runtime: Handle,
    lease: Lease,
}

impl Worker {
    /// Starts the thread. It drops `alive` when it ends.
    pub(super) async fn start(
        number: usize,
        alive: watch::Receiver<ServerPhase>,
    ) -> io::Result<Self> {
        let (lease, leases) = mpsc::channel(1);
        let (started, starting) = oneshot::channel();
        thread::Builder::new()
            .name(format!("rgrpc-worker-{number}"))
            .spawn(move || {
                run(started, leases);
                drop(alive);
            })?;
        let started = starting.await;
        let runtime =
            started.map_err(|_| io::Error::other("its thread ended before it began"))??;
        Ok(Self { runtime, lease })
    }

    /// The number of connections of the worker.
    pub(super) fn connections(&self) -> usize {
        self.lease.strong_count() - 1
    }

    /// Reserves the worker for a connection, which [`connections`](Self::connections) counts from
    /// now on.
    pub(super) fn reserve(&self) -> Reservation {
        Reservation {
            runtime: self.runtime.clone(),
            lease: self.lease.clone(),
        }
    }
}

/// A worker that will serve a connection.
pub(super) struct Reservation {
    runtime: Handle,
    lease: Lease,
}

impl Reservation {
    /// Serves the connection until the future is ready.
    pub(super) fn serve(self, connection: impl Future<Output = ()> + Send + 'static) {
        let Self { runtime, lease } = self;
        runtime.spawn(async move {
            connection.await;
            drop(lease);
        });
    }
}

/// Runs the thread until the last lease is dropped.
fn run(started: oneshot::Sender<io::Result<Handle>>, mut leases: mpsc::Receiver<Infallible>) {
    // Created on this thread, where it may be dropped.
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Nobody listens any more when serving was given up.
            let _ = started.send(Err(error));
            return;
        }
    };
    // As above; then there is no lease either.
    let _ = started.send(Ok(runtime.handle().clone()));
    runtime.block_on(leases.recv());
    // The tasks that handlers have left behind end with the runtime.
}
