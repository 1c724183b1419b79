//! Shortens a status whose trailers are larger than the header list that the peer accepts
//! (SETTINGS_MAX_HEADER_LIST_SIZE). The code always arrives, whatever else is left out.
//!
//! Engines call it for a response that is too large, on the connection's task or where a call ends.
//!
//! The steps, in order, until the status fits:
//!
//! 1. the text is shortened to [`SHORT_TEXT`] octets,
//! 2. the details are dropped,
//! 3. the metadata is dropped,
//! 4. the text is shortened to the size that is left, which may be zero.

use crate::metadata::{Metadata, encode_value};
use crate::status::{Status, encode_message};

/// The size of a field besides its name and its value (RFC 9113 section 6.5.2).
pub(crate) const FIELD_OVERHEAD: usize = 32;

/// The length in octets on the wire to which a text is shortened before anything is dropped.
const SHORT_TEXT: usize = 1024;

/// The end of a text that was shortened.
const MARK: &str = "... (shortened)";

/// The header list that ends a call, or that is too large to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// The headers, which are too large and are not sent.
    Headers,
    TrailersOnly,
    Trailers,
}

/// Creates the failure of a response whose `last` header list is larger than the client accepts.
/// grpc-go resets the stream with INTERNAL_ERROR, which has the same code at the client.
#[cold]
pub(crate) fn too_large(last: Last, size: usize, limit: u32) -> Status {
    let what = match last {
        Last::Headers => "headers",
        Last::TrailersOnly | Last::Trailers => "trailers",
    };
    Status::internal(format!(
        "the response's {what} are larger than the client takes: a header list of {size} octets, and \
         SETTINGS_MAX_HEADER_LIST_SIZE = {limit}"
    ))
}

/// Creates the failure of a request whose header list is larger than the server accepts.
#[cold]
pub(crate) fn request_too_large(size: usize, limit: u32) -> Status {
    Status::internal(format!(
        "the request was not sent: its headers are {size} octets and the server takes \
         SETTINGS_MAX_HEADER_LIST_SIZE = {limit}"
    ))
}

/// Shortens the status to a header list of `limit` octets, without `grpc-status`.
pub(crate) fn fit_status(mut status: Status, limit: usize) -> Status {
    if size(&status) <= limit {
        return status;
    }
    status = with_text(status, SHORT_TEXT);
    if size(&status) > limit {
        status = status.with_details(Vec::new());
    }
    if size(&status) > limit {
        status = status.with_metadata(Metadata::new());
    }
    if size(&status) > limit {
        let octets = limit.saturating_sub(FIELD_OVERHEAD + "grpc-message".len());
        status = with_text(status, octets);
    }
    status
}

/// Returns the size of a status's fields in a header list, without `grpc-status`.
fn size(status: &Status) -> usize {
    let field = |name: usize, value: usize| name + value + FIELD_OVERHEAD;
    let mut size = 0;
    if !status.message().is_empty() {
        let text = encode_message(status.message());
        size += field("grpc-message".len(), text.len());
    }
    if !status.details().is_empty() {
        let details = encode_value(status.details());
        size += field("grpc-status-details-bin".len(), details.len());
    }
    for (name, value) in status.metadata().wire_fields() {
        size += field(name.len(), value.len());
    }
    size
}

/// Shortens the status's text to at most `octets` octets on the wire.
fn with_text(status: Status, octets: usize) -> Status {
    let text = status.message();
    if encode_message(text).len() <= octets {
        return status;
    }
    let Some(octets) = octets.checked_sub(MARK.len()) else {
        return status.with_message("");
    };
    let (mut end, mut left) = (0, octets);
    for (at, character) in text.char_indices() {
        let next = at + character.len_utf8();
        let Some(rest) = left.checked_sub(encode_message(&text[at..next]).len()) else {
            break;
        };
        (end, left) = (next, rest);
    }
    let text = format!("{}{MARK}", &text[..end]);
    status.with_message(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Code;

    fn status(text: usize) -> Status {
        let metadata = Metadata::from_pairs([("x-key", "v".repeat(200))]).expect("valid");
        Status::data_loss("t".repeat(text))
            .with_details(vec![7; 300])
            .with_metadata(metadata)
    }

    #[test]
    fn the_text_is_shortened_then_details_and_metadata_go_then_the_rest_of_the_text() {
        for (text, limit, kept_text, details, metadata) in [
            (10, 10_000, 10, true, true),
            (5_000, 5_044 + 455 + 237, 5_000, true, true),
            (5_000, 2_000, 1_024, true, true),
            (5_000, 1_500, 1_024, false, true),
            (5_000, 1_100, 1_024, false, false),
            (5_000, 500, 456, false, false),
            (10, 300, 10, false, true),
            (10, 60, 10, false, false),
            (10, 50, 0, false, false),
            (5_000, 0, 0, false, false),
        ] {
            let fitted = fit_status(status(text), limit);
            assert_eq!(fitted.code(), Code::DataLoss);
            assert!(size(&fitted) <= limit, "{text} {limit}");
            assert_eq!(fitted.message().len(), kept_text, "{text} {limit}");
            assert_eq!(!fitted.details().is_empty(), details, "{text} {limit}");
            assert_eq!(!fitted.metadata().is_empty(), metadata, "{text} {limit}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters_by_its_length_on_the_wire() {
        // Each character takes nine octets when it is escaped.
        let status = fit_status(Status::internal("☺".repeat(100)), 44 + 15 + 20);
        assert_eq!(status.message(), "☺☺... (shortened)");
    }
}
