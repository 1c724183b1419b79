//! TLS (RFC 8446, RFC 5246), by rustls with the cryptography of ring.
//!
//! [`ClientTls`] and [`ServerTls`] read their inputs when they are built, so that a wrong file is
//! an error of that moment and not of a connection. Versions are 1.2 and 1.3; rustls has none of
//! the cipher suites that HTTP/2 forbids (RFC 9113, appendix A). Both sides offer the protocol `h2`
//! by ALPN (RFC 7301) and refuse a connection that did not agree on it, as grpc-go does.
//!
//! No type of rustls is part of the public surface, and no process-wide default of it is read or
//! set: the provider is named here.

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

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
