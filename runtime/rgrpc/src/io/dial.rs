//! The dialers of a channel: the trait, and the system's dialer.
//!
//! Called on the task of the attempt to connect.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::TcpStream;

#[cfg(unix)]
use super::unix;
use super::{Address, Connected, Peer};
use crate::attributes::Attributes;

/// The future of [`Dial::dial`].
pub type DialFuture = Pin<Box<dyn Future<Output = io::Result<Connected>> + Send>>;

/// A dialer, which makes a channel's connections.
///
/// Each attempt to connect calls it once, on the attempt's own task, several at the same time. The
/// task drops the future at the attempt's deadline, or when the subchannel or the channel closes. A
/// panic is a failed attempt.
///
/// Source: grpc-go `WithContextDialer`.
pub trait Dial: Send + Sync + 'static {
    /// Connects to `address`.
    fn dial(&self, address: Address) -> DialFuture;

    /// Connects to `address`, with the [attributes](crate::balancer::SubConn::attributes) of its
    /// subchannel: for a dialer that depends on them, such as one through a proxy of the address.
    /// The channel calls this method. Default: [`dial`](Self::dial), which does not see them.
    ///
    /// Source: gRFC A86; grpc-go `internal/proxyattributes`.
    fn dial_with(&self, address: Address, attributes: &Attributes) -> DialFuture {
        let _ = attributes;
        self.dial(address)
    }
}

/// A handle of a dialer, such as that of a [channel](crate::resolver::ChannelInfo::dialer).
impl<D: Dial + ?Sized> Dial for Arc<D> {
    fn dial(&self, address: Address) -> DialFuture {
        (**self).dial(address)
    }

    fn dial_with(&self, address: Address, attributes: &Attributes) -> DialFuture {
        (**self).dial_with(address, attributes)
    }
}

/// The default dialer: TCP, unix sockets where the system has them, and names by the system's
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
        _ => "it is not the address of a socket",
    };
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("the system's dialer cannot dial {address}: {reason}"),
    )
}

fn tcp(stream: TcpStream) -> io::Result<Connected> {
    // A request is written in one piece, so Nagle's algorithm would only delay it.
    stream.set_nodelay(true)?;
    let peer = Peer::new(
        Address::Tcp(stream.peer_addr()?),
        Address::Tcp(stream.local_addr()?),
    );
    Ok(Connected::new(Box::new(stream), peer))
}
