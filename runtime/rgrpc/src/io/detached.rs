use std::any::Any;
#[cfg(unix)]
use std::os::unix;
use std::{io, net};

use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::{BoxedIo, Connected, Io, Peer};
use crate::extensions::Extensions;

/// A connection on its way from the runtime that accepted it to the one that is to serve it.
///
/// A socket belongs to the runtime that it was made on: that one's reactor learns what the kernel
/// has to say, and each such word would have to cross threads. So a socket is taken off the one
/// reactor and put on the other. What is no socket, or hides it, is left as it is.
pub(crate) struct Detached {
    carrier: Carrier,
    peer: Peer,
    extensions: Extensions,
}

enum Carrier {
    Tcp(net::TcpStream),
    #[cfg(unix)]
    Unix(unix::net::UnixStream),
    /// Users' connections, pipes.
    Other(BoxedIo),
}

impl Connected {
    /// Takes the connection off the runtime that it was made on.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        let Self {
            io,
            peer,
            extensions,
        } = self;
        let carrier = match downcast::<TcpStream>(io) {
            Ok(stream) => Carrier::Tcp(stream.into_std()?),
            Err(io) => Carrier::of_unix(io)?,
        };
        Ok(Detached {
            carrier,
            peer,
            extensions,
        })
    }
}

impl Carrier {
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
    /// The two ends.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Puts the connection on the runtime of the caller.
    pub(crate) fn attach(self) -> io::Result<Connected> {
        let io: BoxedIo = match self.carrier {
            Carrier::Tcp(stream) => Box::new(TcpStream::from_std(stream)?),
            #[cfg(unix)]
            Carrier::Unix(stream) => Box::new(UnixStream::from_std(stream)?),
            Carrier::Other(io) => io,
        };
        Ok(Connected {
            extensions: self.extensions,
            ..Connected::new(io, self.peer)
        })
    }
}

/// The connection as what it is, if that is a `T`.
fn downcast<T: Io>(io: BoxedIo) -> Result<T, BoxedIo> {
    let any: &dyn Any = &*io;
    // Asked first: a downcast that fails does not give a connection back.
    if !any.is::<T>() {
        return Err(io);
    }
    let any: Box<dyn Any> = io;
    match any.downcast() {
        Ok(io) => Ok(*io),
        Err(_) => unreachable!("its type was just asked for"),
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

    /// Two ends, made on a runtime that is gone when they are served: one that stayed on its
    /// reactor would fail.
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
                // Polled when the reader waits already, which its reactor is to end.
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
    fn a_tcp_connection_is_served_after_its_first_runtime_is_gone() {
        passes_bytes_on_another_runtime(tcp());
    }

    #[cfg(unix)]
    #[test]
    fn a_unix_connection_is_served_after_its_first_runtime_is_gone() {
        passes_bytes_on_another_runtime(unix());
    }

    #[test]
    fn a_pipe_is_passed_on_as_it_is() {
        passes_bytes_on_another_runtime(pipe());
    }
}
