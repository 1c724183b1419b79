//! The errors of the builders of TLS credentials.

use std::error::Error;
use std::fmt;

use crate::error_text::debug_is_text;

/// The error of TLS credentials that cannot be created: the input, and its problem.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// The CA certificates that verify servers.
    CaCertificates(String),
    /// The CA certificates that verify clients.
    ClientCaCertificates(String),
    /// This side's certificate chain.
    CertificateChain(String),
    /// This side's private key.
    PrivateKey(String),
    /// The CA certificates of the platform, the default.
    PlatformCaCertificates(String),
    /// The expected name of the server.
    ServerName(String),
    /// The cryptography provider.
    Provider(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (input, problem) = match self {
            Self::CaCertificates(problem) => ("the CA certificates", problem),
            Self::ClientCaCertificates(problem) => ("the CA certificates for clients", problem),
            Self::CertificateChain(problem) => ("the certificate chain", problem),
            Self::PrivateKey(problem) => ("the private key", problem),
            Self::PlatformCaCertificates(problem) => ("the platform's CA certificates", problem),
            Self::ServerName(problem) => ("the server name", problem),
            Self::Provider(problem) => ("the cryptography", problem),
        };
        write!(f, "TLS: {input}: {problem}")
    }
}

impl Error for TlsError {}

debug_is_text!(TlsError);
