use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::status::Status;

/// The failure of a connection: it could not be made, or it was lost. It has a text and the
/// underlying error.
///
/// The text includes that of the underlying error. Programs read the error as the source of the
/// status of every call that fails for it.
#[derive(Clone, Debug)]
pub(crate) struct ConnectError {
    text: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ConnectError {
    /// An error with this text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            source: None,
        }
    }

    /// An error with the text of its cause.
    pub(crate) fn caused_by(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        Self {
            text: cause.to_string(),
            source: Some(cause.into()),
        }
    }

    /// Sets the underlying error, if there is one.
    #[cfg(feature = "transport-h2")]
    pub(crate) fn with_shared_source(self, source: Option<Arc<dyn Error + Send + Sync>>) -> Self {
        Self { source, ..self }
    }

    /// The same error with another text.
    pub(crate) fn map_text(self, map: impl FnOnce(String) -> String) -> Self {
        Self {
            text: map(self.text),
            ..self
        }
    }

    /// Returns UNAVAILABLE with this text. The underlying error is the status's source.
    pub(crate) fn to_status(&self) -> Status {
        Status::unavailable(self.text.clone()).with_shared_source(self.source.clone())
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
