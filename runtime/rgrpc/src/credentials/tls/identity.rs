//! A certificate chain and its key, as both sides have them.
//!
//! Parsed when the credentials are built.

use std::fmt;

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error, InconsistentKeys};

use super::{TlsError, pem};

/// The identity of one side, in PEM: a certificate chain, and the private key of its first
/// certificate.
#[derive(Clone)]
pub(super) struct Identity {
    chain_pem: Vec<u8>,
    key_pem: Vec<u8>,
}

impl Identity {
    pub(super) fn new(chain_pem: &[u8], key_pem: &[u8]) -> Self {
        Self {
            chain_pem: chain_pem.to_owned(),
            key_pem: key_pem.to_owned(),
        }
    }

    /// Parses the chain and the key.
    pub(super) fn parse(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let chain = pem::certificates(&self.chain_pem).map_err(TlsError::CertificateChain)?;
        let key = pem::private_key(&self.key_pem).map_err(TlsError::PrivateKey)?;
        Ok((chain, key))
    }
}

impl fmt::Debug for Identity {
    /// Omits the key, so that no log contains it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Converts the error of rustls for a chain and a key that could be parsed.
pub(super) fn rejected(error: Error) -> TlsError {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::PrivateKey("it is not the key of the certificate".to_owned())
        }
        Error::InvalidCertificate(problem) => {
            TlsError::CertificateChain(format!("the first certificate cannot be used: {problem}"))
        }
        error => TlsError::PrivateKey(error.to_string()),
    }
}
