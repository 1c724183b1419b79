//! The error of an invalid service config.
//!
//! Returned by the builder of a channel, or logged by the channel's task and sent to the resolver.

use std::error::Error;
use std::fmt;

use crate::error_text::debug_is_text;

/// An error in a service config, with the path of the field.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceConfigError {
    path: String,
    problem: String,
}

impl ServiceConfigError {
    pub(crate) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            problem: problem.into(),
        }
    }

    /// The path of the field, such as `methodConfig[0].retryPolicy.maxAttempts`. Empty for the
    /// whole document.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for ServiceConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)
    }
}

impl Error for ServiceConfigError {}

debug_is_text!(ServiceConfigError);
