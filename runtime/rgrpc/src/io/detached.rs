//! The move of an accepted connection to the runtime of a worker.
//!
//! Called by the accept loop, which detaches it, and by the connection's task, which attaches it.

use std::any::Any;
#[cfg(unix)]
use std::os::unix;
use std::{io, net};

use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::{BoxedIo, Connected, Io, Peer};
use crate::extensions::Extensions;

/// A connection that moves from the runtime that accepted it to the one that will serve it.
///
/// A socket is registered with the reactor of the runtime that created it, and each of the
/// reactor's events would have to cross threads. So a socket is moved from one reactor to the
/// other. Any other connection is passed on unchanged.
pub(crate) struct Detached {
    io: DetachedIo,
    peer: Peer,
    extensions: Extensions,
}

enum DetachedIo {
    Tcp(net::TcpStream),
    #[cfg(unix)]
    Unix(unix::net::UnixStream),
    /// A pipe, or a connection of a user's type.
    Other(BoxedIo),
}

impl Connected {
    /// Deregisters the connection from the runtime that created it.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        let Self {
            io,
            peer,
            extensions,
        } = self;
        let io = match downcast::<TcpStream>(io) {
            Ok(stream) => DetachedIo::Tcp(stream.into_std()?),
            Err(io) => DetachedIo::of_unix(io)?,
        };
        Ok(Detached {
            io,
            peer,
            extensions,
        })
    }
}

impl DetachedIo {
    #[cfg(unix)]
    fn of_unix(io: BoxedIo) -> io::Result<Self> {
        Ok(match downcast::<UnixStream>(io) {
            Ok(stream) => Self::Unix(stream.into_std()?),
            Err(io) => Self::Other(io),
        })
    }

    #[cfg(not(unix))]
    fn of_unix(io: BoxedIo) -> io::Result<Self> {
        Ok(Self::Other(io))
    }
}

impl Detached {
    /// Returns the two ends.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Registers the connection with the current runtime.
    pub(crate) fn attach(self) -> io::Result<Connected> {
        let io: BoxedIo = match self.io {
            DetachedIo::Tcp(stream) => Box::new(TcpStream::from_std(stream)?),
            #[cfg(unix)]
            DetachedIo::Unix(stream) => Box::new(UnixStream::from_std(stream)?),
            DetachedIo::Other(io) => io,
        };
        Ok(Connected {
            extensions: self.extensions,
            ..Connected::new(io, self.peer)
        })
    }
}

/// Downcasts a connection to a `T`, or returns it.
fn downcast<T: Io>(io: BoxedIo) -> Result<T, BoxedIo> {
    let any: &dyn Any = &*io;
    // The type is checked first, because a failed downcast does not return the connection.
    if !any.is::<T>() {
        return Err(io);
    }
    let any: Box<dyn Any> = io;
    match any.downcast() {
        Ok(io) => Ok(*io),
        Err(_) => unreachable!("its type was just checked"),
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::thread;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::net::TcpListener;
    use tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::io::Address;

    fn runtime() -> Runtime {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime")
    }

    fn detached(io: impl Io) -> Detached {
        let connected = Connected::new(Box::new(io), Peer::new(Address::Pipe, Address::Pipe));
        connected.detach().expect("it can be taken off")
    }

    /// The two ends of a connection, created on a runtime that is dropped before they are served.
    /// An end that stayed on its reactor would fail.
    async fn tcp() -> io::Result<(Detached, Detached)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let dialed = TcpStream::connect(listener.local_addr()?).await?;
        Ok((detached(dialed), detached(listener.accept().await?.0)))
    }

    #[cfg(unix)]
    async fn unix() -> io::Result<(Detached, Detached)> {
        let (one, other) = UnixStream::pair()?;
        Ok((detached(one), detached(other)))
    }

    async fn pipe() -> io::Result<(Detached, Detached)> {
        let (one, other) = duplex(16);
        Ok((detached(one), detached(other)))
    }

    fn passes_bytes_on_another_runtime(
        ends: impl Future<Output = io::Result<(Detached, Detached)>>,
    ) {
        let (writer, reader) = runtime().block_on(ends).expect("a connection");
        let served = thread::spawn(|| {
            runtime().block_on(async {
                let mut reader = reader.attach()?.io;
                // Polled once the reader waits, so that its reactor has to wake it.
                let writing = tokio::spawn(async { writer.attach()?.io.write_all(b"moved").await });
                let mut read = [0; 5];
                reader.read_exact(&mut read).await?;
                writing.await??;
                io::Result::Ok(read)
            })
        });
        let read = served.join().expect("no panic").expect("bytes pass");
        assert_eq!(&read, b"moved");
    }

    #[test]
    fn a_tcp_connection_is_served_after_its_first_runtime_is_dropped() {
        passes_bytes_on_another_runtime(tcp());
    }

    #[cfg(unix)]
    #[test]
    fn a_unix_connection_is_served_after_its_first_runtime_is_dropped() {
        passes_bytes_on_another_runtime(unix());
    }

    #[test]
    fn a_pipe_is_passed_on_unchanged() {
        passes_bytes_on_another_runtime(pipe());
    }
}
