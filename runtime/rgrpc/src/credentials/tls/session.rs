//! A connection after its TLS handshake, on both sides.
//!
//! Created by the handshake; read and written by the engine, on the connection's task.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::{CommonState, ProtocolVersion};

use super::alpn::{self, NotH2};
use super::failure::{Remote, SessionFailure};
use crate::credentials::Secured;
use crate::io::{AuthInfo, BoxedIo, SecurityLevel, TlsInfo, TlsVersion};

/// Wraps a stream after its handshake, if the sides agreed on HTTP/2.
pub(super) fn secured(stream: TlsStream<BoxedIo>, remote: Remote) -> Result<Secured, NotH2> {
    let (_, session) = stream.get_ref();
    alpn::check(session.alpn_protocol())?;
    let auth = AuthInfo::new(super::PROTOCOL, SecurityLevel::PrivacyAndIntegrity)
        .with_details(info(session));
    Ok(Secured::new(Session { stream, remote }, auth))
}

/// A secured connection whose errors name the option that resolves them.
///
/// In TLS 1.3 a server refuses a client certificate after the client has finished the handshake
/// (RFC 8446, section 4.4.2.4). The client receives the alert in its first read.
struct Session {
    stream: TlsStream<BoxedIo>,
    remote: Remote,
}

impl Session {
    #[cold]
    fn explain(&self, error: io::Error) -> io::Error {
        SessionFailure::explain(self.remote, error)
    }

    /// Converts the error of a write. A peer often sends an alert with the reason before it closes
    /// the connection.
    #[cold]
    fn explain_write(&mut self, error: io::Error, cx: &mut Context<'_>) -> io::Error {
        let mut byte = [0];
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte));
        match read {
            Poll::Ready(Err(alert)) if alert.get_ref().is_some() => self.explain(alert),
            _ => self.explain(error),
        }
    }
}

impl AsyncRead for Session {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        read.map_err(|error| self.explain(error))
    }
}

impl AsyncWrite for Session {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        written.map_err(|error| self.explain_write(error, cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        written.map_err(|error| self.explain_write(error, cx))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        flushed.map_err(|error| self.explain_write(error, cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn info(session: &CommonState) -> TlsInfo {
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        // The only other version that the configurations allow.
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
