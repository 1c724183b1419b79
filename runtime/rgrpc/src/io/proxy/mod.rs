//! HTTP proxies, which tunnel connections by CONNECT (RFC 9110, section 9.3.6).
//!
//! [`HttpProxy`] selects the connections, usually from the environment. [`ProxyDialer`] makes them,
//! on the task of the attempt to connect.
//!
//! Source: grpc-go `internal/transport/proxy.go`, `internal/resolver/delegatingresolver`; Go's
//! `golang.org/x/net/http/httpproxy`.

mod dialer;
mod no_proxy;
mod response;
mod url;

use std::env;
use std::error::Error;
use std::fmt;

pub(crate) use dialer::ProxyDialer;

use self::no_proxy::NoProxy;
use self::url::ProxyUrl;
use crate::error_text::debug_is_text;

/// The environment variables of the proxy and of its exceptions. The lower-case ones take
/// precedence, as in Go.
const PROXY_VARIABLES: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];
const NO_PROXY_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// An HTTP proxy, and the connections that do not use it.
///
/// The connection to the proxy is plain HTTP/1.1. The channel's credentials secure the tunneled
/// connection between the channel and its server.
///
/// Connections to `localhost` and to loopback addresses never use a proxy.
///
/// ```
/// use rgrpc::io::HttpProxy;
///
/// let proxy = HttpProxy::new("http://user:secret@proxy.example:3128")?
///     .no_proxy("internal.example, 10.0.0.0/8");
/// let conn = rgrpc::ClientConn::builder("orders.example:443", rgrpc::credentials::insecure())
///     .proxy(proxy)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HttpProxy {
    /// The URL. An error in it fails the connections that would use the proxy.
    url: Result<ProxyUrl, String>,
    /// The option or variable that set the proxy, for errors.
    source: &'static str,
    no_proxy: NoProxy,
}

impl HttpProxy {
    /// Creates a proxy for all connections.
    ///
    /// The URL is `http://[user[:password]@]host[:port]`, with a percent-encoded user and password.
    /// `http://` may be omitted. The default port is 80.
    ///
    /// # Errors
    /// The text is not the URL of a proxy, or the scheme is not `http`.
    pub fn new(url: &str) -> Result<Self, ProxyError> {
        let source = "the option proxy";
        match ProxyUrl::parse(url) {
            Ok(url) => Ok(Self {
                url: Ok(url),
                source,
                no_proxy: NoProxy::default(),
            }),
            Err(problem) => Err(ProxyError(problem)),
        }
    }

    /// Sets the connections that do not use the proxy, in place of an earlier list. Default: none.
    ///
    /// The list is separated by commas. An item is `example.com` for this host and its subdomains,
    /// `.example.com` for the subdomains only, an IP address, a network (`10.0.0.0/8`), or `*` for
    /// all. A host or an address may have a port (`example.com:443`). Invalid items are ignored.
    #[must_use]
    pub fn no_proxy(mut self, list: &str) -> Self {
        self.no_proxy = NoProxy::parse(list);
        self
    }

    /// Creates the proxy of the environment, or `None` without one.
    ///
    /// `HTTPS_PROXY` is the [URL](Self::new), and `NO_PROXY` the list of
    /// [exceptions](Self::no_proxy). The lower-case variables take precedence. An invalid URL fails
    /// the connections that would use the proxy.
    #[must_use]
    pub fn from_env() -> Option<Self> {
        Self::from_variables(|name| env::var(name).ok())
    }

    fn from_variables(value: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let first = |names: [&'static str; 2]| {
            let values = names.into_iter().map(|name| (name, value(name)));
            values
                .filter_map(|(name, value)| Some((name, value?)))
                .find(|(_, value)| !value.is_empty())
        };
        let (source, url) = first(PROXY_VARIABLES)?;
        let no_proxy = first(NO_PROXY_VARIABLES).map_or_else(String::new, |(_, list)| list);
        Some(Self {
            url: ProxyUrl::parse(&url),
            source,
            no_proxy: NoProxy::parse(&no_proxy),
        })
    }

    /// Returns whether connections to this host and port use the proxy.
    pub(crate) fn is_for(&self, host: &str, port: u16) -> bool {
        !self.no_proxy.matches(host, port)
    }
}

/// The error of an invalid proxy URL.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyError(String);

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy's URL: {}", self.0)
    }
}

impl Error for ProxyError {}

debug_is_text!(ProxyError);

#[cfg(test)]
mod tests {
    use super::*;

    /// The proxy's address, its source, and whether it is used for `a.test:1`.
    fn from(variables: &[(&str, &str)]) -> Option<(String, &'static str, bool)> {
        let proxy = HttpProxy::from_variables(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })?;
        let is_for = proxy.is_for("a.test", 1);
        let address = match proxy.url {
            Ok(url) => url.address(),
            Err(problem) => problem,
        };
        Some((address, proxy.source, is_for))
    }

    #[test]
    fn the_environment_sets_the_proxy() {
        #[rustfmt::skip]
        let cases: [(&[(&str, &str)], _); 9] = [
            (&[], None),
            (&[("HTTP_PROXY", "p:1"), ("NO_PROXY", "b")], None),
            (&[("HTTPS_PROXY", "")], None),
            (&[("HTTPS_PROXY", "p:1")], Some(("p:1", "HTTPS_PROXY", true))),
            (&[("https_proxy", "http://q")], Some(("q:80", "https_proxy", true))),
            (&[("HTTPS_PROXY", "p:1"), ("https_proxy", "q:2")], Some(("q:2", "https_proxy", true))),
            (&[("HTTPS_PROXY", "p:1"), ("https_proxy", "")], Some(("p:1", "HTTPS_PROXY", true))),
            (&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "a.test")], Some(("p:1", "HTTPS_PROXY", false))),
            (
                &[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "a.test"), ("no_proxy", "b.test")],
                Some(("p:1", "HTTPS_PROXY", true)),
            ),
        ];
        for (variables, expected) in cases {
            let found = from(variables);
            let found = found
                .as_ref()
                .map(|(url, by, is_for)| (&**url, *by, *is_for));
            assert_eq!(found, expected, "{variables:?}");
        }
    }

    #[test]
    fn an_invalid_variable_does_not_bypass_the_proxy() {
        let (problem, source, is_for) = from(&[("HTTPS_PROXY", "socks5://p:1")]).expect("a proxy");
        assert!(problem.contains("socks5"), "{problem}");
        assert_eq!(source, "HTTPS_PROXY");
        assert!(is_for);
    }

    #[test]
    fn an_invalid_option_is_an_error() {
        let error = HttpProxy::new("https://user:secret@p").expect_err("not plain HTTP");
        assert!(error.to_string().contains("https"), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn the_debug_form_of_a_proxy_has_no_password() {
        let proxy = HttpProxy::new("user:secret@p").expect("a proxy");
        let text = format!("{proxy:?}");
        assert!(
            !text.contains("secret") && !text.contains("dXNlcjp"),
            "{text}"
        );
    }
}
