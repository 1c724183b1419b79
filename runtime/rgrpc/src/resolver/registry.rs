//! The resolver builders of a channel, and the choice of one for a target.
//!
//! Filled and asked by the channel's builder, on the user's task.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::dns::DnsResolverBuilder;
use super::ip_list::IpListResolverBuilder;
use super::passthrough::PassthroughResolverBuilder;
use super::unix::{UnixAbstractResolverBuilder, UnixResolverBuilder};
use super::{ResolverBuilder, Target, TargetError};
use crate::io::host_port;

/// The resolver builders of a channel, by scheme.
#[derive(Clone)]
pub struct ResolverRegistry {
    /// The builders by scheme, in lower case.
    builders: BTreeMap<String, Arc<dyn ResolverBuilder>>,
}

impl ResolverRegistry {
    /// Creates a registry of the built-in schemes: `dns`, `ipv4`, `ipv6`, `passthrough`, `unix` and
    /// `unix-abstract`.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Self::empty();
        registry.register(Arc::new(DnsResolverBuilder::new()));
        registry.register(Arc::new(IpListResolverBuilder::V4));
        registry.register(Arc::new(IpListResolverBuilder::V6));
        registry.register(Arc::new(PassthroughResolverBuilder));
        registry.register(Arc::new(UnixResolverBuilder));
        registry.register(Arc::new(UnixAbstractResolverBuilder));
        registry
    }

    /// Creates a registry without schemes.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            builders: BTreeMap::new(),
        }
    }

    /// Adds a scheme. It replaces an earlier one of the same name.
    pub fn register(&mut self, builder: Arc<dyn ResolverBuilder>) {
        let scheme = builder.scheme().to_ascii_lowercase();
        self.builders.insert(scheme, builder);
    }

    /// The builder of a scheme. Schemes are case-insensitive.
    #[must_use]
    pub fn get(&self, scheme: &str) -> Option<&Arc<dyn ResolverBuilder>> {
        self.builders.get(&scheme.to_ascii_lowercase())
    }

    /// Parses a target and finds the builder of its scheme. A text without a known scheme is an
    /// endpoint of the default scheme.
    ///
    /// # Errors
    /// The target begins with `x://` and the scheme `x` is unknown, or the default scheme is
    /// unknown.
    ///
    /// Source: `doc/naming.md`; grpc-go `ClientConn.initParsedTargetAndResolverBuilder`.
    pub fn parse(
        &self,
        text: &str,
        default_scheme: &str,
    ) -> Result<(Target, Arc<dyn ResolverBuilder>), TargetError> {
        let unknown = |what: &str, scheme: &str| {
            let known: Vec<_> = self.builders.keys().map(String::as_str).collect();
            let known = known.join(", ");
            TargetError::new(
                text,
                format!("the {what} {scheme:?} is unknown: known are {known}"),
            )
        };
        if let Some((scheme, rest)) = text.split_once(':') {
            match self.get(scheme) {
                Some(builder) => return Ok((Target::parse(text)?, Arc::clone(builder))),
                None if rest.starts_with("//") => {
                    return Err(match url_problem(scheme, rest) {
                        Some(problem) => TargetError::new(text, problem),
                        None => unknown("scheme", scheme),
                    });
                }
                // "host:port"
                None => {}
            }
        }
        let builder = self
            .get(default_scheme)
            .ok_or_else(|| unknown("default scheme", default_scheme))?;
        let target = Target::of_endpoint(text, default_scheme)?;
        Ok((target, Arc::clone(builder)))
    }
}

/// The error text for a target that is a URL, with the target to write instead. `rest` begins with
/// `//`.
fn url_problem(scheme: &str, rest: &str) -> Option<String> {
    let (default_port, is_secure) = match &*scheme.to_ascii_lowercase() {
        "http" => (Some(80), false),
        "https" => (Some(443), true),
        "grpc" | "h2c" | "tcp" => (None, false),
        "grpcs" | "h2" | "tls" => (None, true),
        _ => return None,
    };
    let rest = rest.trim_start_matches('/');
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = match (host_port::split(authority), default_port) {
        (Ok((host, None)), Some(port)) if !host.is_empty() => host_port::join(host, port),
        _ if authority.is_empty() => "host:port".to_owned(),
        _ => authority.to_owned(),
    };
    let security = match is_secure {
        true => "; TLS is in the channel's credentials",
        false => "",
    };
    Some(format!(
        "a target is not a URL: write {address} or dns:///{address}{security}"
    ))
}

impl Default for ResolverRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ResolverRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.builders.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::StaticResolverBuilder;

    fn registry() -> ResolverRegistry {
        let mut registry = ResolverRegistry::new();
        registry.register(Arc::new(StaticResolverBuilder::new("Zoo", Vec::new())));
        registry
    }

    #[test]
    fn a_target_without_a_known_scheme_is_an_endpoint_of_the_default_scheme() {
        for (text, default_scheme, scheme, endpoint) in [
            ("localhost:50051", "dns", "dns", "localhost:50051"),
            ("localhost", "DNS", "dns", "localhost"),
            ("host:1", "passthrough", "passthrough", "host:1"),
            ("a%20b:1", "dns", "dns", "a b:1"),
            ("[::1]:1", "dns", "dns", "[::1]:1"),
            ("/services/a", "zoo", "zoo", "/services/a"),
            ("", "dns", "dns", ""),
            ("DNS:host:1", "zoo", "dns", "host:1"),
            ("zoo:host:1", "dns", "zoo", "host:1"),
            ("ZOO://here/host:1", "dns", "zoo", "host:1"),
            ("zoology:1", "dns", "dns", "zoology:1"),
        ] {
            let (target, builder) = registry().parse(text, default_scheme).expect(text);
            assert_eq!(target.scheme(), scheme, "{text}");
            assert_eq!(target.endpoint(), endpoint, "{text}");
            assert_eq!(target.to_string(), text);
            assert!(builder.scheme().eq_ignore_ascii_case(scheme), "{text}");
        }
    }

    #[test]
    fn an_unknown_scheme_is_an_error_that_lists_the_known_ones() {
        let known = "known are dns, ipv4, ipv6, passthrough, unix, unix-abstract, zoo";
        for (text, default_scheme, problem) in [
            ("xds:///host", "dns", "the scheme \"xds\" is unknown"),
            ("host:1", "cow", "the default scheme \"cow\" is unknown"),
        ] {
            let error = match registry().parse(text, default_scheme) {
                Ok((target, _)) => panic!("{target:?}"),
                Err(error) => error.to_string(),
            };
            assert!(error.contains(problem), "{text}: {error}");
            assert!(error.contains(known), "{text}: {error}");
        }
    }

    #[test]
    fn a_url_is_an_error_that_says_which_target_to_write() {
        for (text, instead) in [
            ("http://host:1", "write host:1 or dns:///host:1"),
            ("HTTP://host", "write host:80 or dns:///host:80"),
            (
                "https://host:1/path?query",
                "write host:1 or dns:///host:1; TLS is in the channel's credentials",
            ),
            ("https://host", "write host:443 or dns:///host:443; TLS"),
            ("http://[::1]:1", "write [::1]:1 or dns:///[::1]:1"),
            ("http://[::1]", "write [::1]:80 or dns:///[::1]:80"),
            ("http://", "write host:port or dns:///host:port"),
            ("http:///host:1", "write host:1 or dns:///host:1"),
            ("grpc://host:1", "write host:1 or dns:///host:1"),
        ] {
            let error = match registry().parse(text, "dns") {
                Ok((target, _)) => panic!("{target:?}"),
                Err(error) => error.to_string(),
            };
            let expected = format!("the target {text:?}: a target is not a URL: {instead}");
            assert!(error.starts_with(&expected), "{error}");
        }
        // This is a host named `http`.
        let (target, _) = registry().parse("http:80", "dns").expect("a host");
        assert_eq!(target.endpoint(), "http:80");
        // This is a user's scheme.
        let mut registry = registry();
        registry.register(Arc::new(StaticResolverBuilder::new("http", Vec::new())));
        assert!(registry.parse("http://host:1", "dns").is_ok());
    }

    #[test]
    fn a_scheme_replaces_the_one_of_the_same_name() {
        let mut registry = registry();
        let own = Arc::new(StaticResolverBuilder::new("dns", Vec::new()));
        registry.register(own);
        let (target, builder) = registry.parse("::no port::", "dns").expect("any text");
        let options = crate::resolver::ResolverOptions::default();
        assert!(builder.build(&target, &options).is_ok());
    }
}
