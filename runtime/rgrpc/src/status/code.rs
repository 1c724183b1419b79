//! The status codes of gRPC.

use std::fmt;

/// A status code of gRPC, with its number on the wire.
///
/// Source: `doc/statuscodes.md` of the gRPC documents; grpc-go's package `codes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
#[allow(clippy::exhaustive_enums, reason = "the wire has exactly these codes")]
pub enum Code {
    /// The call succeeded. A [`Status`](super::Status) never has this code.
    Ok = 0,
    /// The call was cancelled, typically by the caller.
    Cancelled = 1,
    /// An error that no other code describes, or one from a peer that sent no usable code.
    Unknown = 2,
    /// The request is invalid in any state of the system.
    InvalidArgument = 3,
    /// The deadline passed before the call ended.
    DeadlineExceeded = 4,
    /// The requested entity does not exist.
    NotFound = 5,
    /// The entity to create already exists.
    AlreadyExists = 6,
    /// The caller is authenticated but lacks the permission.
    PermissionDenied = 7,
    /// A quota, a size limit or a storage space is exhausted.
    ResourceExhausted = 8,
    /// The system is not in the state that the operation requires.
    FailedPrecondition = 9,
    /// The operation was aborted, typically by a conflict with a concurrent one. Retry at a higher
    /// level.
    Aborted = 10,
    /// The operation is past the valid range in the current state of the system.
    OutOfRange = 11,
    /// The server does not implement the service or the method.
    Unimplemented = 12,
    /// An invariant of either side, or of the protocol, is broken.
    Internal = 13,
    /// The service is currently unavailable. The call can be retried.
    Unavailable = 14,
    /// Data is lost or damaged beyond recovery.
    DataLoss = 15,
    /// The caller has no valid credentials.
    Unauthenticated = 16,
}

impl Code {
    /// All codes, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// Returns the code with this number, or [`Code::Unknown`] for a number that gRPC does not
    /// define.
    #[must_use]
    pub fn from_i32(number: i32) -> Self {
        usize::try_from(number)
            .ok()
            .and_then(|index| Self::ALL.get(index).copied())
            .unwrap_or(Self::Unknown)
    }

    /// Returns the code's number on the wire.
    #[must_use]
    pub const fn to_i32(self) -> i32 {
        self as i32
    }

    /// Returns whether only a handler may use the code, and not the client's own control plane.
    ///
    /// Source: gRFC A54.
    pub(crate) const fn is_for_applications(self) -> bool {
        matches!(
            self,
            Self::InvalidArgument
                | Self::NotFound
                | Self::AlreadyExists
                | Self::FailedPrecondition
                | Self::Aborted
                | Self::OutOfRange
                | Self::DataLoss
        )
    }

    /// Returns the code's name in the gRPC documents and in service configs, such as `NOT_FOUND`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_round_trips_by_its_number() {
        for (number, code) in (0..).zip(Code::ALL) {
            assert_eq!(code.to_i32(), number);
            assert_eq!(Code::from_i32(number), code);
        }
    }

    #[test]
    fn a_number_that_grpc_does_not_define_is_unknown() {
        for number in [-1, 17, i32::MIN, i32::MAX] {
            assert_eq!(Code::from_i32(number), Code::Unknown);
        }
    }
}
