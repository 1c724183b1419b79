//! The error of an `:authority` that an engine cannot send. A channel is checked for it when it is
//! built, and each request of the h2 engine is.

use std::fmt;

#[cfg(feature = "transport-h2")]
use http::uri::InvalidUri;

/// The reason why an engine cannot send an `:authority` that is valid by RFC 3986. Without the feature
/// `transport-h2` there is none.
#[derive(Debug)]
pub(crate) enum AuthorityError {
    /// The types of the `http` crate accept percent-encoding only in the userinfo.
    #[cfg(feature = "transport-h2")]
    PercentEncoded(InvalidUri),
    /// The types of the `http` crate do not accept it.
    #[cfg(feature = "transport-h2")]
    Invalid(InvalidUri),
}

impl fmt::Display for AuthorityError {
    #[cfg_attr(
        not(feature = "transport-h2"),
        allow(unused_variables, reason = "there is no error")
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            #[cfg(feature = "transport-h2")]
            Self::PercentEncoded(ref error) => write!(
                f,
                "Transport::H2 sends no percent-encoded host ({error}); set another authority, or use \
                 Transport::Native"
            ),
            #[cfg(feature = "transport-h2")]
            Self::Invalid(ref error) => error.fmt(f),
        }
    }
}
