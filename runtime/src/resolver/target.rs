use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use percent_encoding::percent_decode_str;

/// The port of `dns` names that have none.
const DEFAULT_PORT: u16 = 443;

/// What a channel connects to, as its user wrote it: `scheme:[//authority/]endpoint`, or an
/// endpoint alone, which is one of `dns`.
///
/// Source: `doc/naming.md` of the gRPC documents; grpc-go `parseTarget`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    text: String,
    endpoint: TargetEndpoint,
    authority: String,
}

/// What a scheme makes of the rest of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetEndpoint {
    /// Handed to the dialer as it is.
    Passthrough(String),
    /// A host, to be looked up unless it is an IP address, and a port.
    Dns { host: String, port: u16 },
    /// The path of a unix socket.
    Unix(String),
    /// IP addresses and ports.
    Ip(Vec<SocketAddr>),
}

impl Target {
    /// Parses a target.
    pub(crate) fn parse(text: &str) -> Result<Self, TargetError> {
        let (endpoint, authority) = parse(text).map_err(|problem| TargetError {
            target: text.to_owned(),
            problem,
        })?;
        Ok(Self {
            text: text.to_owned(),
            endpoint,
            authority,
        })
    }

    pub(crate) fn endpoint(&self) -> &TargetEndpoint {
        &self.endpoint
    }

    /// The `:authority` of requests, unless an option sets another.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The schemes that are known, each with what parses the rest of the target.
#[derive(Clone, Copy)]
enum Scheme {
    Dns,
    Passthrough,
    Unix,
    Ipv4,
    Ipv6,
}

impl Scheme {
    fn from_name(name: &str) -> Option<Self> {
        // Schemes are compared without regard to case (RFC 3986, section 3.1).
        Some(match name.to_ascii_lowercase().as_str() {
            "dns" => Self::Dns,
            "passthrough" => Self::Passthrough,
            "unix" => Self::Unix,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            _ => return None,
        })
    }
}

fn parse(text: &str) -> Result<(TargetEndpoint, String), String> {
    let (scheme, rest) = match text.split_once(':') {
        Some((name, rest)) => match Scheme::from_name(name) {
            Some(scheme) => (scheme, rest),
            None if rest.starts_with("//") => {
                return Err(format!(
                    "the scheme {name:?} is unknown: \
                     use dns, passthrough, unix, ipv4 or ipv6"
                ));
            }
            // "host:port"
            None => (Scheme::Dns, text),
        },
        None => (Scheme::Dns, text),
    };
    let (server, rest) = split_authority(rest)?;
    match scheme {
        Scheme::Unix => {
            if !server.is_empty() {
                return Err(format!(
                    "a unix socket has no host, but {server:?} stands before the path: \
                     use unix:path or unix:///path"
                ));
            }
            unix(rest)
        }
        // Lookups go to the system's resolver, which knows its servers.
        Scheme::Dns if !server.is_empty() => Err(format!(
            "lookups by the DNS server {server:?} are not supported: use dns:///host:port"
        )),
        Scheme::Dns => dns(&decode(rest.strip_prefix('/').unwrap_or(rest))?),
        Scheme::Passthrough => passthrough(&decode(rest.strip_prefix('/').unwrap_or(rest))?),
        Scheme::Ipv4 => ip(rest.strip_prefix('/').unwrap_or(rest), SocketAddr::is_ipv4),
        Scheme::Ipv6 => ip(rest.strip_prefix('/').unwrap_or(rest), SocketAddr::is_ipv6),
    }
}

/// Splits `//authority/path` into authority and path; without the slashes all is path.
fn split_authority(rest: &str) -> Result<(&str, &str), String> {
    match rest.strip_prefix("//") {
        None => Ok(("", rest)),
        Some(rest) => match rest.find('/') {
            Some(slash) => Ok(rest.split_at(slash)),
            None => Err("nothing follows the authority: \
                         write scheme:///endpoint, with three slashes"
                .to_owned()),
        },
    }
}

fn decode(endpoint: &str) -> Result<String, String> {
    match percent_decode_str(endpoint).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(format!("the endpoint {endpoint:?} is not UTF-8")),
    }
}

fn dns(endpoint: &str) -> Result<(TargetEndpoint, String), String> {
    let (host, port) = split_port(endpoint)?;
    if host.is_empty() && port.is_none() {
        return Err("the endpoint is empty: host:port is expected".to_owned());
    }
    let authority = authority(host, port);
    let endpoint = TargetEndpoint::Dns {
        // ":port" is this machine.
        host: if host.is_empty() { "localhost" } else { host }.to_owned(),
        port: port.unwrap_or(DEFAULT_PORT),
    };
    Ok((endpoint, authority))
}

fn passthrough(endpoint: &str) -> Result<(TargetEndpoint, String), String> {
    if endpoint.is_empty() {
        return Err("the endpoint is empty".to_owned());
    }
    // What is no host and port is the dialer's business and says nothing to a server.
    let authority = match split_port(endpoint) {
        Ok((host, port)) => authority(host, port),
        Err(_) => "localhost".to_owned(),
    };
    Ok((TargetEndpoint::Passthrough(endpoint.to_owned()), authority))
}

fn unix(path: &str) -> Result<(TargetEndpoint, String), String> {
    if path.is_empty() {
        return Err("the path of the unix socket is empty".to_owned());
    }
    Ok((
        TargetEndpoint::Unix(path.to_owned()),
        "localhost".to_owned(),
    ))
}

fn ip(list: &str, of_family: fn(&SocketAddr) -> bool) -> Result<(TargetEndpoint, String), String> {
    let addresses: Vec<_> = list
        .split(',')
        .map(|text| match parse_ip(text) {
            Some(address) if of_family(&address) => Ok(address),
            _ => Err(format!(
                "{text:?} is no IP address of this scheme: a comma-separated list of \
                 address:port is expected, IPv6 addresses in brackets"
            )),
        })
        .collect::<Result<_, _>>()?;
    // An authority names one host; the first stands for all.
    let authority = addresses
        .first()
        .map_or_else(String::new, ToString::to_string);
    Ok((TargetEndpoint::Ip(addresses), authority))
}

fn parse_ip(text: &str) -> Option<SocketAddr> {
    let (host, port) = split_port(text).ok()?;
    let ip: IpAddr = host.parse().ok()?;
    Some(SocketAddr::new(ip, port.unwrap_or(DEFAULT_PORT)))
}

/// Splits `host[:port]`; an IPv6 address with a port stands in brackets.
fn split_port(endpoint: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = if let Some(rest) = endpoint.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or_else(|| format!("{endpoint:?} has an opening bracket and no closing one"))?;
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(format!("{rest:?} follows the bracket in {endpoint:?}")),
        }
    } else {
        match endpoint.rsplit_once(':') {
            // More than one colon and no brackets: an IPv6 address, maybe with a zone.
            Some((host, _)) if host.contains(':') => {
                let address = endpoint.split('%').next().unwrap_or(endpoint);
                if address.parse::<Ipv6Addr>().is_err() {
                    return Err(format!(
                        "{endpoint:?} has too many colons: host:port is expected, \
                         IPv6 addresses in brackets"
                    ));
                }
                (endpoint, None)
            }
            Some((host, port)) => (host, Some(port)),
            None => (endpoint, None),
        }
    };
    match port {
        None => Ok((host, None)),
        // Parsing alone would let a sign through.
        Some(port) => match port.parse() {
            Ok(number) if !port.starts_with('+') => Ok((host, Some(number))),
            _ => Err(format!("{port:?} in {endpoint:?} is no port")),
        },
    }
}

/// The authority of a host and a port (RFC 3986, section 3.2). A host that cannot stand in one says
/// nothing to a server, so that `localhost` stands for it, as it does for unix sockets.
fn authority(host: &str, port: Option<u16>) -> String {
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

/// A target that a channel cannot be made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetError {
    target: String,
    problem: String,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the target {:?}: {}", self.target, self.problem)
    }
}

impl Error for TargetError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(host: &str, port: u16) -> TargetEndpoint {
        TargetEndpoint::Dns {
            host: host.to_owned(),
            port,
        }
    }

    fn passthrough(name: &str) -> TargetEndpoint {
        TargetEndpoint::Passthrough(name.to_owned())
    }

    fn unix(path: &str) -> TargetEndpoint {
        TargetEndpoint::Unix(path.to_owned())
    }

    fn ip(addresses: &[&str]) -> TargetEndpoint {
        TargetEndpoint::Ip(addresses.iter().map(|a| a.parse().expect(a)).collect())
    }

    #[test]
    fn targets_are_parsed_as_the_grpc_documents_say() {
        for (target, endpoint, authority) in [
            (
                "localhost:50051",
                dns("localhost", 50051),
                "localhost:50051",
            ),
            ("example.com", dns("example.com", 443), "example.com"),
            ("dns:example.com:1", dns("example.com", 1), "example.com:1"),
            (
                "dns:///example.com:1",
                dns("example.com", 1),
                "example.com:1",
            ),
            ("DNS:///a", dns("a", 443), "a"),
            (":8080", dns("localhost", 8080), "localhost:8080"),
            ("dns:///:8080", dns("localhost", 8080), "localhost:8080"),
            ("[::1]:80", dns("::1", 80), "[::1]:80"),
            ("dns:///[::1]", dns("::1", 443), "[::1]"),
            ("dns:::1", dns("::1", 443), "[::1]"),
            ("passthrough:///a b", passthrough("a b"), "localhost"),
            ("passthrough:h:1", passthrough("h:1"), "h:1"),
            (
                "passthrough:///unix:///x",
                passthrough("unix:///x"),
                "localhost",
            ),
            ("unix:///tmp/s", unix("/tmp/s"), "localhost"),
            ("unix:rel/s", unix("rel/s"), "localhost"),
            ("ipv4:1.2.3.4:5", ip(&["1.2.3.4:5"]), "1.2.3.4:5"),
            (
                "ipv4:///1.2.3.4:5,6.7.8.9",
                ip(&["1.2.3.4:5", "6.7.8.9:443"]),
                "1.2.3.4:5",
            ),
            ("ipv6:[::1]:5", ip(&["[::1]:5"]), "[::1]:5"),
            ("ipv6:::1", ip(&["[::1]:443"]), "[::1]:443"),
        ] {
            let parsed = Target::parse(target).expect(target);
            assert_eq!(parsed.endpoint(), &endpoint, "{target}");
            assert_eq!(parsed.authority(), authority, "{target}");
            assert_eq!(parsed.to_string(), target);
        }
    }

    #[test]
    fn a_host_that_cannot_stand_in_an_authority_is_not_sent() {
        for (target, authority) in [
            ("dns:///a b:1", "localhost"),
            ("dns:///a[b:1", "localhost"),
            ("dns:///[]:1", "localhost:1"),
            ("dns:///fe80::1%25eth0", "localhost"),
            ("dns:///[fe80::1%25eth0]:1", "localhost"),
            ("passthrough:///:1", "localhost:1"),
            ("passthrough:///a:b:c", "localhost"),
        ] {
            let parsed = Target::parse(target).map(|target| target.authority);
            assert_eq!(parsed.as_deref(), Ok(authority), "{target}");
        }
    }

    #[test]
    fn a_bad_target_is_an_error_that_says_what_is_wrong() {
        for (target, text) in [
            ("", "empty"),
            ("dns:", "empty"),
            ("passthrough:///", "empty"),
            ("unix:", "empty"),
            ("http://host:1", "scheme \"http\" is unknown"),
            ("dns://8.8.8.8/host", "DNS server \"8.8.8.8\""),
            ("dns://host:1", "three slashes"),
            ("unix://host/path", "no host"),
            ("host:port", "\"port\" in \"host:port\" is no port"),
            ("host:65536", "no port"),
            ("host:+1", "no port"),
            ("a:b:1", "too many colons"),
            ("\n1::", "too many colons"),
            ("[::1:80", "no closing one"),
            ("[::1]80", "follows the bracket"),
            ("ipv4:[::1]:80", "no IP address"),
            ("ipv6:1.2.3.4:80", "no IP address"),
            ("ipv4:", "no IP address"),
        ] {
            let error = Target::parse(target).expect_err(target).to_string();
            assert!(error.contains(text), "{target}: {error}");
        }
    }
}
