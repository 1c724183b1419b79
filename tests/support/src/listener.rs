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
/// What listening and connecting answer.
pub async fn connected_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = free_listener().await?;
    let address = listener.local_addr()?;
    let (connected, accepted) = tokio::try_join!(TcpStream::connect(address), listener.accept())?;
    Ok((connected, accepted.0))
}

/// A loopback listener that counts what it accepts: did the client reconnect, and how often?
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
    /// What binding answers.
    pub async fn bind() -> io::Result<Self> {
        let listener = free_listener().await?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            count: watch::Sender::new(0),
        })
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes the next connection, and counts it.
    ///
    /// # Errors
    ///
    /// What accepting answers.
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

/// How many connections a listener has accepted so far.
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
        // The only error is that the listener is gone, and then the count is what it is.
        let _ = self.0.wait_for(|accepted| *accepted >= count).await;
    }
}

/// A loopback address that refuses connections for as long as this lives: the port is bound, so
/// that nobody else gets it, and nobody listens on it.
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
    /// What binding answers.
    pub fn bind() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// Where connecting is refused.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to listen at the same address: the server has come up.
    ///
    /// # Errors
    ///
    /// What listening answers.
    pub fn listen(self) -> io::Result<TcpListener> {
        self.socket.listen(128)
    }
}
