//! The errors of handshakes and sessions, with the option that resolves each.
//!
//! Created by the handshakes, and by the connections after them.

use std::error::Error;
use std::fmt;
use std::io;

use tokio_rustls::rustls::{self, AlertDescription, CertificateError, InvalidMessage};

use super::alpn::NotH2;
use crate::error_text::debug_is_text;

/// The reason of a failed handshake, after the prefix of
/// [`HandshakeError`](crate::credentials::HandshakeError).
pub(super) struct HandshakeFailure {
    pub(super) remote: Remote,
    pub(super) cause: Cause,
}

/// The error of a secured connection.
pub(super) struct SessionFailure {
    remote: Remote,
    error: rustls::Error,
}

/// The remote side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remote {
    Client,
    Server {
        /// True if the client has a certificate.
        has_client_certificate: bool,
    },
}

pub(super) enum Cause {
    /// The channel's authority is invalid as a name in a certificate.
    Name(String),
    /// TLS, or the connection below it, has failed.
    Tls(io::Error),
    /// The sides did not agree on HTTP/2.
    Protocol(NotH2),
}

debug_is_text!(HandshakeFailure, SessionFailure);

impl SessionFailure {
    /// Converts an error of a secured connection; a TLS error gets advice.
    pub(super) fn explain(remote: Remote, error: io::Error) -> io::Error {
        match rustls_error(&error) {
            Some(cause) => {
                let error_kind = error.kind();
                let error = cause.clone();
                io::Error::new(error_kind, Self { remote, error })
            }
            None => error,
        }
    }
}

impl fmt::Display for SessionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { remote, error } = self;
        write!(f, "the TLS session with the {remote} failed: ")?;
        write_with_advice(*remote, error, f)
    }
}

impl Error for SessionFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { remote, cause } = self;
        match cause {
            Cause::Name(name) => write!(
                f,
                "{name:?} is neither a DNS name nor an IP address that a certificate could have; \
                 the option is server_name"
            ),
            Cause::Tls(error) => match rustls_error(error) {
                Some(error) => write_with_advice(*remote, error, f),
                None if error.kind() == io::ErrorKind::UnexpectedEof => {
                    write!(f, "the {remote} closed the connection")
                }
                None => error.fmt(f),
            },
            Cause::Protocol(NotH2(None)) => write!(
                f,
                "the {remote} did not agree on a protocol by ALPN, which gRPC needs to be h2"
            ),
            Cause::Protocol(NotH2(Some(protocol))) => write!(
                f,
                "the {remote} agreed on the protocol {protocol:?} by ALPN, which gRPC needs to be h2"
            ),
        }
    }
}

impl Error for HandshakeFailure {
    /// Returns the error of rustls, or that of the connection.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Tls(error) => Some(match rustls_error(error) {
                Some(error) => error,
                None => error,
            }),
            Cause::Name(_) | Cause::Protocol(_) => None,
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server { .. } => "server",
        })
    }
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn write_with_advice(
    remote: Remote,
    error: &rustls::Error,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "{error}")?;
    match advice(remote, error) {
        Some(advice) => write!(f, ": {advice}"),
        None => Ok(()),
    }
}

/// Returns the most frequent reason of a TLS error, and the option that resolves it.
fn advice(remote: Remote, error: &rustls::Error) -> Option<&'static str> {
    match remote {
        Remote::Client => advice_on_client(error),
        Remote::Server {
            has_client_certificate,
        } => advice_on_server(error, has_client_certificate),
    }
    .or(match error {
        rustls::Error::NoApplicationProtocol
        | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            Some("it does not offer h2 by ALPN, which gRPC needs")
        }
        _ => None,
    })
}

/// The advice on a server, about its client.
fn advice_on_client(error: &rustls::Error) -> Option<&'static str> {
    use rustls::Error as E;
    Some(match error {
        E::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS; it may have been made with credentials::insecure()"
        }
        E::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "no CA that the server trusts has signed it; the server's option is \
             ServerTls::client_ca_certificates"
        }
        E::NoCertificatesPresented => {
            "the server requires one, since its option ServerTls::client_ca_certificates is set; \
             the client's option is ClientTls::identity"
        }
        E::AlertReceived(AlertDescription::UnknownCA) => {
            "it does not trust the CA of the server's certificate; the client's option is \
             ClientTls::ca_certificates"
        }
        _ => return None,
    })
}

/// The advice on a client, about its server.
fn advice_on_server(error: &rustls::Error, has_client_certificate: bool) -> Option<&'static str> {
    use rustls::Error as E;
    Some(match error {
        E::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS; if it serves plain text, use credentials::insecure()"
        }
        E::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "no CA that the client trusts has signed it; the option is ClientTls::ca_certificates"
        }
        E::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "the name is the host of the channel's authority; the option is ClientTls::server_name"
        }
        E::AlertReceived(AlertDescription::CertificateRequired) => {
            "it requires a client certificate; the option is ClientTls::identity"
        }
        // TLS 1.2 has no specific alert: grpc-go sends BadCertificate, OpenSSL HandshakeFailure.
        E::AlertReceived(AlertDescription::BadCertificate | AlertDescription::HandshakeFailure)
            if !has_client_certificate =>
        {
            "it may require a client certificate; the option is ClientTls::identity"
        }
        E::AlertReceived(AlertDescription::UnknownCA) => {
            "it does not trust the CA of the client's certificate; the option is \
             ClientTls::identity"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Remote = Remote::Server {
        has_client_certificate: false,
    };

    fn text(remote: Remote, cause: Cause) -> String {
        HandshakeFailure { remote, cause }.to_string()
    }

    fn tls(remote: Remote, error: rustls::Error) -> String {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        text(remote, Cause::Tls(error))
    }

    #[test]
    fn a_failure_names_the_other_side_and_the_option_that_resolves_it() {
        use rustls::Error as E;
        let not_tls = || E::InvalidMessage(InvalidMessage::InvalidContentType);
        let unknown_ca = || E::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrong_name = || E::InvalidCertificate(CertificateError::NotValidForName);
        let alert = E::AlertReceived;
        for (remote, error, option) in [
            (SERVER, not_tls(), "credentials::insecure()"),
            (Remote::Client, not_tls(), "credentials::insecure()"),
            (SERVER, unknown_ca(), "option is ClientTls::ca_certificates"),
            (
                Remote::Client,
                unknown_ca(),
                "option is ServerTls::client_ca_certificates",
            ),
            (SERVER, wrong_name(), "option is ClientTls::server_name"),
            (
                Remote::Client,
                E::NoCertificatesPresented,
                "client_ca_certificates",
            ),
            (
                SERVER,
                alert(AlertDescription::CertificateRequired),
                "option is ClientTls::identity",
            ),
            (
                SERVER,
                alert(AlertDescription::UnknownCA),
                "CA of the client's certificate; the option is ClientTls::identity",
            ),
            (
                SERVER,
                alert(AlertDescription::HandshakeFailure),
                "it may require a client certificate; the option is ClientTls::identity",
            ),
            (
                SERVER,
                alert(AlertDescription::BadCertificate),
                "it may require a client certificate; the option is ClientTls::identity",
            ),
            (
                Remote::Client,
                alert(AlertDescription::UnknownCA),
                "CA of the server's certificate; the client's option is ClientTls::ca_certificates",
            ),
            (Remote::Client, E::NoApplicationProtocol, "h2 by ALPN"),
            (
                SERVER,
                alert(AlertDescription::NoApplicationProtocol),
                "h2 by ALPN",
            ),
        ] {
            let cause = error.to_string();
            let text = tls(remote, error);
            let side = format!("{cause}: ");
            assert!(text.starts_with(&side), "{text}");
            assert!(text.contains(option), "{text}");
        }
    }

    #[test]
    fn a_client_with_a_certificate_is_not_advised_to_set_one() {
        let server = Remote::Server {
            has_client_certificate: true,
        };
        let alert = rustls::Error::AlertReceived(AlertDescription::HandshakeFailure);
        let text = tls(server, alert);
        assert!(text.ends_with("HandshakeFailure"), "{text}");
    }

    #[test]
    fn a_session_fails_with_the_error_of_tls_and_advice() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        let error = io::Error::new(io::ErrorKind::InvalidData, alert.clone());
        let error = SessionFailure::explain(SERVER, error);
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(
            error.to_string(),
            "the TLS session with the server failed: received fatal alert: CertificateRequired: it \
             requires a client certificate; the option is ClientTls::identity"
        );
        let source = error.source().and_then(|source| source.downcast_ref());
        assert_eq!(source, Some(&alert));

        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let error = SessionFailure::explain(SERVER, reset);
        assert_eq!(error.to_string(), "connection reset");
    }

    #[test]
    fn an_error_without_advice_is_unchanged() {
        assert_eq!(
            tls(SERVER, rustls::Error::DecryptError),
            "cannot decrypt peer's message"
        );
        assert_eq!(
            text(
                Remote::Client,
                Cause::Tls(io::ErrorKind::ConnectionReset.into())
            ),
            "connection reset"
        );
        assert_eq!(
            text(
                Remote::Client,
                Cause::Tls(io::ErrorKind::UnexpectedEof.into())
            ),
            "the client closed the connection"
        );
    }

    #[test]
    fn a_missing_or_other_protocol_is_named() {
        for (protocol, problem) in [
            (None, "did not agree on a protocol by ALPN"),
            (
                Some("http/1.1".to_owned()),
                "agreed on the protocol \"http/1.1\" by ALPN",
            ),
        ] {
            let text = text(SERVER, Cause::Protocol(NotH2(protocol)));
            assert!(text.contains(&format!("the server {problem}")), "{text}");
        }
    }
}
