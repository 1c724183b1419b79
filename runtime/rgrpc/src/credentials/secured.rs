//! The output of a handshake.
//!
//! Created by handshakes, on the task of the attempt to connect or of the accepted connection.

use std::any::Any;
use std::error::Error;
use std::fmt;

use crate::error_text::debug_is_text;
use crate::extensions::Extensions;
use crate::io::{AuthInfo, BoxedIo, Connected, Io, Peer};

/// A secured connection: the output of a handshake.
#[non_exhaustive]
pub struct Secured {
    /// The connection, whose bytes are those of HTTP/2 from now on.
    pub io: BoxedIo,
    /// The result of the handshake, which becomes [`Peer::auth`](crate::io::Peer::auth).
    pub auth: AuthInfo,
    /// Typed values of the connection. A server's calls have them in
    /// [`ConnectionHandle::extensions`](crate::ConnectionHandle::extensions), where they replace those
    /// of the listener of the same types. On a channel, stats handlers have them in
    /// [`PickedConnection::extensions`](crate::stats::PickedConnection::extensions). Default: none.
    pub extensions: Extensions,
}

impl Secured {
    /// Creates the output from the secured stream and the result.
    ///
    /// `io` is any stream of tokio. A [`BoxedIo`] is used as it is and costs nothing more. A stream
    /// should support [vectored writes](tokio::io::AsyncWrite::is_write_vectored) if it can, and
    /// `poll_flush` must write all buffered bytes. Dropping it must close the connection.
    #[must_use]
    pub fn new(io: impl Io, auth: AuthInfo) -> Self {
        Self {
            io: boxed(io),
            auth,
            extensions: Extensions::new(),
        }
    }

    /// Adds the result of the handshake to the connection's peer and values.
    pub(super) fn of_connection(self, mut peer: Peer, mut extensions: Extensions) -> Connected {
        peer.auth = self.auth;
        extensions.merge(self.extensions);
        Connected {
            io: self.io,
            peer,
            extensions,
        }
    }

    /// Sets the typed values of the connection.
    #[must_use]
    pub fn with_extensions(self, extensions: Extensions) -> Self {
        Self { extensions, ..self }
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured")
            .field("auth", &self.auth)
            .field("extensions", &self.extensions)
            .finish_non_exhaustive()
    }
}

/// Boxes a stream, unless it is a box already: each box is a virtual call for each read and write.
fn boxed<T: Io>(io: T) -> BoxedIo {
    let mut io = Some(io);
    let any: &mut dyn Any = &mut io;
    if let Some(io) = any.downcast_mut::<Option<BoxedIo>>().and_then(Option::take) {
        return io;
    }
    match io {
        Some(io) => Box::new(io),
        None => unreachable!("it was only taken if it was returned"),
    }
}

/// The error of a server's handshake that has passed the connection on to other code: another
/// protocol on the same port. The server logs it at debug level only.
///
/// Source: grpc-go `credentials.ErrConnDispatched`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ConnectionDispatched;

impl fmt::Display for ConnectionDispatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("other code serves the connection")
    }
}

impl Error for ConnectionDispatched {}

debug_is_text!(ConnectionDispatched);

#[cfg(test)]
mod tests {
    use tokio::io::{BufReader, DuplexStream, duplex};

    use super::*;

    fn is<T: Any>(secured: &Secured) -> bool {
        let any: &dyn Any = &*secured.io;
        any.is::<T>()
    }

    #[test]
    fn a_connection_that_is_handed_back_is_not_boxed_again() {
        let io: BoxedIo = Box::new(duplex(1).0);
        let secured = Secured::new(io, AuthInfo::insecure());
        assert!(is::<DuplexStream>(&secured));

        let io: BoxedIo = Box::new(duplex(1).0);
        let secured = Secured::new(BufReader::new(io), AuthInfo::insecure());
        assert!(is::<BufReader<BoxedIo>>(&secured));
    }
}
