use std::future::Future;
use std::io;

use tokio::net::TcpListener;

use super::{Address, BoxedIo, Peer};
use crate::extensions::Extensions;

/// What a server accepts connections from.
pub trait Listener: Send + 'static {
    /// Waits for the next connection; `None` when the listener is closed for good, which ends the
    /// accept loop.
    ///
    /// Called from the accept loop alone. Cancel-safe: a dropped future loses no connection.
    ///
    /// # Errors
    /// Any error is taken to be temporary: the server waits 5 ms, doubled after each further
    /// error up to 1 s, and calls again.
    fn accept(&mut self) -> impl Future<Output = io::Result<Option<Connected>>> + Send;

    /// Where it listens, for logs and errors.
    fn local_address(&self) -> Address;
}

/// A connection that was just made, by a [`Listener`] or by a dialer.
#[non_exhaustive]
pub struct Connected {
    /// The connection. A socket is best given as tokio's own type: a server with
    /// [workers](crate::Server::workers) can move that from the runtime it was accepted on to the
    /// one that serves it.
    pub io: BoxedIo,
    /// Its two ends.
    pub peer: Peer,
    /// Typed values of the connection, for its calls: a listener that knows more of a connection than
    /// its ends inserts it here, and so does a handshake. On a server, calls have them in
    /// [`ConnectionHandle::extensions`](crate::ConnectionHandle::extensions). Default: none.
    pub extensions: Extensions,
}

impl Connected {
    /// A connection and its two ends.
    #[must_use]
    pub fn new(io: BoxedIo, peer: Peer) -> Self {
        Self {
            io,
            peer,
            extensions: Extensions::new(),
        }
    }
}

impl Listener for TcpListener {
    async fn accept(&mut self) -> io::Result<Option<Connected>> {
        let (stream, remote) = TcpListener::accept(self).await?;
        // A reply is written whole, so waiting for more to send only delays it.
        stream.set_nodelay(true)?;
        let peer = Peer::new(Address::Tcp(remote), Address::Tcp(stream.local_addr()?));
        Ok(Some(Connected::new(Box::new(stream), peer)))
    }

    fn local_address(&self) -> Address {
        match self.local_addr() {
            Ok(address) => Address::Tcp(address),
            Err(_) => Address::Name("unknown".to_owned()),
        }
    }
}
