//! Error codes (RFC 9113 section 7), connection errors and stream errors (section 5.4).

use std::fmt;

/// The error code of a RST_STREAM or GOAWAY frame.
///
/// Any 32-bit value is valid on the wire; the constants are the codes of RFC 9113 section 7.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// No error: a graceful shutdown, or a request body that is no longer needed.
    pub const NO_ERROR: Self = Self(0x0);
    /// A protocol violation for which there is no more specific code.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// An internal error of the sender.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// DATA beyond the flow-control window, or a window above 2^31-1 octets.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// SETTINGS that were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Self = Self(0x4);
    /// A frame on a stream that its sender had already half-closed.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// A frame with an invalid length for its type.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// A stream that was refused before any processing.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// A stream that is no longer needed.
    pub const CANCEL: Self = Self(0x8);
    /// A loss of the header compression state.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// A failure of the connection established for a CONNECT request.
    pub const CONNECT_ERROR: Self = Self(0xa);
    /// Excessive load caused by the peer.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    /// An underlying transport that is not secure enough.
    pub const INADEQUATE_SECURITY: Self = Self(0xc);
    /// A request that requires HTTP/1.1.
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);

    /// Returns the code's name in RFC 9113 section 7, or `None` for an unknown code.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NO_ERROR => "NO_ERROR",
            Self::PROTOCOL_ERROR => "PROTOCOL_ERROR",
            Self::INTERNAL_ERROR => "INTERNAL_ERROR",
            Self::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
            Self::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT",
            Self::STREAM_CLOSED => "STREAM_CLOSED",
            Self::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
            Self::REFUSED_STREAM => "REFUSED_STREAM",
            Self::CANCEL => "CANCEL",
            Self::COMPRESSION_ERROR => "COMPRESSION_ERROR",
            Self::CONNECT_ERROR => "CONNECT_ERROR",
            Self::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
            Self::INADEQUATE_SECURITY => "INADEQUATE_SECURITY",
            Self::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED",
            _ => return None,
        })
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error code {:#x}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An error that ends the connection (RFC 9113 section 5.4.1).
///
/// When [`Connection`](crate::Connection) returns it, the GOAWAY frame is already in the output:
/// write the output, then close the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionError {
    /// The error code of the GOAWAY.
    pub code: ErrorCode,
    /// A description of the error, which is also the debug data of the GOAWAY.
    pub reason: &'static str,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)
    }
}

impl std::error::Error for ConnectionError {}

/// An error that ends one stream (RFC 9113 section 5.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// The error code of the RST_STREAM.
    pub code: ErrorCode,
    /// A description of the error.
    pub reason: &'static str,
}

/// An error in a received frame: of the connection or of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A connection error (RFC 9113 section 5.4.1).
    Connection(ConnectionError),
    /// A stream error (RFC 9113 section 5.4.2).
    Stream(StreamError),
}

impl Fault {
    /// Creates a connection error.
    pub const fn connection(code: ErrorCode, reason: &'static str) -> Self {
        Self::Connection(ConnectionError { code, reason })
    }

    /// Creates a stream error.
    pub const fn stream(code: ErrorCode, reason: &'static str) -> Self {
        Self::Stream(StreamError { code, reason })
    }
}

impl From<ConnectionError> for Fault {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl From<StreamError> for Fault {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_printed_by_name_and_unknown_ones_by_number() {
        assert_eq!(ErrorCode::CANCEL.to_string(), "CANCEL");
        assert_eq!(ErrorCode(0xd).name(), Some("HTTP_1_1_REQUIRED"));
        assert_eq!(ErrorCode(0x1f).name(), None);
        assert_eq!(ErrorCode(0x1f).to_string(), "error code 0x1f");
    }
}
