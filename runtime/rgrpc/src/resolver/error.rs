//! The errors of name resolution.
//!
//! Made by resolvers and their builders; formatted by the channel, when they become the status of
//! calls.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::status::Status;

/// An error of a resolver, or of building one.
///
/// The channel makes an UNAVAILABLE status of it for calls that do not wait for ready, with this
/// error as its [source](std::error::Error::source).
///
/// Source: grpc-go `resolver.ClientConn.ReportError`, where it is any error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ResolverError {
    /// The target is invalid for its scheme: see [`invalid_target`](Self::invalid_target).
    InvalidTarget(Arc<dyn Error + Send + Sync>),
    /// An option of the resolver's builder is invalid.
    InvalidOption {
        /// The option.
        option: Cow<'static, str>,
        /// The values that are allowed, such as "more than 0".
        expected: Cow<'static, str>,
    },
    /// A name could not be resolved.
    Lookup {
        /// The scheme of the resolver, such as `dns`.
        scheme: Cow<'static, str>,
        /// The name.
        name: String,
        /// The reason.
        cause: LookupError,
    },
    /// The service config could not be read: see [`service_config`](Self::service_config).
    ServiceConfig(Arc<dyn Error + Send + Sync>),
    /// The resolver ended before it had found anything.
    Ended,
    /// The resolver panicked.
    Panicked,
    /// Another error, with the status that calls fail with.
    Other(Status),
}

/// The reason why a name could not be resolved.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LookupError {
    /// The name exists and has no addresses.
    NoAddresses,
    /// There was no response within this time.
    TimedOut(Duration),
    /// The lookup failed.
    Failed(Arc<dyn Error + Send + Sync>),
}

impl ResolverError {
    /// Creates the error of a target that is invalid for its scheme. `problem` is an error, or a text
    /// that names the problem.
    pub fn invalid_target(problem: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::InvalidTarget(problem.into().into())
    }

    /// Creates the error of a service config that could not be read. `problem` is as above.
    pub fn service_config(problem: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::ServiceConfig(problem.into().into())
    }

    /// The status of calls that fail because of this error.
    #[must_use]
    pub fn to_status(&self) -> Status {
        match self {
            Self::Other(status) => status.clone(),
            _ => Status::unavailable(self.to_string()).with_source(self.clone()),
        }
    }
}

impl LookupError {
    /// Creates the reason for an error of a lookup.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into().into())
    }
}

impl fmt::Display for ResolverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidTarget(problem) | Self::ServiceConfig(problem) => problem.fmt(f),
            Self::InvalidOption { option, expected } => {
                write!(f, "the option {option} must be {expected}")
            }
            Self::Lookup {
                scheme,
                name,
                cause,
            } => write!(f, "name resolution of {name:?} by {scheme} failed: {cause}"),
            Self::Ended => f.write_str("the resolver ended before it had found anything"),
            Self::Panicked => f.write_str("the resolver panicked; the log has its message"),
            Self::Other(status) => f.write_str(status.message()),
        }
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddresses => f.write_str("the name has no addresses"),
            Self::TimedOut(limit) => write!(f, "no answer within {} s", limit.as_secs_f64()),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl Error for ResolverError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InvalidTarget(problem) | Self::ServiceConfig(problem) => Some(&**problem),
            Self::Lookup { cause, .. } => Some(cause),
            Self::Other(status) => Some(status),
            _ => None,
        }
    }
}

impl Error for LookupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(&**error),
            _ => None,
        }
    }
}

/// Another error, with the status that calls fail with.
impl From<Status> for ResolverError {
    fn from(status: Status) -> Self {
        Self::Other(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Code;

    #[test]
    fn calls_fail_with_unavailable_and_the_typed_error_as_source_or_with_the_resolvers_own_status()
    {
        let name = "shop.test".to_owned();
        let lookup = |cause| ResolverError::Lookup {
            scheme: "dns".into(),
            name: name.clone(),
            cause,
        };
        for (error, text) in [
            (
                lookup(LookupError::NoAddresses),
                "name resolution of \"shop.test\" by dns failed: the name has no addresses",
            ),
            (
                lookup(LookupError::TimedOut(Duration::from_millis(1500))),
                "name resolution of \"shop.test\" by dns failed: no answer within 1.5 s",
            ),
            (
                lookup(LookupError::failed("refused")),
                "name resolution of \"shop.test\" by dns failed: refused",
            ),
            (ResolverError::invalid_target("no port"), "no port"),
            (ResolverError::service_config("no JSON"), "no JSON"),
            (
                ResolverError::InvalidOption {
                    option: "lookup_timeout".into(),
                    expected: "more than 0".into(),
                },
                "the option lookup_timeout must be more than 0",
            ),
        ] {
            let status = error.to_status();
            assert_eq!(status.code(), Code::Unavailable);
            assert_eq!(status.message(), text);
            let source = Error::source(&status).expect("the error");
            assert!(source.is::<ResolverError>(), "{source:?}");
        }
        let own = ResolverError::from(Status::not_found("gone")).to_status();
        assert_eq!((own.code(), own.message()), (Code::NotFound, "gone"));
    }
}
