//! The listeners of a server: the trait, and TCP.
//!
//! Called by the accept loop, on its task.

use std::future::Future;
use std::io;

use tokio::net::TcpListener;

use super::{Address, BoxedIo, Peer};
use crate::extensions::Extensions;

/// A source of a server's connections.
pub trait Listener: Send + 'static {
    /// Waits for the next connection. `None` means that the listener is closed for good, and ends
    /// the accept loop.
    ///
    /// Only the accept loop calls it. It must be cancel-safe: a dropped future loses no connection.
    ///
    /// # Errors
    /// Any error is treated as temporary. The server calls again after 5 ms, doubled after each
    /// further error up to 1 s.
    fn accept(&mut self) -> impl Future<Output = io::Result<Option<Connected>>> + Send;

    /// Returns the address of the listener, for logs and errors.
    fn local_address(&self) -> Address;
}

/// A new connection of a [`Listener`] or a dialer.
#[non_exhaustive]
pub struct Connected {
    /// The connection. A socket should have tokio's own type, because a server with
    /// [workers](crate::Server::workers) can move such a socket to the runtime that serves it.
    pub io: BoxedIo,
    /// The two ends of the connection.
    pub peer: Peer,
    /// Typed values of the connection, for its calls: a listener that knows more of a connection
    /// than its ends inserts it here, and so does a handshake. On a server, calls have them in
    /// [`ConnectionHandle::extensions`](crate::ConnectionHandle::extensions). Default: none.
    pub extensions: Extensions,
}

impl Connected {
    /// Creates a new connection from its stream and its ends.
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
        // A response is written in one piece, so Nagle's algorithm would only delay it.
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
