use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::net::TcpStream;

#[cfg(unix)]
use super::unix;
use super::{Address, Connected, Peer};

/// What [`Dial::dial`] returns.
pub type DialFuture = Pin<Box<dyn Future<Output = io::Result<Connected>> + Send>>;

/// How a channel makes connections.
///
/// Called from the channel's task, one address at a time. The future is dropped when the attempt's
/// deadline passes or the channel closes. A panic is a failed attempt.
///
/// Source: grpc-go `WithContextDialer`.
pub trait Dial: Send + Sync + 'static {
    /// Connects to `address`.
    fn dial(&self, address: Address) -> DialFuture;
}

/// Dials by the operating system: TCP, unix sockets where there are any, names by the system's
/// resolver.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemDialer;

impl Dial for SystemDialer {
    fn dial(&self, address: Address) -> DialFuture {
        Box::pin(async move {
            match address {
                Address::Tcp(address) => tcp(TcpStream::connect(address).await?),
                Address::Name(name) => tcp(TcpStream::connect(name).await?),
                #[cfg(unix)]
                Address::Unix(Some(path)) => unix::connect(path).await,
                #[cfg(any(target_os = "linux", target_os = "android"))]
                Address::UnixAbstract(name) => unix::connect_abstract(name).await,
                address => Err(undialable(&address)),
            }
        })
    }
}

fn undialable(address: &Address) -> io::Error {
    let reason = match address {
        Address::Unix(Some(_)) => "this operating system has no unix sockets",
        Address::UnixAbstract(_) => "only Linux has abstract unix sockets",
        _ => "it is no address of a socket",
    };
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("the system's dialer cannot dial {address}: {reason}"),
    )
}

fn tcp(stream: TcpStream) -> io::Result<Connected> {
    // A request is written whole, so waiting for more to send only delays it.
    stream.set_nodelay(true)?;
    let peer = Peer::new(
        Address::Tcp(stream.peer_addr()?),
        Address::Tcp(stream.local_addr()?),
    );
    Ok(Connected::new(Box::new(stream), peer))
}
