use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::net::{TcpStream, UnixStream};

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

/// Dials by the operating system: TCP and unix sockets, names by the system's resolver.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemDialer;

impl Dial for SystemDialer {
    fn dial(&self, address: Address) -> DialFuture {
        Box::pin(async move {
            match address {
                Address::Tcp(address) => tcp(TcpStream::connect(address).await?),
                Address::Name(name) => tcp(TcpStream::connect(name).await?),
                Address::Unix(Some(path)) => {
                    let stream = UnixStream::connect(&path).await?;
                    let peer = Peer::new(Address::Unix(Some(path)), Address::Unix(None));
                    Ok(Connected::new(Box::new(stream), peer))
                }
                #[cfg(any(target_os = "linux", target_os = "android"))]
                Address::UnixAbstract(name) => {
                    // That the path is a name is what a zero octet before it says.
                    let stream = UnixStream::connect(format!("\0{name}")).await?;
                    let peer = Peer::new(Address::UnixAbstract(name), Address::Unix(None));
                    Ok(Connected::new(Box::new(stream), peer))
                }
                #[cfg(not(any(target_os = "linux", target_os = "android")))]
                address @ Address::UnixAbstract(_) => Err(undialable(&address)),
                address @ (Address::Unix(None) | Address::Pipe) => Err(undialable(&address)),
            }
        })
    }
}

fn undialable(address: &Address) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("the system's dialer cannot dial {address}"),
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
