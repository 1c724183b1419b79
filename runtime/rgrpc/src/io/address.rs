//! The addresses of connections, and the two ends of one.
//!
//! Created by listeners, dialers and resolvers; read by users and policies, on any task.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{AuthInfo, TlsInfo};

/// The address of one end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a unix socket. `None` is an unnamed end, which clients usually have.
    Unix(Option<PathBuf>),
    /// The name of a socket in Linux's abstract namespace, without the leading zero byte.
    UnixAbstract(String),
    /// A name that the dialer resolves, usually `host:port`. The resolver `passthrough` yields it.
    Name(String),
    /// An end of an in-process pipe.
    Pipe,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix:"),
            Self::UnixAbstract(name) => write!(f, "unix-abstract:{name}"),
            Self::Name(name) => f.write_str(name),
            Self::Pipe => f.write_str("pipe"),
        }
    }
}

/// The two ends of a call's connection, and the result of its security handshake.
///
/// Source: grpc-go's package `peer`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The remote end.
    pub remote: Address,
    /// The local end.
    pub local: Address,
    /// The result of the security handshake: protocol, security level, and details about the remote
    /// side.
    pub auth: AuthInfo,
}

impl Peer {
    /// Creates a peer without security.
    #[must_use]
    pub const fn new(remote: Address, local: Address) -> Self {
        Self {
            remote,
            local,
            auth: AuthInfo::insecure(),
        }
    }

    /// The result of the TLS handshake; `None` for a connection without TLS.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.auth.details()
    }
}
