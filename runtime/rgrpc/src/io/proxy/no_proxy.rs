//! The list of a proxy's exceptions.
//!
//! Parsed when the proxy is configured; asked for each target and address.

use std::net::IpAddr;

use crate::io::host_port;

/// The list of connections that do not use a proxy.
///
/// Source: Go's `golang.org/x/net/http/httpproxy`, `Config.NoProxy`.
#[derive(Clone, Debug, Default)]
pub(super) struct NoProxy(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    All,
    Network {
        address: IpAddr,
        prefix: u8,
    },
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    /// A domain, in lower case.
    Domain {
        /// The suffix of its subdomains, with a leading dot.
        suffix: String,
        /// True if the host itself matches, besides its subdomains.
        host_matches: bool,
        port: Option<u16>,
    },
}

impl NoProxy {
    /// Parses a list separated by commas. Invalid items are ignored.
    pub(super) fn parse(list: &str) -> Self {
        Self(list.split(',').filter_map(Rule::parse).collect())
    }

    /// Returns whether connections to this host and port bypass the proxy.
    pub(super) fn matches(&self, host: &str, port: u16) -> bool {
        let host = host.to_lowercase();
        match host.parse::<IpAddr>() {
            Ok(ip) => {
                let ip = ip.to_canonical();
                ip.is_loopback() || self.0.iter().any(|rule| rule.matches_ip(ip, port))
            }
            Err(_) => {
                host == "localhost" || self.0.iter().any(|rule| rule.matches_name(&host, port))
            }
        }
    }
}

impl Rule {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_lowercase();
        if entry == "*" {
            return Some(Self::All);
        }
        if let Some(network) = parse_network(&entry) {
            return Some(network);
        }
        let (host, port) = host_port::split(&entry).ok()?;
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = address.to_canonical();
            return Some(Self::Address { address, port });
        }
        let host = host
            .strip_prefix('*')
            .filter(|rest| rest.starts_with('.'))
            .unwrap_or(host);
        let (suffix, host_matches) = match host.strip_prefix('.') {
            None if host.is_empty() => return None,
            None => (format!(".{host}"), true),
            Some(_) => (host.to_owned(), false),
        };
        Some(Self::Domain {
            suffix,
            host_matches,
            port,
        })
    }

    fn matches_ip(&self, ip: IpAddr, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Network { address, prefix } => in_network(ip, *address, *prefix),
            Self::Address { address, port: of } => *address == ip && of.is_none_or(|of| of == port),
            Self::Domain { .. } => false,
        }
    }

    fn matches_name(&self, host: &str, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Network { .. } | Self::Address { .. } => false,
            Self::Domain {
                suffix,
                host_matches,
                port: of,
            } => {
                let is_below = host.ends_with(suffix.as_str());
                let is_it = *host_matches && suffix.strip_prefix('.') == Some(host);
                (is_below || is_it) && of.is_none_or(|of| of == port)
            }
        }
    }
}

fn parse_network(entry: &str) -> Option<Rule> {
    let (address, prefix) = entry.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let prefix = prefix.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (prefix <= bits).then_some(Rule::Network { address, prefix })
}

fn in_network(ip: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let prefix = u32::from(prefix);
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let differing = ip.to_bits() ^ network.to_bits();
            differing.leading_zeros() >= prefix
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let differing = ip.to_bits() ^ network.to_bits();
            differing.leading_zeros() >= prefix
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_those_of_go() {
        #[rustfmt::skip]
        let cases = [
            // list, host, port, whether the proxy is bypassed
            ("", "a.test", 1, false),
            ("", "localhost", 1, true),
            ("", "127.8.9.1", 1, true),
            ("", "::1", 1, true),
            ("", "::ffff:127.0.0.1", 1, true),
            ("", "localhost.test", 1, false),
            ("*", "a.test", 1, true),
            ("*", "1.2.3.4", 1, true),
            ("a.test", "a.test", 1, true),
            ("a.test", "A.Test", 1, true),
            ("A.TEST", "a.test", 1, true),
            ("a.test", "b.a.test", 1, true),
            ("a.test", "ba.test", 1, false),
            ("a.test", "test", 1, false),
            (".a.test", "a.test", 1, false),
            (".a.test", "b.a.test", 1, true),
            ("*.a.test", "a.test", 1, false),
            ("*.a.test", "b.a.test", 1, true),
            ("a.test:1", "a.test", 1, true),
            ("a.test:1", "a.test", 2, false),
            ("x, a.test ,y", "a.test", 1, true),
            ("1.2.3.4", "1.2.3.4", 1, true),
            ("1.2.3.4", "1.2.3.5", 1, false),
            ("1.2.3.4:1", "1.2.3.4", 1, true),
            ("1.2.3.4:1", "1.2.3.4", 2, false),
            ("1.2.3.4", "::ffff:1.2.3.4", 1, true),
            ("1.2.0.0/16", "1.2.255.4", 1, true),
            ("1.2.0.0/16", "1.3.0.0", 1, false),
            ("1.2.3.4/32", "1.2.3.4", 1, true),
            ("0.0.0.0/0", "9.9.9.9", 1, true),
            ("0.0.0.0/0", "2001:db8::1", 1, false),
            ("1.2.0.0/16", "1.2.3.4.test", 1, false),
            ("2001:db8::/32", "2001:db8:1::1", 1, true),
            ("2001:db8::/32", "2001:db9::1", 1, false),
            ("[2001:db8::1]:1", "2001:db8::1", 1, true),
            ("[2001:db8::1]:1", "2001:db8::1", 2, false),
            ("2001:db8::1", "2001:db8::1", 2, true),
            // Invalid items are ignored.
            (",,:1,1.2.3.4/33,[,a:b,.", "a.test", 1, false),
        ];
        for (list, host, port, expected) in cases {
            let bypassed = NoProxy::parse(list).matches(host, port);
            assert_eq!(bypassed, expected, "{list:?}: {host} {port}");
        }
    }
}
