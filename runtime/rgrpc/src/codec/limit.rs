use crate::side::Side;
use crate::status::Status;

/// The largest message that a prefix can announce: 4 GiB less one byte.
const LARGEST: usize = u32::MAX as usize;

/// The largest message that a side takes or sends, as its options say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageLimit {
    bytes: u32,
    side: Side,
}

impl MessageLimit {
    /// A limit of this many bytes; one over the largest message there can be is that.
    #[inline]
    pub(crate) fn new(side: Side, bytes: usize) -> Self {
        Self {
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            side,
        }
    }

    /// The limit that every message has.
    pub(crate) fn largest(side: Side) -> Self {
        Self::new(side, LARGEST)
    }

    #[inline]
    pub(crate) fn bytes(self) -> usize {
        self.bytes as usize
    }

    /// The side whose limit it is.
    pub(crate) fn side(self) -> Side {
        self.side
    }

    /// The length for the prefix of a message of `len` bytes that is to be sent.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when it is too large.
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
        Status::resource_exhausted(if len > LARGEST {
            too_long(len)
        } else {
            format!(
                "message to send is larger than the {side}'s max_send_message_size ({len} vs. {bytes})"
            )
        })
    }

    /// Checks the length that the prefix of a received message has.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when it is too large.
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

    /// The status for a received message that has at least one byte too many when it is
    /// decompressed.
    #[cold]
    pub(super) fn exceeded_by_decompressing(self) -> Status {
        let Self { bytes, side } = self;
        Status::resource_exhausted(format!(
            "received message is larger than the {side}'s max_receive_message_size when it is \
             decompressed (at least {} vs. {bytes})",
            u64::from(bytes) + 1
        ))
    }
}

/// A message that no prefix can announce.
pub(super) fn too_long(len: usize) -> String {
    format!("a message of gRPC has at most {LARGEST} bytes, and this one has {len}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_too_large_is_told_with_the_side_and_the_option_or_what_grpc_allows() {
        let huge = LARGEST + 1;
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
                "a message of gRPC has at most 4294967295 bytes, and this one has 4294967296",
            ),
            (
                Side::Client,
                3,
                huge,
                "a message of gRPC has at most 4294967295 bytes, and this one has 4294967296",
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
    fn a_limit_of_any_size_takes_what_a_prefix_can_announce() {
        for max in [LARGEST, LARGEST + 1, usize::MAX] {
            let limit = MessageLimit::new(Side::Server, max);
            assert_eq!(limit, MessageLimit::largest(Side::Server));
            assert_eq!(limit.check_sent(LARGEST).ok(), Some(u32::MAX));
            assert!(limit.check_received(u32::MAX).is_ok());
        }
    }
}
