//! The result of a security handshake.
//!
//! Created by handshakes, on the task of the connection; read by handlers, interceptors and
//! callers, and by the check of per-RPC credentials.

use std::error::Error;
use std::fmt;

use crate::attributes::{Attribute, Attributes};
use crate::error_text::debug_is_text;

/// The protection of the data on a connection. The levels are ordered: a later one protects more.
///
/// Source: grpc-go `credentials.SecurityLevel`; gRFC L62.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SecurityLevel {
    /// No protection: others may read and change the data.
    NoSecurity,
    /// Changes of the data are detected, and others may read it.
    IntegrityOnly,
    /// Changes of the data are detected, and nobody else can read it.
    PrivacyAndIntegrity,
}

/// Writes the name of the variant.
impl fmt::Display for SecurityLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The result of a security handshake: its protocol, the security level of the connection, and what
/// the credentials have learned about the other side.
///
/// A [`ClientHandshake`] or [`ServerHandshake`] creates it, and [`Peer::auth`] shows it to
/// handlers, interceptors and callers. The details are values of types that the credentials define;
/// there is at most one of each type.
///
/// ```
/// use rgrpc::credentials::{AuthInfo, SecurityLevel};
///
/// #[derive(Debug, PartialEq)]
/// struct Account(String);
///
/// let auth = AuthInfo::new("psk", SecurityLevel::NoSecurity)
///     .with_details(Account("ada".to_owned()));
/// assert_eq!(auth.details::<Account>().expect("set before").0, "ada");
/// assert!(auth.check_security_level(SecurityLevel::IntegrityOnly).is_err());
/// ```
///
/// Source: grpc-go `credentials.AuthInfo`, `CommonAuthInfo`.
///
/// [`ClientHandshake`]: crate::credentials::ClientHandshake
/// [`ServerHandshake`]: crate::credentials::ServerHandshake
/// [`Peer::auth`]: super::Peer::auth
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthInfo {
    protocol: &'static str,
    security_level: SecurityLevel,
    details: Attributes,
}

impl AuthInfo {
    /// Creates the result of a handshake by `protocol`, such as `tls`, without details.
    ///
    /// Per-RPC credentials are sent if the level is high enough for them. So credentials that claim
    /// a level which the connection does not have disclose tokens.
    #[must_use]
    pub const fn new(protocol: &'static str, security_level: SecurityLevel) -> Self {
        Self {
            protocol,
            security_level,
            details: Attributes::new(),
        }
    }

    /// The result for a connection without security.
    #[must_use]
    pub const fn insecure() -> Self {
        Self::new(INSECURE, SecurityLevel::NoSecurity)
    }

    /// Adds a value that describes the other side, such as its verified name. It replaces an
    /// earlier value of the same type.
    #[must_use]
    pub fn with_details<T: Attribute>(mut self, details: T) -> Self {
        self.details = self.details.with(details);
        self
    }

    /// The name of the protocol: `insecure`, `local`, `tls`, or that of the user's credentials.
    ///
    /// Source: grpc-go `AuthInfo.AuthType`.
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// The protection of the data on the connection.
    #[must_use]
    pub const fn security_level(&self) -> SecurityLevel {
        self.security_level
    }

    /// The value of a type that describes the other side, if the credentials have set one.
    #[must_use]
    pub fn details<T: Attribute>(&self) -> Option<&T> {
        self.details.get()
    }

    /// Checks that the connection has at least this security level.
    ///
    /// # Errors
    /// Its level is lower.
    ///
    /// Source: grpc-go `credentials.CheckSecurityLevel`.
    pub fn check_security_level(&self, required: SecurityLevel) -> Result<(), SecurityLevelError> {
        if self.security_level >= required {
            return Ok(());
        }
        Err(SecurityLevelError {
            required,
            protocol: self.protocol,
            actual: self.security_level,
        })
    }
}

/// The protocol of connections without security.
pub(crate) const INSECURE: &str = "insecure";

/// The error of a connection whose security level is too low.
#[derive(Clone, PartialEq, Eq)]
pub struct SecurityLevelError {
    required: SecurityLevel,
    protocol: &'static str,
    actual: SecurityLevel,
}

impl SecurityLevelError {
    /// The level that is required.
    #[must_use]
    pub const fn required(&self) -> SecurityLevel {
        self.required
    }

    /// The level of the connection.
    #[must_use]
    pub const fn actual(&self) -> SecurityLevel {
        self.actual
    }
}

impl fmt::Display for SecurityLevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            required,
            protocol,
            actual,
        } = self;
        write!(
            f,
            "the security level {required} is required, and the connection has {actual} by the \
             credentials {protocol}"
        )
    }
}

impl Error for SecurityLevelError {}

debug_is_text!(SecurityLevelError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_enough_security_if_its_level_is_as_high() {
        use SecurityLevel::{IntegrityOnly, NoSecurity, PrivacyAndIntegrity};
        for (actual, required, enough) in [
            (NoSecurity, NoSecurity, true),
            (NoSecurity, IntegrityOnly, false),
            (NoSecurity, PrivacyAndIntegrity, false),
            (IntegrityOnly, NoSecurity, true),
            (IntegrityOnly, IntegrityOnly, true),
            (IntegrityOnly, PrivacyAndIntegrity, false),
            (PrivacyAndIntegrity, PrivacyAndIntegrity, true),
        ] {
            let checked = AuthInfo::new("psk", actual).check_security_level(required);
            assert_eq!(checked.is_ok(), enough, "{actual} for {required}");
        }
        let error = AuthInfo::insecure().check_security_level(IntegrityOnly);
        assert_eq!(
            error.expect_err("too low").to_string(),
            "the security level IntegrityOnly is required, and the connection has \
             NoSecurity by the credentials insecure"
        );
    }

    #[test]
    fn details_are_found_by_their_types() {
        let auth = AuthInfo::new("psk", SecurityLevel::NoSecurity)
            .with_details(1_u8)
            .with_details("a")
            .with_details(2_u8);
        assert_eq!(auth.details(), Some(&2_u8));
        assert_eq!(auth.details(), Some(&"a"));
        assert_eq!(auth.details::<u16>(), None);
        assert_eq!(auth.protocol(), "psk");
    }
}
