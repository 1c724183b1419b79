//! TLS on a channel: its options, and the handshake.
//!
//! Built by users; the handshake runs on the task of the attempt to connect.

use std::error::Error;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::failure::{Cause, HandshakeFailure, Remote};
use super::identity::{self, Identity};
use super::session::secured;
use super::{TlsError, alpn, pem, provider};
use crate::credentials::{
    ChannelCredentials, ClientHandshake, ClientHandshakeInfo, HandshakeResult,
};
use crate::io::{BoxedIo, Peer};

/// The TLS options of a channel: the CAs that it trusts, and its own certificate.
///
/// Inputs are PEM, for example from `std::fs::read`.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use rgrpc::ClientConn;
/// use rgrpc::credentials::ClientTls;
///
/// let tls = ClientTls::new().ca_certificates(std::fs::read("ca.pem")?).build()?;
/// let conn = ClientConn::new("dns:///greeter.example.com:443", tls)?;
/// # Ok(()) }
/// ```
///
/// Source: grpc-go `credentials.NewTLS`, `credentials.NewClientTLSFromCert`.
#[derive(Clone, Debug, Default)]
#[must_use = "the credentials are made by `build`"]
pub struct ClientTls {
    ca_pem: Option<Vec<u8>>,
    identity: Option<Identity>,
    server_name: Option<String>,
}

impl ClientTls {
    /// Creates TLS options that trust the platform's CAs, without a client certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the trusted CAs: PEM with any number of certificates. Default: the CAs that the
    /// platform trusts.
    ///
    /// Source: grpc-go `tls.Config.RootCAs`.
    pub fn ca_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.ca_pem = Some(pem.as_ref().to_owned());
        self
    }

    /// Sets the client's certificate chain and private key, for servers that request them (mTLS).
    /// The chain is the client's certificate followed by those of intermediate CAs. Default: none.
    ///
    /// Source: grpc-go `tls.Config.Certificates`.
    pub fn identity(mut self, chain_pem: impl AsRef<[u8]>, key_pem: impl AsRef<[u8]>) -> Self {
        self.identity = Some(Identity::new(chain_pem.as_ref(), key_pem.as_ref()));
        self
    }

    /// Sets the DNS name or the IP address that the server's certificate must have. Default: the
    /// host of the channel's authority.
    ///
    /// It also becomes the channel's authority. The channel cannot be built if its option
    /// `authority` differs.
    ///
    /// Source: grpc-go `tls.Config.ServerName`.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Creates the credentials.
    ///
    /// Without other CAs it reads those of the platform: a file of a few hundred KiB on Linux.
    ///
    /// # Errors
    /// An input is invalid, or the platform has no CAs.
    pub fn build(self) -> Result<ChannelCredentials, TlsError> {
        if let Some(name) = &self.server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            return Err(TlsError::ServerName(format!(
                "{name:?} is neither a DNS name nor an IP address"
            )));
        }
        let roots = match &self.ca_pem {
            Some(pem) => pem::roots(pem).map_err(TlsError::CaCertificates)?,
            None => platform_roots()?,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Provider(error.to_string()))?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.parse()?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(identity::rejected)?
            }
        };
        config.alpn_protocols = alpn::offer();
        Ok(ChannelCredentials::new(ClientTlsHandshake {
            connector: TlsConnector::from(Arc::new(config)),
            remote: Remote::Server {
                has_client_certificate: self.identity.is_some(),
            },
            server_name: self.server_name,
        }))
    }
}

/// Loads the CAs of the platform. An unreadable certificate matters only to the servers that need
/// it, unless all are unreadable.
fn platform_roots() -> Result<RootCertStore, TlsError> {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(%error, "a CA certificate of the platform cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(loaded.certs);
    if usable == 0 {
        let reason = loaded.errors.first().map(|error| format!(": {error}"));
        return Err(TlsError::PlatformCaCertificates(format!(
            "there are none{}; the option is ca_certificates",
            reason.unwrap_or_default()
        )));
    }
    Ok(roots)
}

/// The handshake of [`ClientTls`].
struct ClientTlsHandshake {
    connector: TlsConnector,
    remote: Remote,
    server_name: Option<String>,
}

impl ClientHandshake for ClientTlsHandshake {
    fn protocol(&self) -> &'static str {
        super::PROTOCOL
    }

    fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    fn check_host(&self, host: &str, peer: &Peer) -> Result<(), Box<dyn Error + Send + Sync>> {
        let name = ServerName::try_from(host)
            .map_err(|_| format!("{host:?} is neither a DNS name nor an IP address"))?;
        let certificates = peer.tls().map(|tls| &tls.peer_certificates);
        let certificate = certificates
            .and_then(|chain| chain.first())
            .ok_or("the server sent no certificate")?;
        let certificate = CertificateDer::from(&**certificate);
        ParsedCertificate::try_from(&certificate)
            .and_then(|certificate| verify_server_name(&certificate, &name))
            .map_err(|error| format!("the server's certificate is not for it: {error}").into())
    }

    async fn handshake(&self, io: BoxedIo, info: ClientHandshakeInfo<'_>) -> HandshakeResult {
        let failed = |cause| HandshakeFailure {
            remote: self.remote,
            cause,
        };
        let host = info.server_name();
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| failed(Cause::Name(host.to_owned())))?;
        let stream = self
            .connector
            .connect(name, io)
            .await
            .map_err(|error| failed(Cause::Tls(error)))?;
        let secured =
            secured(stream.into(), self.remote).map_err(|error| failed(Cause::Protocol(error)))?;
        Ok(secured)
    }
}
