//! RST_STREAM codes and what they mean for a call ("PROTOCOL-HTTP2", Errors). Engines and
//! calls name them, on any task.

use std::fmt;

use super::{CancelReason, Delivery};
use crate::side::Side;
use crate::status::{Code, Origin, Status};

/// An error code of HTTP/2 (RFC 9113, section 7).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResetCode(pub(crate) u32);

impl ResetCode {
    pub(crate) const NO_ERROR: Self = Self(0);
    pub(crate) const PROTOCOL_ERROR: Self = Self(1);
    pub(crate) const REFUSED_STREAM: Self = Self(7);
    pub(crate) const CANCEL: Self = Self(8);

    /// The delivery of a request whose stream the peer reset with this code.
    pub(crate) fn delivery(self) -> Delivery {
        if self == Self::REFUSED_STREAM {
            Delivery::Refused
        } else {
            Delivery::Possible
        }
    }

    /// The code's name in the RFC.
    fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x0 => "NO_ERROR",
            0x1 => "PROTOCOL_ERROR",
            0x2 => "INTERNAL_ERROR",
            0x3 => "FLOW_CONTROL_ERROR",
            0x4 => "SETTINGS_TIMEOUT",
            0x5 => "STREAM_CLOSED",
            0x6 => "FRAME_SIZE_ERROR",
            0x7 => "REFUSED_STREAM",
            0x8 => "CANCEL",
            0x9 => "COMPRESSION_ERROR",
            0xa => "CONNECT_ERROR",
            0xb => "ENHANCE_YOUR_CALM",
            0xc => "INADEQUATE_SECURITY",
            0xd => "HTTP_1_1_REQUIRED",
            _ => return None,
        })
    }
}

impl fmt::Display for ResetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error code {:#x}", self.0),
        }
    }
}

impl fmt::Debug for ResetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl CancelReason {
    /// The reason of a call whose stream the client has reset with this code.
    pub(crate) fn of_reset(code: ResetCode) -> Self {
        if code == ResetCode::CANCEL {
            Self::ClientCancelled
        } else {
            Self::StreamFailed
        }
    }
}

/// Returns the status of a call whose stream `by` has reset with `code`.
pub(crate) fn status_for_reset(by: Side, code: ResetCode) -> Status {
    let grpc = match code.0 {
        0x0..=0x6 | 0x9 | 0xa | 0xd => Code::Internal,
        0x7 => Code::Unavailable,
        0x8 => Code::Cancelled,
        0xb => Code::ResourceExhausted,
        0xc => Code::PermissionDenied,
        _ => Code::Unknown,
    };
    Status::new(grpc, format!("the {by} reset the stream: {code}")).with_origin(Origin::Reset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_means_cancellation_by_its_code() {
        for (code, expected) in [
            (ResetCode::CANCEL, CancelReason::ClientCancelled),
            (ResetCode::NO_ERROR, CancelReason::StreamFailed),
            (ResetCode::PROTOCOL_ERROR, CancelReason::StreamFailed),
        ] {
            assert_eq!(CancelReason::of_reset(code), expected, "{code}");
        }
    }

    #[test]
    fn resets_map_as_the_grpc_documents_say() {
        for (code, expected) in [
            (0x0, Code::Internal),
            (0x1, Code::Internal),
            (0x2, Code::Internal),
            (0x3, Code::Internal),
            (0x4, Code::Internal),
            (0x5, Code::Internal),
            (0x6, Code::Internal),
            (0x7, Code::Unavailable),
            (0x8, Code::Cancelled),
            (0x9, Code::Internal),
            (0xa, Code::Internal),
            (0xb, Code::ResourceExhausted),
            (0xc, Code::PermissionDenied),
            (0xd, Code::Internal),
            (0xe, Code::Unknown),
        ] {
            assert_eq!(
                status_for_reset(Side::Server, ResetCode(code)).code(),
                expected,
                "{code:#x}"
            );
        }
    }

    #[test]
    fn the_text_names_the_side_that_has_reset_the_stream_and_the_code() {
        for (by, code, expected) in [
            (Side::Server, 8, "the server reset the stream: CANCEL"),
            (
                Side::Client,
                2,
                "the client reset the stream: INTERNAL_ERROR",
            ),
            (
                Side::Client,
                0xfe,
                "the client reset the stream: error code 0xfe",
            ),
        ] {
            assert_eq!(status_for_reset(by, ResetCode(code)).message(), expected);
        }
    }
}
