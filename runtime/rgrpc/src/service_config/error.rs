use std::error::Error;
use std::fmt;

use crate::error_text::debug_is_text;

/// What is wrong with a service config, and where.
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

    /// Where in the document, as `methodConfig[0].retryPolicy.maxAttempts`; empty for the whole.
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
