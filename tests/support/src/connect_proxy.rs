//! An HTTP proxy on loopback that responds to CONNECT as a test configures it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};

use crate::listener::free_listener;

/// The response of a [`ConnectProxy`] to a request.
#[derive(Clone, Debug)]
pub enum ConnectAnswer {
    /// Sends this head, and connects to the server. The request's address is ignored.
    Tunnel {
        /// The head of the response, with the empty line that ends it.
        head: &'static str,
        /// The server's address.
        server: SocketAddr,
    },
    /// Sends this, and closes the connection.
    Say(Vec<u8>),
    /// Sends this over and over.
    Repeat(&'static [u8]),
    /// Keeps the connection, and sends nothing.
    Silence,
}

/// Takes connections, reads the request on each, and responds to it.
///
/// Dropping it drops its listener and its connections. It must be made on a tokio runtime, where it
/// runs.
#[derive(Debug)]
pub struct ConnectProxy {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    accepting: AbortHandle,
}

impl ConnectProxy {
    /// Listens on a free port.
    ///
    /// # Errors
    ///
    /// The error of binding.
    pub async fn start(answer: ConnectAnswer) -> io::Result<Self> {
        let listener = free_listener().await?;
        let address = listener.local_addr()?;
        let requests = Arc::default();
        let log = Arc::clone(&requests);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, answer.clone(), Arc::clone(&log)));
            }
        });
        Ok(Self {
            address,
            requests,
            accepting: accepting.abort_handle(),
        })
    }

    /// The address for clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of the requests that have come, each whole.
    ///
    /// # Panics
    ///
    /// If one of its connections did.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: ConnectAnswer,
    requests: Arc<Mutex<Vec<String>>>,
) -> io::Result<()> {
    let request = read_head(&mut stream).await?;
    requests.lock().expect("not poisoned").push(request);
    match answer {
        ConnectAnswer::Tunnel { head, server } => {
            let mut server = TcpStream::connect(server).await?;
            stream.write_all(head.as_bytes()).await?;
            copy_bidirectional(&mut stream, &mut server).await?;
        }
        ConnectAnswer::Say(octets) => {
            stream.write_all(&octets).await?;
            stream.shutdown().await?;
        }
        ConnectAnswer::Repeat(octets) => loop {
            stream.write_all(octets).await?;
        },
        ConnectAnswer::Silence => {
            // Until the client gives up.
            stream.read_u8().await?;
        }
    }
    Ok(())
}

/// Octet by octet, as what follows the head is not the proxy's.
async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
