//! The limits on the sizes of messages, and their errors.
//!
//! Set from the options of a call or a server; checked by framing and by the reader, on the task
//! that sends or receives.

use crate::side::Side;
use crate::status::Status;

/// The maximum length in a message's prefix: 4 GiB less one byte.
const MAX_LENGTH: usize = u32::MAX as usize;

/// The maximum size of a message that a side sends or receives, from its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageLimit {
    bytes: u32,
    side: Side,
}

impl MessageLimit {
    /// Creates a limit in bytes, capped at the maximum length in a prefix.
    #[inline]
    pub(crate) fn new(side: Side, bytes: usize) -> Self {
        Self {
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            side,
        }
    }

    /// Creates the limit of the prefix, which holds for every message.
    pub(crate) fn largest(side: Side) -> Self {
        Self::new(side, MAX_LENGTH)
    }

    #[inline]
    pub(crate) fn bytes(self) -> usize {
        self.bytes as usize
    }

    /// Returns the side that has the limit.
    pub(crate) fn side(self) -> Side {
        self.side
    }

    /// Checks the length of a message to send, and returns it for the prefix.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when the message is larger than the limit.
    #[inline]
    pub(crate) fn check_sent(self, len: usize) -> Result<u32, Status> {
        match u32::try_from(len) {
            Ok(length) if length <= self.bytes => Ok(length),
            _ => Err(self.too_large_to_send(len)),
        }
    }

    #[cold]
    fn too_large_to_send(self, len: usize) -> Status {
        let Self { bytes, side } = self;
        Status::resource_exhausted(if len > MAX_LENGTH {
            too_long(len)
        } else {
            format!(
                "message to send is larger than the {side}'s max_send_message_size ({len} vs. {bytes})"
            )
        })
    }

    /// Checks the length in the prefix of a received message.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when the message is larger than the limit.
    #[inline]
    pub(crate) fn check_received(self, len: u32) -> Result<(), Status> {
        if len <= self.bytes {
            return Ok(());
        }
        let Self { bytes, side } = self;
        Err(Status::resource_exhausted(format!(
            "received message larger than the {side}'s max_receive_message_size ({len} vs. {bytes})"
        )))
    }

    /// The status of a received message whose decompressed size exceeds the limit.
    #[cold]
    pub(super) fn exceeded_after_decompression(self) -> Status {
        let Self { bytes, side } = self;
        Status::resource_exhausted(format!(
            "received message is larger than the {side}'s max_receive_message_size after \
             decompression (at least {} vs. {bytes})",
            u64::from(bytes) + 1
        ))
    }
}

/// The error text for a message that is too long for a prefix.
pub(super) fn too_long(len: usize) -> String {
    format!("a gRPC message has at most {MAX_LENGTH} bytes, and this one has {len}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_too_large_message_names_the_side_and_the_option_or_the_protocols_limit() {
        let huge = MAX_LENGTH + 1;
        for (side, max, len, text) in [
            (
                Side::Server,
                3,
                4,
                "message to send is larger than the server's max_send_message_size (4 vs. 3)",
            ),
            (
                Side::Client,
                usize::MAX,
                huge,
                "a gRPC message has at most 4294967295 bytes, and this one has 4294967296",
            ),
            (
                Side::Client,
                3,
                huge,
                "a gRPC message has at most 4294967295 bytes, and this one has 4294967296",
            ),
        ] {
            let limit = MessageLimit::new(side, max);
            let status = limit.check_sent(len).expect_err("too large");
            assert_eq!(status.message(), text);
        }
        let limit = MessageLimit::new(Side::Client, 3);
        let status = limit.check_received(4).expect_err("too large");
        assert_eq!(
            status.message(),
            "received message larger than the client's max_receive_message_size (4 vs. 3)"
        );
    }

    #[test]
    fn a_limit_is_capped_at_the_maximum_length_in_a_prefix() {
        for max in [MAX_LENGTH, MAX_LENGTH + 1, usize::MAX] {
            let limit = MessageLimit::new(Side::Server, max);
            assert_eq!(limit, MessageLimit::largest(Side::Server));
            assert_eq!(limit.check_sent(MAX_LENGTH).ok(), Some(u32::MAX));
            assert!(limit.check_received(u32::MAX).is_ok());
        }
    }
}
