//! The target of a channel, parsed ("gRPC Name Resolution"; RFC 3986).
//!
//! Parsed when a channel is built; read by resolvers and their builders.

use std::error::Error;
use std::fmt;

use percent_encoding::percent_decode_str;

use super::ResolverError;
use crate::error_text::debug_is_text;

/// The target of a channel, split into the parts of a URI (RFC 3986, section 3):
/// `scheme:[//authority/]endpoint[?query]`.
///
/// All parts but the query are percent-decoded. A fragment is ignored.
///
/// ```
/// let target = rgrpc::resolver::Target::parse("zoo://keeper:7/elephants%20and%20birds?feed=hay")?;
/// assert_eq!(target.scheme(), "zoo");
/// assert_eq!(target.authority(), "keeper:7");
/// assert_eq!(target.path(), "/elephants and birds");
/// assert_eq!(target.endpoint(), "elephants and birds");
/// assert_eq!(target.query(), Some("feed=hay"));
/// # Ok::<(), rgrpc::TargetError>(())
/// ```
///
/// Source: `doc/naming.md` of the gRPC documents; grpc-go `resolver.Target`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    text: String,
    scheme: String,
    authority: String,
    path: String,
    query: Option<String>,
}

impl Target {
    /// Parses a target that has a scheme. For a channel's target without a scheme, the channel
    /// prepends `default_scheme:///`.
    ///
    /// # Errors
    /// The text has no scheme, or a percent-encoded part is not UTF-8.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        match text.split_once(':') {
            Some((scheme, rest)) => {
                let (authority, rest) = split_authority(rest);
                Self::of_parts(text, scheme, authority, rest)
            }
            None => Err(TargetError::new(
                text,
                "it has no scheme: scheme:endpoint is expected".to_owned(),
            )),
        }
    }

    /// Parses a text that is only an endpoint, as if it followed `scheme:///`.
    pub(super) fn of_endpoint(text: &str, scheme: &str) -> Result<Self, TargetError> {
        Self::of_parts(text, scheme, "", &format!("/{text}"))
    }

    fn of_parts(
        text: &str,
        scheme: &str,
        authority: &str,
        rest: &str,
    ) -> Result<Self, TargetError> {
        let decode = |part: &str| match percent_decode_str(part).decode_utf8() {
            Ok(decoded) => Ok(decoded.into_owned()),
            Err(_) => Err(TargetError::new(text, format!("{part:?} is not UTF-8"))),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        Ok(Self {
            text: text.to_owned(),
            scheme: scheme.to_ascii_lowercase(),
            authority: decode(authority)?,
            path: decode(path)?,
            query,
        })
    }

    /// The target for tests of resolvers without one.
    pub(super) const fn empty() -> Self {
        Self {
            text: String::new(),
            scheme: String::new(),
            authority: String::new(),
            path: String::new(),
            query: None,
        }
    }

    /// The target as the user wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme, in lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The authority: the text between `//` and the next slash. Mostly empty. For `dns` it is the
    /// DNS server to ask. It is not the `:authority` of requests.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path: the text after the scheme and the authority, including a leading slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path without a leading slash. Most schemes resolve this.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.path.strip_prefix('/').unwrap_or(&self.path)
    }

    /// The text after the question mark, not decoded. The built-in schemes ignore it.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The canonical text of the target, `scheme://authority/endpoint`: percent-decoded and without
    /// the query. For logs and metrics.
    ///
    /// Source: grpc-go `resolver.Target.String`.
    #[must_use]
    pub fn canonical(&self) -> String {
        format!("{}://{}/{}", self.scheme, self.authority, self.endpoint())
    }

    /// The endpoint, or an error if it is empty.
    pub(super) fn required_endpoint(&self) -> Result<&str, ResolverError> {
        match self.endpoint() {
            "" => Err(ResolverError::invalid_target(EmptyEndpoint {
                scheme: self.scheme.clone(),
                authority: self.authority.clone(),
            })),
            endpoint => Ok(endpoint),
        }
    }
}

/// The error of a target without an endpoint.
#[derive(Debug)]
struct EmptyEndpoint {
    scheme: String,
    authority: String,
}

impl fmt::Display for EmptyEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, authority } = self;
        f.write_str("the endpoint is empty")?;
        if authority.is_empty() {
            return Ok(());
        }
        write!(f, ": write {scheme}:///{authority}, with three slashes")
    }
}

impl Error for EmptyEndpoint {}

/// Splits `//authority/path` into authority and path. Without `//`, all is path.
fn split_authority(rest: &str) -> (&str, &str) {
    match rest.strip_prefix("//") {
        None => ("", rest),
        Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
    }
}

/// Writes the target as the user wrote it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The error of an invalid target.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetError {
    target: String,
    problem: String,
}

impl TargetError {
    pub(super) fn new(target: &str, problem: String) -> Self {
        Self {
            target: target.to_owned(),
            problem,
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the target {:?}: {}", self.target, self.problem)
    }
}

impl Error for TargetError {}

debug_is_text!(TargetError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_the_parts_that_a_uri_has() {
        for (text, scheme, authority, path, endpoint, query) in [
            ("dns:host:1", "dns", "", "host:1", "host:1", None),
            ("DNS:///host:1", "dns", "", "/host:1", "host:1", None),
            ("dns://8.8.8.8/h", "dns", "8.8.8.8", "/h", "h", None),
            ("dns://[::1]:53/h", "dns", "[::1]:53", "/h", "h", None),
            ("dns://host", "dns", "host", "", "", None),
            ("x://h?a=b", "x", "h", "", "", Some("a=b")),
            ("unix:///tmp/s", "unix", "", "/tmp/s", "tmp/s", None),
            ("unix:rel/s", "unix", "", "rel/s", "rel/s", None),
            ("x:////a", "x", "", "//a", "/a", None),
            ("x:a%20b%2fc", "x", "", "a b/c", "a b/c", None),
            ("x://%5b%5d/a", "x", "[]", "/a", "a", None),
            ("x:a%2", "x", "", "a%2", "a%2", None),
            ("x:///a?b%20=?#c?", "x", "", "/a", "a", Some("b%20=?")),
            ("x:///a#b?c", "x", "", "/a", "a", None),
            (
                "passthrough:///unix:///x",
                "passthrough",
                "",
                "/unix:///x",
                "unix:///x",
                None,
            ),
        ] {
            let target = Target::parse(text).expect(text);
            assert_eq!(target.scheme(), scheme, "{text}");
            assert_eq!(target.authority(), authority, "{text}");
            assert_eq!(target.path(), path, "{text}");
            assert_eq!(target.endpoint(), endpoint, "{text}");
            assert_eq!(target.query(), query, "{text}");
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn a_canonical_target_has_its_scheme_and_three_slashes() {
        for (text, canonical) in [
            ("dns:host:1", "dns:///host:1"),
            ("DNS://8.8.8.8/h", "dns://8.8.8.8/h"),
            ("unix:///tmp/s", "unix:///tmp/s"),
            ("x:a%20b?c=d#e", "x:///a b"),
        ] {
            let target = Target::parse(text).expect(text);
            assert_eq!(target.canonical(), canonical, "{text}");
        }
        let target = Target::of_endpoint("host:1", "dns").expect("an endpoint");
        assert_eq!(target.canonical(), "dns:///host:1");
    }

    #[test]
    fn an_invalid_target_is_an_error_that_names_the_problem() {
        for (text, problem) in [
            ("", "no scheme"),
            ("host", "no scheme"),
            ("dns:///%ff", "\"/%ff\" is not UTF-8"),
        ] {
            let error = Target::parse(text).expect_err(text).to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
