use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::TlsInfo;

/// Where one end of a connection is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A unix socket's path; `None` for an end that has no name, as clients' ends have none.
    Unix(Option<PathBuf>),
    /// A socket in Linux's abstract namespace, by its name, without the zero octet before it.
    UnixAbstract(String),
    /// A name that the dialer resolves: what `passthrough:` hands on, usually `host:port`.
    Name(String),
    /// An end of a pipe within the process.
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

/// The two ends of the connection that carries a call, and how it is secured.
///
/// Source: grpc-go's package `peer`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The other end.
    pub remote: Address,
    /// This end.
    pub local: Address,
    /// What the TLS handshake found out; `None` for a connection without TLS.
    pub tls: Option<TlsInfo>,
}

impl Peer {
    /// The ends of a connection that is not secured, or not yet.
    #[must_use]
    pub const fn new(remote: Address, local: Address) -> Self {
        Self {
            remote,
            local,
            tls: None,
        }
    }
}
