use bytes::Bytes;
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::{CommonState, ProtocolVersion};

use super::alpn::{self, NotH2};
use crate::io::{BoxedIo, Connected, Peer, TlsInfo, TlsVersion};

/// The connection to `peer` after its handshake, unless the two sides did not agree on HTTP/2.
pub(super) fn secured(stream: TlsStream<BoxedIo>, peer: Peer) -> Result<Connected, NotH2> {
    let (_, session) = stream.get_ref();
    alpn::check(session.alpn_protocol())?;
    let tls = Some(info(session));
    Ok(Connected::new(Box::new(stream), Peer { tls, ..peer }))
}

fn info(session: &CommonState) -> TlsInfo {
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        // The only other one that the configurations allow.
        _ => TlsVersion::Tls12,
    };
    let certificates = session.peer_certificates().unwrap_or_default();
    TlsInfo {
        version,
        peer_certificates: certificates
            .iter()
            .map(|certificate| Bytes::copy_from_slice(certificate))
            .collect(),
    }
}
