//! Where bytes come from and go to: sockets, unix sockets, and a pipe within the process.
//!
//! [`Listener`] is what a server accepts connections from, [`Dial`] what a channel makes them with;
//! [`Io`] is a connection, whatever carries it. [`HttpProxy`] is what stands between where it must.

mod address;
mod detached;
mod dial;
pub(crate) mod host_port;
mod listener;
mod pipe;
mod proxy;
mod tcp_user_timeout;
mod tls_info;
#[cfg(unix)]
mod unix;

use std::any::Any;

use tokio::io::{AsyncRead, AsyncWrite};

pub use address::{Address, Peer};
pub(crate) use detached::Detached;
pub use dial::{Dial, DialFuture, SystemDialer};
pub use listener::{Connected, Listener};
pub use pipe::{PipeConnector, PipeListener, pipe};
pub(crate) use proxy::ProxyDialer;
pub use proxy::{HttpProxy, ProxyError};
pub(crate) use tcp_user_timeout::DEFAULT_TCP_USER_TIMEOUT;
pub use tls_info::{TlsInfo, TlsVersion};

/// A connection: an ordered stream of bytes both ways.
///
/// Implemented for everything that reads and writes in tokio's way. A server with
/// [workers](crate::Server::workers) looks whether it is a `TcpStream` or a `UnixStream`, and moves
/// those to the worker's runtime; hence `Any`.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + Any {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A connection of any kind.
pub type BoxedIo = Box<dyn Io>;
