//! The details of a TLS handshake, for users.
//!
//! Created by the handshakes in `credentials/tls/`; part of [`Peer`](super::Peer).

use std::fmt;

use bytes::Bytes;

/// The result of a TLS handshake, about the other side.
///
/// Source: grpc-go `credentials.TLSInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The negotiated version.
    pub version: TlsVersion,
    /// The verified certificates of the other side, in DER: its own, then those of intermediate
    /// CAs. Empty on a server that does not request client certificates.
    pub peer_certificates: Vec<Bytes>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}
