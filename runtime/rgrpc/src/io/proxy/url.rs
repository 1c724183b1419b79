//! The URL of a proxy, which contains its credentials.
//!
//! Parsed when the proxy is configured; read by the dialer.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::io::host_port;

/// The default port of a proxy: that of HTTP.
const DEFAULT_PORT: u16 = 80;

/// The location of a proxy, and the credentials for it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ProxyUrl {
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `proxy-authorization` (RFC 7617).
    pub(super) authorization: Option<String>,
}

impl ProxyUrl {
    /// Parses a URL. The error contains neither the user nor the password.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let rest = match text.trim().split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) => {
                return Err(format!(
                    "the scheme {scheme:?} is not supported: http://host:port is expected"
                ));
            }
            None => text.trim(),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let (user, endpoint) = match authority.rsplit_once('@') {
            Some((user, endpoint)) => (Some(user), endpoint),
            None => (None, authority),
        };
        let (host, port) = host_port::split(endpoint).map_err(|error| error.to_string())?;
        if host.is_empty() {
            return Err("it has no host: http://host:port is expected".to_owned());
        }
        Ok(Self {
            host: host.to_owned(),
            port: port.unwrap_or(DEFAULT_PORT),
            authorization: user.map(authorization),
        })
    }

    /// Returns `host:port`.
    pub(super) fn address(&self) -> String {
        host_port::join(&self.host, self.port)
    }
}

/// Returns the value of `proxy-authorization` for `user[:password]`, percent-encoded.
fn authorization(user: &str) -> String {
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let mut plain: Vec<u8> = percent_decode_str(user).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    format!("Basic {}", STANDARD.encode(plain))
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_the_proxys_address_and_credentials() {
        for (text, address, authorization) in [
            ("http://proxy.test:3128", "proxy.test:3128", None),
            ("HTTP://proxy.test", "proxy.test:80", None),
            ("proxy.test:3128", "proxy.test:3128", None),
            (" 10.0.0.1 ", "10.0.0.1:80", None),
            ("http://[::1]:3128/path?query", "[::1]:3128", None),
            ("http://proxy.test:1/#fragment", "proxy.test:1", None),
            // "user:password", then "user:", then "u@:p:w".
            (
                "http://user:password@p:1",
                "p:1",
                Some("Basic dXNlcjpwYXNzd29yZA=="),
            ),
            ("user@p:1", "p:1", Some("Basic dXNlcjo=")),
            ("http://u%40:p:w@p:1", "p:1", Some("Basic dUA6cDp3")),
        ] {
            let url = ProxyUrl::parse(text).expect(text);
            assert_eq!(url.address(), address, "{text}");
            assert_eq!(url.authorization.as_deref(), authorization, "{text}");
        }
    }

    #[test]
    fn a_url_that_is_not_plain_http_is_refused_without_its_password() {
        for (text, expected) in [
            ("https://user:secret@p:1", "the scheme \"https\""),
            ("socks5://p:1", "the scheme \"socks5\""),
            ("http://", "no host"),
            ("http://user:secret@:1", "no host"),
            ("http://user:secret@p:port", "not a port"),
            ("http://[::1", "no closing one"),
        ] {
            let problem = ProxyUrl::parse(text).expect_err(text);
            assert!(problem.contains(expected), "{text}: {problem}");
            assert!(!problem.contains("secret"), "{text}: {problem}");
        }
    }
}
