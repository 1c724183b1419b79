//! The form `host:port` of targets and proxies.
//!
//! Called by resolvers' builders, the channel's builder and proxies.

use std::error::Error;
use std::fmt;
use std::net::Ipv6Addr;

/// The port of a name without one.
pub(crate) const DEFAULT_PORT: u16 = 443;

/// The error of a text that is not `host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPortError {
    text: String,
    problem: HostPortProblem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPortProblem {
    /// An opening bracket has no closing one.
    OpenBracket,
    /// This follows the closing bracket.
    AfterBracket(String),
    /// More than one colon and no brackets.
    TooManyColons,
    /// This is not a port.
    Port(String),
}

impl HostPortError {
    fn new(text: &str, problem: HostPortProblem) -> Self {
        Self {
            text: text.to_owned(),
            problem,
        }
    }
}

impl fmt::Display for HostPortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, problem } = self;
        match problem {
            HostPortProblem::OpenBracket => {
                write!(f, "{text:?} has an opening bracket but no closing one")
            }
            HostPortProblem::AfterBracket(rest) => {
                write!(f, "{rest:?} follows the bracket in {text:?}")
            }
            HostPortProblem::TooManyColons => write!(
                f,
                "{text:?} has too many colons: host:port is expected, IPv6 addresses in brackets"
            ),
            HostPortProblem::Port(port) => write!(f, "{port:?} in {text:?} is not a port"),
        }
    }
}

impl Error for HostPortError {}

/// Splits `host[:port]`. An IPv6 address with a port is in brackets.
pub(crate) fn split(endpoint: &str) -> Result<(&str, Option<u16>), HostPortError> {
    let error = |problem| HostPortError::new(endpoint, problem);
    let (host, port) = if let Some(rest) = endpoint.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or_else(|| error(HostPortProblem::OpenBracket))?;
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(error(HostPortProblem::AfterBracket(rest.to_owned()))),
        }
    } else {
        match endpoint.rsplit_once(':') {
            // More than one colon and no brackets: an IPv6 address, perhaps with a zone.
            Some((host, _)) if host.contains(':') => {
                let address = endpoint.split('%').next().unwrap_or(endpoint);
                if address.parse::<Ipv6Addr>().is_err() {
                    return Err(error(HostPortProblem::TooManyColons));
                }
                (endpoint, None)
            }
            Some((host, port)) => (host, Some(port)),
            None => (endpoint, None),
        }
    };
    match port {
        None => Ok((host, None)),
        // `parse` would accept a sign.
        Some(port) => match port.parse() {
            Ok(number) if !port.starts_with('+') => Ok((host, Some(number))),
            _ => Err(error(HostPortProblem::Port(port.to_owned()))),
        },
    }
}

/// Joins a host and a port, with brackets around an IPv6 address.
pub(crate) fn join(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Returns the authority of a host and a port (RFC 3986, section 3.2). A host that is invalid in an
/// authority is replaced by `localhost`, as for unix sockets.
pub(crate) fn authority(host: &str, port: Option<u16>) -> String {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte);
    let mut authority = if host.parse::<Ipv6Addr>().is_ok() {
        format!("[{host}]")
    } else if !host.is_empty() && host.bytes().all(legal) {
        host.to_owned()
    } else {
        return match port {
            Some(port) if host.is_empty() => format!("localhost:{port}"),
            _ => "localhost".to_owned(),
        };
    };
    if let Some(port) = port {
        authority.push_str(&format!(":{port}"));
    }
    authority
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_split() {
        for (endpoint, host, port) in [
            ("host", "host", None),
            ("host:1", "host", Some(1)),
            (":1", "", Some(1)),
            ("1.2.3.4:5", "1.2.3.4", Some(5)),
            ("[::1]:80", "::1", Some(80)),
            ("[::1]", "::1", None),
            ("::1", "::1", None),
            ("fe80::1%eth0", "fe80::1%eth0", None),
            ("a/b", "a/b", None),
        ] {
            assert_eq!(split(endpoint), Ok((host, port)), "{endpoint}");
        }
    }

    #[test]
    fn a_joined_host_and_port_can_be_split() {
        for (host, port, joined) in [
            ("host", 1, "host:1"),
            ("1.2.3.4", 5, "1.2.3.4:5"),
            ("::1", 80, "[::1]:80"),
        ] {
            assert_eq!(join(host, port), joined);
            assert_eq!(split(joined), Ok((host, Some(port))));
        }
    }

    #[test]
    fn an_invalid_host_and_port_is_an_error_with_the_reason() {
        for (endpoint, text) in [
            ("host:port", "\"port\" in \"host:port\" is not a port"),
            ("host:65536", "not a port"),
            ("host:+1", "not a port"),
            ("host:", "not a port"),
            ("a:b:1", "too many colons"),
            ("\n1::", "too many colons"),
            ("[::1:80", "no closing one"),
            ("[::1]80", "follows the bracket"),
        ] {
            let error = split(endpoint).expect_err(endpoint).to_string();
            assert!(error.contains(text), "{endpoint}: {error}");
        }
    }

    #[test]
    fn a_host_that_is_invalid_in_an_authority_becomes_localhost() {
        for (host, port, expected) in [
            ("a", Some(1), "a:1"),
            ("a", None, "a"),
            ("::1", Some(1), "[::1]:1"),
            ("::1", None, "[::1]"),
            ("a b", Some(1), "localhost"),
            ("a[b", Some(1), "localhost"),
            ("", Some(1), "localhost:1"),
            ("", None, "localhost"),
            ("fe80::1%eth0", Some(1), "localhost"),
        ] {
            assert_eq!(authority(host, port), expected, "{host}");
        }
    }
}
