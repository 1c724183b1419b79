//! TLS (RFC 8446, RFC 5246), by rustls with the cryptography provider ring.
//!
//! [`ClientTls`] and [`ServerTls`] parse their inputs when they are built, so that an invalid file
//! fails the build and not a connection. The versions are 1.2 and 1.3. rustls has none of the
//! cipher suites that HTTP/2 forbids (RFC 9113, appendix A). Both sides offer the protocol `h2` by
//! ALPN (RFC 7301) and refuse a connection without it, as grpc-go does.
//!
//! `client` and `server` have the options and the handshakes, `session` the connection afterwards,
//! `failure` its errors with advice. A handshake runs on the task of the attempt to connect or of
//! the accepted connection.
//!
//! The public API contains no type of rustls. The provider is explicit, so that no process-wide
//! default of rustls is read or set.

mod alpn;
mod client;
mod error;
mod failure;
mod identity;
mod pem;
mod server;
mod session;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

pub use client::ClientTls;
pub use error::TlsError;
pub use server::ServerTls;

/// The name of the protocol, as in grpc-go.
const PROTOCOL: &str = "tls";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
