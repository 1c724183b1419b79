//! Loopback addresses for tests: free, counted, refusing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// A listener on a loopback port that the kernel picks.
///
/// # Errors
///
/// If the kernel has none to give.
pub async fn free_listener() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// Both ends of a TCP connection over loopback.
///
/// # Errors
///
/// The errors of listening and connecting.
pub async fn connected_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = free_listener().await?;
    let address = listener.local_addr()?;
    let (connected, accepted) = tokio::try_join!(TcpStream::connect(address), listener.accept())?;
    Ok((connected, accepted.0))
}

/// A loopback listener that counts the connections it accepts, for tests of reconnecting.
#[derive(Debug)]
pub struct CountingListener {
    listener: TcpListener,
    address: SocketAddr,
    count: watch::Sender<usize>,
}

impl CountingListener {
    /// Listens on a free port.
    ///
    /// # Errors
    ///
    /// The error of binding.
    pub async fn bind() -> io::Result<Self> {
        let listener = free_listener().await?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            count: watch::Sender::new(0),
        })
    }

    /// The address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes the next connection, and counts it.
    ///
    /// # Errors
    ///
    /// The error of accepting.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.listener.accept().await?;
        self.count.send_modify(|count| *count += 1);
        Ok(stream)
    }

    /// The count, to be read while another task accepts.
    pub fn accepted(&self) -> Accepted {
        Accepted(self.count.subscribe())
    }
}

/// The number of connections that a listener has accepted so far.
#[derive(Clone, Debug)]
pub struct Accepted(watch::Receiver<usize>);

impl Accepted {
    /// The count now.
    pub fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until the count is at least this. Returns at once, with fewer, if the listener is
    /// gone.
    pub async fn reaches(&mut self, count: usize) {
        // The only error is that the listener is gone; the count is final then.
        let _ = self.0.wait_for(|accepted| *accepted >= count).await;
    }
}

/// A loopback address that refuses connections while this lives. The port is bound, so that no
/// other process gets it, and there is no listener on it.
#[derive(Debug)]
pub struct RefusingAddress {
    socket: TcpSocket,
    address: SocketAddr,
}

impl RefusingAddress {
    /// Takes a free port.
    ///
    /// # Errors
    ///
    /// The error of binding.
    pub fn bind() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address that refuses connections.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to listen at the same address: the server has come up.
    ///
    /// # Errors
    ///
    /// The error of listening.
    pub fn listen(self) -> io::Result<TcpListener> {
        self.socket.listen(128)
    }
}
