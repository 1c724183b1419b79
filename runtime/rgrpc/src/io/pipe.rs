use std::io;

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use super::{Address, Connected, Dial, DialFuture, Listener, Peer};

/// What one direction of a pipe holds before its writer waits.
const CAPACITY: usize = 64 * 1024;

/// How many connections may wait to be accepted before dialing waits.
const BACKLOG: usize = 128;

/// A listener and a dialer that are connected within the process, without sockets: for tests, and
/// for a client and a server that live in one program. Every dial makes a connection of its own.
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

/// The accepting end of a [`pipe`].
#[derive(Debug)]
pub struct PipeListener {
    accepts: mpsc::Receiver<DuplexStream>,
}

/// The dialing end of a [`pipe`].
#[derive(Clone, Debug)]
pub struct PipeConnector {
    dials: mpsc::Sender<DuplexStream>,
}

impl Listener for PipeListener {
    /// Closed for good once every connector is gone.
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
                    "the pipe's listener is gone",
                )
            })?;
            Ok(connected(ours))
        })
    }
}

fn connected(io: DuplexStream) -> Connected {
    Connected::new(Box::new(io), Peer::new(Address::Pipe, Address::Pipe))
}
