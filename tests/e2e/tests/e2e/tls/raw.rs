//! The other side as rustls alone, for what rgrpc's credentials do not do.

use std::io;
use std::sync::Arc;

use rgrpc::io::BoxedIo;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    ClientConfig, DEFAULT_VERSIONS, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::certificates::{Ca, Identity};

/// A client that trusts one CA.
pub(crate) struct RawClient {
    pub(crate) alpn: Vec<&'static [u8]>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    roots: RootCertStore,
}

impl RawClient {
    pub(crate) fn trusting(ca: &Ca) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&ca.pem()) {
            roots.add(certificate).expect("a CA's certificate");
        }
        Self {
            alpn: vec![b"h2"],
            versions: DEFAULT_VERSIONS.to_vec(),
            roots,
        }
    }

    /// The handshake with a server that has this name.
    pub(crate) async fn connect(
        self,
        io: BoxedIo,
        name: &'static str,
    ) -> io::Result<client::TlsStream<BoxedIo>> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&self.versions)
            .expect("versions that there are")
            .with_root_certificates(self.roots)
            .with_no_client_auth();
        config.alpn_protocols = owned(&self.alpn);
        let name = ServerName::try_from(name).expect("a sound name");
        TlsConnector::from(Arc::new(config)).connect(name, io).await
    }
}

/// The handshake of a server that offers these protocols.
pub(crate) async fn accept(
    io: BoxedIo,
    identity: &Identity,
    alpn: &[&[u8]],
) -> io::Result<server::TlsStream<BoxedIo>> {
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(DEFAULT_VERSIONS)
        .expect("versions that there are")
        .with_no_client_auth()
        .with_single_cert(certificates(&identity.chain_pem), key)
        .expect("a chain and its key");
    config.alpn_protocols = owned(alpn);
    TlsAcceptor::from(Arc::new(config)).accept(io).await
}

/// The handshake of a server that speaks this version alone and requires a certificate that `ca`
/// has signed.
pub(crate) async fn accept_verified(
    io: BoxedIo,
    identity: &Identity,
    ca: &Ca,
    version: &'static SupportedProtocolVersion,
) -> io::Result<server::TlsStream<BoxedIo>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&ca.pem()) {
        roots.add(certificate).expect("a CA's certificate");
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .expect("a CA");
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .expect("a version that there is")
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&identity.chain_pem), key)
        .expect("a chain and its key");
    config.alpn_protocols = owned(&[b"h2"]);
    TlsAcceptor::from(Arc::new(config)).accept(io).await
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .expect("certificates")
}

fn owned(protocols: &[&[u8]]) -> Vec<Vec<u8>> {
    protocols.iter().map(|protocol| protocol.to_vec()).collect()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
