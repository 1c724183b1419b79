//! The sizes of a response's header lists (RFC 9113, section 6.5.2), before an engine makes them.
//!
//! Calls that are observed compute them, so that stats handlers learn what the engine will send.

use super::fit_status::FIELD_OVERHEAD;
use super::{EncodingField, ResponseHead};
use crate::metadata::Metadata;

/// Returns the size of a response's headers.
pub(crate) fn head_size(head: &ResponseHead<'_>) -> usize {
    let content_type = "application/grpc".len()
        + match head.content_subtype.len() {
            0 => 0,
            len => "+".len() + len,
        };
    let encoding = match &head.encoding {
        None => 0,
        Some(EncodingField::Encoding(name)) => field("grpc-encoding", name.len()),
        Some(EncodingField::AcceptEncoding(names)) => field("grpc-accept-encoding", names.len()),
    };
    field(":status", 3) + field("content-type", content_type) + encoding + metadata(head.metadata)
}

/// Returns the size of the trailers of a call that has ended with OK.
pub(crate) fn trailers_size(trailer: &Metadata) -> usize {
    field("grpc-status", 1) + metadata(trailer)
}

fn field(name: &str, value: usize) -> usize {
    name.len() + value + FIELD_OVERHEAD
}

fn metadata(metadata: &Metadata) -> usize {
    let sizes = metadata.wire_fields();
    let sizes = sizes.map(|(name, value)| name.len() + value.len() + FIELD_OVERHEAD);
    sizes.sum()
}
