//! An in-process listener and its dialer.
//!
//! Used by users and by tests, in the place of a socket.

use std::io;

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use super::{Address, Connected, Dial, DialFuture, Listener, Peer};

/// The buffer size of each direction, in bytes. A writer waits when it is full.
const CAPACITY: usize = 64 * 1024;

/// The maximum number of connections that wait to be accepted. A dialer waits when it is reached.
const BACKLOG: usize = 128;

/// Creates a listener and a dialer that are connected in the process, without sockets.
///
/// They serve tests, and programs that contain both a client and a server. Each dial makes a new
/// connection.
///
/// Source: grpc-go's `test/bufconn`.
///
/// ```no_run
/// # async fn example(server: rgrpc::Server) -> Result<(), Box<dyn std::error::Error>> {
/// let (listener, connector) = rgrpc::io::pipe();
/// tokio::spawn(server.serve_listener(listener));
/// let conn = rgrpc::ClientConn::builder("passthrough:///pipe", rgrpc::credentials::insecure())
///     .dialer(connector)
///     .build()?;
/// # Ok(()) }
/// ```
#[must_use]
pub fn pipe() -> (PipeListener, PipeConnector) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (
        PipeListener { accepts: receiver },
        PipeConnector { dials: sender },
    )
}

/// The listener of a [`pipe`].
#[derive(Debug)]
pub struct PipeListener {
    accepts: mpsc::Receiver<DuplexStream>,
}

/// The dialer of a [`pipe`].
#[derive(Clone, Debug)]
pub struct PipeConnector {
    dials: mpsc::Sender<DuplexStream>,
}

impl Listener for PipeListener {
    /// Waits for the next connection. `None` means that every connector was dropped.
    async fn accept(&mut self) -> io::Result<Option<Connected>> {
        let io = self.accepts.recv().await;
        Ok(io.map(connected))
    }

    fn local_address(&self) -> Address {
        Address::Pipe
    }
}

impl Dial for PipeConnector {
    fn dial(&self, _: Address) -> DialFuture {
        let dials = self.dials.clone();
        Box::pin(async move {
            let (ours, theirs) = duplex(CAPACITY);
            dials.send(theirs).await.map_err(|_| {
                io::Error::new(
                    io::ErrorKind::ConnectionRefused,
                    "the pipe's listener was dropped",
                )
            })?;
            Ok(connected(ours))
        })
    }
}

fn connected(io: DuplexStream) -> Connected {
    Connected::new(Box::new(io), Peer::new(Address::Pipe, Address::Pipe))
}
