//! HTTP proxies, through which connections go by CONNECT (RFC 9110, section 9.3.6).
//!
//! Which connections do is said by an [`HttpProxy`], mostly from the environment;
//! [`ProxyDialer`] makes them.
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

/// The variables that say which proxy there is, and what it is not for. The lower-case ones go
/// first, as in Go.
const PROXY_VARIABLES: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];
const NO_PROXY_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// An HTTP proxy that connections go through, and which ones do.
///
/// The connection to the proxy is plain HTTP/1.1; what goes through it is secured by the channel's
/// credentials, between the channel and its server.
///
/// Connections to `localhost` and to loopback addresses never go through a proxy.
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
    /// What is wrong with it is told to who would connect through it.
    url: Result<ProxyUrl, String>,
    /// Who says that there is a proxy, for errors.
    said_by: &'static str,
    no_proxy: NoProxy,
}

impl HttpProxy {
    /// A proxy for all connections: `http://[user[:password]@]host[:port]`, the user and the
    /// password percent-encoded. `http://` may be left out; the port is 80 then and when left out.
    ///
    /// # Errors
    /// It is no URL of a proxy, or one that is not to be spoken to by plain HTTP.
    pub fn new(url: &str) -> Result<Self, ProxyError> {
        let said_by = "the option proxy";
        match ProxyUrl::parse(url) {
            Ok(url) => Ok(Self {
                url: Ok(url),
                said_by,
                no_proxy: NoProxy::default(),
            }),
            Err(problem) => Err(ProxyError(problem)),
        }
    }

    /// The connections that do not go through it, in place of those said before; a list with
    /// commas: `example.com` for this host and those below it, `.example.com` for those below it
    /// alone, IP addresses, networks (`10.0.0.0/8`), any but a network with a port
    /// (`example.com:443`), and `*` for all. What is none of these is ignored. Default: none.
    #[must_use]
    pub fn no_proxy(mut self, list: &str) -> Self {
        self.no_proxy = NoProxy::parse(list);
        self
    }

    /// What the environment says: `HTTPS_PROXY` is the [proxy](Self::new), `NO_PROXY` what is
    /// [not](Self::no_proxy) to go through it. The same in lower case goes first. `None`: there is
    /// no proxy. A value that makes no sense fails the connections that would go through the proxy.
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
        let (said_by, url) = first(PROXY_VARIABLES)?;
        let no_proxy = first(NO_PROXY_VARIABLES).map_or_else(String::new, |(_, list)| list);
        Some(Self {
            url: ProxyUrl::parse(&url),
            said_by,
            no_proxy: NoProxy::parse(&no_proxy),
        })
    }

    /// Whether connections to this host and port go through it.
    pub(crate) fn is_for(&self, host: &str, port: u16) -> bool {
        !self.no_proxy.holds(host, port)
    }
}

/// A text that is no URL of a proxy.
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

    /// The proxy's address, who says so, and whether `a.test:1` goes through it.
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
        Some((address, proxy.said_by, is_for))
    }

    #[test]
    fn the_environment_says_which_proxy_there_is() {
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
    fn a_bad_variable_is_no_reason_to_go_around_the_proxy() {
        let (problem, said_by, is_for) = from(&[("HTTPS_PROXY", "socks5://p:1")]).expect("a proxy");
        assert!(problem.contains("socks5"), "{problem}");
        assert_eq!(said_by, "HTTPS_PROXY");
        assert!(is_for);
    }

    #[test]
    fn a_bad_option_is_an_error() {
        let error = HttpProxy::new("https://user:secret@p").expect_err("not plain HTTP");
        assert!(error.to_string().contains("https"), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn what_is_logged_of_a_proxy_is_not_its_password() {
        let proxy = HttpProxy::new("user:secret@p").expect("a proxy");
        let text = format!("{proxy:?}");
        assert!(
            !text.contains("secret") && !text.contains("dXNlcjp"),
            "{text}"
        );
    }
}
