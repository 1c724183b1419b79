use std::error::Error;
use std::fmt;

use crate::error_text::debug_is_text;

/// Why TLS credentials could not be made: which input, and what is wrong with it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// The CA certificates by which servers are to be verified.
    CaCertificates(String),
    /// The CA certificates by which clients are to be verified.
    ClientCaCertificates(String),
    /// This side's certificate chain.
    CertificateChain(String),
    /// This side's private key.
    PrivateKey(String),
    /// The CA certificates of the platform, which are used where none are given.
    PlatformCaCertificates(String),
    /// The name that the server is to prove.
    ServerName(String),
    /// The cryptography itself.
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
