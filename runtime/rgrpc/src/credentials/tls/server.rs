//! TLS on a server: its options, and the handshake.
//!
//! Built by users; the handshake runs on the task of the accepted connection.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;

use super::failure::{Cause, HandshakeFailure, Remote};
use super::identity::{self, Identity};
use super::session::secured;
use super::{TlsError, alpn, pem, provider};
use crate::credentials::{
    HandshakeResult, ServerCredentials, ServerHandshake, ServerHandshakeInfo,
};
use crate::io::BoxedIo;

/// The TLS options of a server: its certificate, and the verification of client certificates.
///
/// Inputs are PEM, for example from `std::fs::read`.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use rgrpc::Server;
/// use rgrpc::credentials::ServerTls;
///
/// let tls = ServerTls::new(std::fs::read("server.pem")?, std::fs::read("server.key")?);
/// let server = Server::new().credentials(tls.build()?);
/// # Ok(()) }
/// ```
///
/// Source: grpc-go `credentials.NewTLS`, `credentials.NewServerTLSFromFile`.
#[derive(Clone, Debug)]
#[must_use = "the credentials are made by `build`"]
pub struct ServerTls {
    identity: Identity,
    clients: Option<ClientVerification>,
}

/// The verification of clients' certificates.
#[derive(Clone, Debug)]
struct ClientVerification {
    ca_pem: Vec<u8>,
    /// True if clients without a certificate are served too.
    is_optional: bool,
}

impl ServerTls {
    /// Creates TLS options with a certificate chain and its private key. The chain is the server's
    /// certificate followed by those of intermediate CAs.
    pub fn new(chain_pem: impl AsRef<[u8]>, key_pem: impl AsRef<[u8]>) -> Self {
        Self {
            identity: Identity::new(chain_pem.as_ref(), key_pem.as_ref()),
            clients: None,
        }
    }

    /// Requires client certificates that one of these CAs has signed (mTLS): PEM with any number of
    /// certificates. Default: no client certificates are requested.
    ///
    /// Replaces [`optional_client_ca_certificates`](Self::optional_client_ca_certificates).
    ///
    /// Source: grpc-go `tls.Config.ClientCAs` with `tls.RequireAndVerifyClientCert`.
    pub fn client_ca_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.clients = Some(ClientVerification {
            ca_pem: pem.as_ref().to_owned(),
            is_optional: false,
        });
        self
    }

    /// Requests client certificates, and also serves clients without one. A client certificate must
    /// be signed by one of these CAs, or the connection is refused: PEM with any number of
    /// certificates. Default: no client certificates are requested.
    ///
    /// In a handler, [`TlsInfo::peer_certificates`](crate::io::TlsInfo::peer_certificates) is empty
    /// for a client without a certificate. Replaces
    /// [`client_ca_certificates`](Self::client_ca_certificates).
    ///
    /// Source: grpc-go `tls.Config.ClientCAs` with `tls.VerifyClientCertIfGiven`.
    pub fn optional_client_ca_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.clients = Some(ClientVerification {
            ca_pem: pem.as_ref().to_owned(),
            is_optional: true,
        });
        self
    }

    /// Creates the credentials.
    ///
    /// # Errors
    /// An input is invalid.
    pub fn build(self) -> Result<ServerCredentials, TlsError> {
        let (chain, key) = self.identity.parse()?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Provider(error.to_string()))?;
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(clients.verifier()?),
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(identity::rejected)?;
        config.alpn_protocols = alpn::offer();
        Ok(ServerCredentials::new(ServerTlsHandshake {
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }))
    }
}

impl ClientVerification {
    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let roots = pem::roots(&self.ca_pem).map_err(TlsError::ClientCaCertificates)?;
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let builder = match self.is_optional {
            true => builder.allow_unauthenticated(),
            false => builder,
        };
        builder
            .build()
            .map_err(|error| TlsError::ClientCaCertificates(error.to_string()))
    }
}

/// The handshake of [`ServerTls`].
struct ServerTlsHandshake {
    acceptor: TlsAcceptor,
}

impl ServerHandshake for ServerTlsHandshake {
    fn protocol(&self) -> &'static str {
        super::PROTOCOL
    }

    async fn handshake(&self, io: BoxedIo, _: ServerHandshakeInfo<'_>) -> HandshakeResult {
        let failed = |cause| HandshakeFailure {
            remote: Remote::Client,
            cause,
        };
        let stream = self
            .acceptor
            .accept(io)
            .await
            .map_err(|error| failed(Cause::Tls(error)))?;
        let secured = secured(stream.into(), Remote::Client)
            .map_err(|error| failed(Cause::Protocol(error)))?;
        Ok(secured)
    }
}
