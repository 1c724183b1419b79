//! The errors of users' keys and values.

use std::error::Error;
use std::fmt;

use crate::error_text::debug_is_text;

/// The error of a key or a value that metadata cannot hold.
#[derive(Clone, PartialEq, Eq)]
pub struct MetadataError {
    key: String,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Key,
    Reserved,
    Value,
    Base64,
}

impl MetadataError {
    pub(super) fn key(key: &[u8]) -> Self {
        Self::new(key, Problem::Key)
    }

    pub(super) fn reserved(key: &[u8]) -> Self {
        Self::new(key, Problem::Reserved)
    }

    pub(super) fn value(key: &[u8]) -> Self {
        Self::new(key, Problem::Value)
    }

    pub(super) fn base64(key: &[u8]) -> Self {
        Self::new(key, Problem::Base64)
    }

    fn new(key: &[u8], problem: Problem) -> Self {
        Self {
            key: String::from_utf8_lossy(key).into_owned(),
            problem,
        }
    }
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match self.problem {
            Problem::Key => write!(
                f,
                "metadata key {key:?} is not valid: use at least one of 0-9 a-z _ - ."
            ),
            Problem::Reserved => write!(
                f,
                "metadata key {key:?} belongs to the protocol and cannot be set"
            ),
            Problem::Value => write!(
                f,
                "metadata value of {key:?} has bytes other than printable ASCII: \
                 use a key that ends in \"-bin\""
            ),
            Problem::Base64 if key.is_empty() => {
                f.write_str("a binary metadata value is not base64")
            }
            Problem::Base64 => write!(f, "metadata value of {key:?} is not base64"),
        }
    }
}

impl Error for MetadataError {}

debug_is_text!(MetadataError);
