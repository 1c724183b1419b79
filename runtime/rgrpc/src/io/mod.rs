//! Connections: TCP sockets, unix sockets, and an in-process pipe.
//!
//! A server accepts connections from a [`Listener`], and a channel makes them by [`Dial`]. [`Io`]
//! is a connection of any kind. [`HttpProxy`] is a proxy between a channel and its servers.
//!
//! Accept loops call the listeners, and the task of each attempt to connect calls the dialer. The
//! task of a connection owns its [`Io`] from then on. `auth_info` and `tls_info` have the results
//! of handshakes, which `credentials/` makes.

mod address;
pub(crate) mod auth_info;
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
pub(crate) use auth_info::{AuthInfo, INSECURE, SecurityLevel};
pub(crate) use detached::Detached;
pub use dial::{Dial, DialFuture, SystemDialer};
pub use listener::{Connected, Listener};
pub use pipe::{PipeConnector, PipeListener, pipe};
pub(crate) use proxy::ProxyDialer;
pub use proxy::{HttpProxy, ProxyError};
pub(crate) use tcp_user_timeout::DEFAULT_TCP_USER_TIMEOUT;
pub use tls_info::{TlsInfo, TlsVersion};

/// A connection: an ordered stream of bytes in both directions.
///
/// Every type with tokio's `AsyncRead` and `AsyncWrite` implements it. A server with
/// [workers](crate::Server::workers) moves a `TcpStream` or a `UnixStream` to the worker's runtime;
/// it detects these types by `Any`.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + Any {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A boxed connection of any kind.
pub type BoxedIo = Box<dyn Io>;
