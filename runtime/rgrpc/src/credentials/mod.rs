//! Credentials, which secure connections and authenticate calls.
//!
//! Security is always explicit: a channel needs [`ChannelCredentials`], which may be [`insecure`].
//! A server uses plain text unless it has [`ServerCredentials`], as in grpc-go.
//!
//! Transport credentials are a handshake on each new connection: a [`ClientHandshake`] and a
//! [`ServerHandshake`], which users can implement. Those of this crate are [`insecure`], [`local`]
//! and, with the feature `tls`, `ClientTls` and `ServerTls`, which take PEM: CA certificates,
//! certificate chains, private keys. [`Peer::auth`](crate::io::Peer::auth) has the result of a
//! handshake.
//!
//! [`PerRpcCredentials`] are sent with each call instead, as metadata. Transport and per-RPC
//! credentials in one object are a [bundle](ChannelCredentials::with_per_rpc_credentials).
//!
//! The task of an attempt to connect runs the handshake on each dialed connection, and each
//! accepted connection's own task runs one on the server.

mod channel;
mod handshake;
mod handshake_error;
mod handshake_info;
mod insecure;
mod local;
pub(crate) mod per_rpc;
mod secured;
mod server;
#[cfg(feature = "tls")]
mod tls;

pub use crate::io::auth_info::{AuthInfo, SecurityLevel, SecurityLevelError};
pub(crate) use channel::HandshakeTarget;
pub use channel::{ChannelCredentials, insecure, local};
pub use handshake::{ClientHandshake, HandshakeResult, ServerHandshake};
pub use handshake_error::HandshakeError;
pub use handshake_info::{ClientHandshakeInfo, ServerHandshakeInfo};
pub use per_rpc::{MetadataFuture, PerRpcCredentials, RequestInfo};
pub use secured::{ConnectionDispatched, Secured};
pub use server::ServerCredentials;
#[cfg(feature = "tls")]
pub use tls::{ClientTls, ServerTls, TlsError};
