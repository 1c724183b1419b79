//! Why a handshake failed, in words that say what to change.

use std::error::Error;
use std::fmt;
use std::io;

use tokio_rustls::rustls::{self, AlertDescription, CertificateError, InvalidMessage};

use super::alpn::NotH2;

/// Why a connection was not secured.
#[derive(Debug)]
pub(super) struct HandshakeFailure {
    /// The other side.
    pub(super) peer: Role,
    pub(super) cause: Cause,
}

/// Which side of a connection one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

#[derive(Debug)]
pub(super) enum Cause {
    /// The channel's authority cannot stand in a certificate.
    Name(String),
    /// TLS itself, or the connection below it.
    Tls(io::Error),
    /// The sides did not agree on HTTP/2.
    Protocol(NotH2),
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, cause } = self;
        write!(f, "the TLS handshake with the {peer} failed: ")?;
        match cause {
            Cause::Name(name) => write!(
                f,
                "{name:?} is neither a DNS name nor an IP address that a certificate could have; \
                 the option is server_name"
            ),
            Cause::Tls(error) => match rustls_error(error) {
                Some(error) => {
                    error.fmt(f)?;
                    match advice(*peer, error) {
                        Some(advice) => write!(f, ": {advice}"),
                        None => Ok(()),
                    }
                }
                None if error.kind() == io::ErrorKind::UnexpectedEof => {
                    write!(f, "the {peer} closed the connection")
                }
                None => error.fmt(f),
            },
            Cause::Protocol(NotH2(None)) => write!(
                f,
                "the {peer} did not agree on a protocol by ALPN, which gRPC needs to be h2"
            ),
            Cause::Protocol(NotH2(Some(protocol))) => write!(
                f,
                "the {peer} agreed on the protocol {protocol:?} by ALPN, which gRPC needs to be h2"
            ),
        }
    }
}

impl Error for HandshakeFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Tls(error) => Some(error),
            Cause::Name(_) | Cause::Protocol(_) => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What most often is the reason for an error in a handshake with `peer`, and the option that
/// changes it.
fn advice(peer: Role, error: &rustls::Error) -> Option<&'static str> {
    use rustls::Error as E;
    Some(match (peer, error) {
        (Role::Server, E::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "it does not speak TLS; if it serves plain text, use credentials::insecure()"
        }
        (Role::Client, E::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "it does not speak TLS; it may have been made with credentials::insecure()"
        }
        (Role::Server, E::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "no CA that is trusted here has signed it; the option is ca_certificates"
        }
        (Role::Client, E::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "no CA that is trusted here has signed it; the option is client_ca_certificates"
        }
        (
            Role::Server,
            E::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ),
        ) => "the name is the host of the channel's authority; the option is server_name",
        (Role::Client, E::NoCertificatesPresented) => {
            "one is asked for, since the option client_ca_certificates is set"
        }
        (Role::Server, E::AlertReceived(AlertDescription::CertificateRequired)) => {
            "it asks for a client certificate; the option is identity"
        }
        (_, E::AlertReceived(AlertDescription::UnknownCA)) => {
            "it does not trust the CA of this side's certificate"
        }
        (_, E::NoApplicationProtocol)
        | (_, E::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            "it does not offer h2 by ALPN, which gRPC needs"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(peer: Role, cause: Cause) -> String {
        HandshakeFailure { peer, cause }.to_string()
    }

    fn tls(peer: Role, error: rustls::Error) -> String {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        text(peer, Cause::Tls(error))
    }

    #[test]
    fn a_failure_names_the_other_side_and_the_option_that_changes_it() {
        use rustls::Error as E;
        let not_tls = || E::InvalidMessage(InvalidMessage::InvalidContentType);
        let unknown_ca = || E::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrong_name = || E::InvalidCertificate(CertificateError::NotValidForName);
        let alert = E::AlertReceived;
        for (peer, error, option) in [
            (Role::Server, not_tls(), "credentials::insecure()"),
            (Role::Client, not_tls(), "credentials::insecure()"),
            (Role::Server, unknown_ca(), "option is ca_certificates"),
            (
                Role::Client,
                unknown_ca(),
                "option is client_ca_certificates",
            ),
            (Role::Server, wrong_name(), "option is server_name"),
            (
                Role::Client,
                E::NoCertificatesPresented,
                "client_ca_certificates",
            ),
            (
                Role::Server,
                alert(AlertDescription::CertificateRequired),
                "option is identity",
            ),
            (
                Role::Server,
                alert(AlertDescription::UnknownCA),
                "CA of this side",
            ),
            (
                Role::Client,
                alert(AlertDescription::UnknownCA),
                "CA of this side",
            ),
            (Role::Client, E::NoApplicationProtocol, "h2 by ALPN"),
            (
                Role::Server,
                alert(AlertDescription::NoApplicationProtocol),
                "h2 by ALPN",
            ),
        ] {
            let cause = error.to_string();
            let text = tls(peer, error);
            let side = format!("the TLS handshake with the {peer} failed: {cause}: ");
            assert!(text.starts_with(&side), "{text}");
            assert!(text.contains(option), "{text}");
        }
    }

    #[test]
    fn an_error_without_advice_stands_for_itself() {
        assert_eq!(
            tls(Role::Server, rustls::Error::DecryptError),
            "the TLS handshake with the server failed: cannot decrypt peer's message"
        );
        assert_eq!(
            text(
                Role::Client,
                Cause::Tls(io::ErrorKind::ConnectionReset.into())
            ),
            "the TLS handshake with the client failed: connection reset"
        );
        assert_eq!(
            text(
                Role::Client,
                Cause::Tls(io::ErrorKind::UnexpectedEof.into())
            ),
            "the TLS handshake with the client failed: the client closed the connection"
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
            let text = text(Role::Server, Cause::Protocol(NotH2(protocol)));
            assert!(text.contains(&format!("the server {problem}")), "{text}");
        }
    }
}
