//! The failure of a case, with the checks that return it.

use std::error::Error;
use std::fmt;

use rgrpc::{Code, Status};

use crate::proto::{Payload, PayloadType};

/// The reason why a case failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// A call ended with this status instead of continuing or succeeding.
    Status {
        /// The operation of the call.
        what: &'static str,
        /// The status of the call.
        status: Status,
    },
    /// A received value is not the expected one.
    Mismatch {
        /// The name of the value.
        what: String,
        /// The value received.
        got: String,
        /// The expected value.
        want: String,
    },
}

/// The conversion of a failed operation into the case's failure.
pub(crate) trait OrFailure<T> {
    /// Converts the status of a failed operation, which `what` names.
    fn or_failure(self, what: &'static str) -> Result<T, Failure>;
}

impl<T> OrFailure<T> for Result<T, Status> {
    fn or_failure(self, what: &'static str) -> Result<T, Failure> {
        self.map_err(|status| Failure::Status { what, status })
    }
}

/// Checks that two values are equal.
pub(crate) fn expect_eq<T: PartialEq + fmt::Debug>(
    what: impl Into<String>,
    got: T,
    want: T,
) -> Result<(), Failure> {
    if got == want {
        return Ok(());
    }
    Err(mismatch(what, &got, &want))
}

/// Checks that a call has ended with a failure of this code.
pub(crate) fn expect_code<T: fmt::Debug>(
    what: &str,
    got: Result<T, Status>,
    want: Code,
) -> Result<Status, Failure> {
    match got {
        Err(status) if status.code() == want => Ok(status),
        Err(status) => Err(mismatch(what, &status, &want)),
        Ok(answer) => Err(mismatch(what, &answer, &want)),
    }
}

/// Checks that a call has ended with a failure of this code and this text.
pub(crate) fn expect_status<T: fmt::Debug>(
    what: &str,
    got: Result<T, Status>,
    code: Code,
    message: &str,
) -> Result<(), Failure> {
    let status = expect_code(what, got, code)?;
    expect_eq(format!("{what}: text"), status.message(), message)
}

/// Checks that there is a payload of this size.
pub(crate) fn expect_payload(what: &str, got: Option<&Payload>, size: i32) -> Result<(), Failure> {
    let got = got.map(|payload| (payload.r#type, payload.body.len()));
    let want = usize::try_from(size)
        .ok()
        .map(|size| (PayloadType::Compressable.into(), size));
    expect_eq(format!("{what}: payload's type and size"), got, want)
}

fn mismatch(what: impl Into<String>, got: &dyn fmt::Debug, want: &dyn fmt::Debug) -> Failure {
    Failure::Mismatch {
        what: what.into(),
        got: format!("{got:?}"),
        want: format!("{want:?}"),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { what, status } => write!(f, "{what}: {status}"),
            Self::Mismatch { what, got, want } => write!(f, "{what}: got {got}, want {want}"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Status { status, .. } => Some(status),
            Self::Mismatch { .. } => None,
        }
    }
}
