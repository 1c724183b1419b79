//! Header fields of the native engine: metadata and status to the core's blocks, and received
//! fields to the checks that both engines share.

use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use rgrpc_http2::{Block, Difference, Field, FieldRef, NoFields, PreviousHead, StaticBlock};

use crate::metadata::{Metadata, encode_value};
use crate::status::{Status, encode_message};
use crate::transport::timeout::parse_timeout;
use crate::transport::{
    HeadWithTimeout, HeadersBlock, Rejection, RequestHead, RequestParser, ResponseHead,
    ResponseParser, Trailers, fit_status,
};

static NOTHING: LazyLock<StaticBlock> = LazyLock::new(|| StaticBlock::new([]));

/// The headers of nearly every response.
static RESPONSE: LazyLock<StaticBlock> = LazyLock::new(|| {
    StaticBlock::new([
        FieldRef::new(b":status", b"200"),
        FieldRef::new(b"content-type", b"application/grpc"),
    ])
});

/// The trailers of nearly every response.
static TRAILERS_OK: LazyLock<StaticBlock> =
    LazyLock::new(|| StaticBlock::new([FieldRef::new(b"grpc-status", b"0")]));

/// The head of a received request, or its rejection. Shared, because the core reads equal header
/// blocks once.
pub(super) type ReadRequest = Result<HeadWithTimeout<Arc<RequestHead>>, Arc<Rejection>>;

/// Reads a request's fields. Called by the core.
pub(super) fn read_request(
    fields: &[Field],
    previous: Option<PreviousHead<'_, ReadRequest>>,
) -> ReadRequest {
    if let Some(previous) = previous
        && let Some(received) = read_timeout(fields, previous)
    {
        return Ok(received);
    }
    let mut parser = RequestParser::default();
    for field in fields {
        parser.field(field.name.clone(), field.value.clone());
    }
    match parser.finish() {
        Ok(HeadWithTimeout { head, timeout }) => Ok(HeadWithTimeout {
            head: Arc::new(head),
            timeout,
        }),
        Err(rejection) => Err(Arc::new(rejection)),
    }
}

/// Reads a request that differs from the one before only in its timeout. A client that sets
/// deadlines sends such requests.
fn read_timeout(
    fields: &[Field],
    previous: PreviousHead<'_, ReadRequest>,
) -> Option<HeadWithTimeout<Arc<RequestHead>>> {
    let received = previous.head.as_ref().ok()?;
    let timeout = match previous.difference {
        Difference::None => received.timeout,
        Difference::Value(at) => {
            let is_timeout = |field: &&Field| field.name == "grpc-timeout";
            // The last of several fields counts.
            let field = fields.iter().rfind(is_timeout)?;
            if !std::ptr::eq(field, &fields[at]) {
                return None;
            }
            // The parser rejects a value that is no timeout.
            Some(parse_timeout(&field.value).filter(|timeout| !timeout.is_zero())?)
        }
        Difference::More => return None,
    };
    Some(HeadWithTimeout {
        head: Arc::clone(&received.head),
        timeout,
    })
}

/// A received header block of a response: headers or trailers. Shared, because the core reads equal
/// header blocks once. The usual meaning of the block is determined once.
#[derive(Debug)]
pub(super) struct ReadResponse {
    http_status: Option<u16>,
    parser: ResponseParser,
    headers: OnceLock<HeadersBlock>,
    trailers: OnceLock<Trailers>,
}

impl ReadResponse {
    /// Returns the content of the block as a response's first one.
    #[inline]
    pub(super) fn headers(&self, end_stream: bool) -> HeadersBlock {
        let parse = |end_stream| self.parser.clone().headers(self.http_status, end_stream);
        if end_stream {
            return parse(true);
        }
        self.headers.get_or_init(|| parse(false)).clone()
    }

    /// Returns the content of the block as trailers.
    pub(super) fn trailers(&self) -> Trailers {
        let trailers = self.trailers.get_or_init(|| self.parser.clone().trailers());
        trailers.clone()
    }
}

/// Reads a response's fields. Called by the core.
pub(super) fn read_response(
    fields: &[Field],
    previous: Option<PreviousHead<'_, Arc<ReadResponse>>>,
) -> Arc<ReadResponse> {
    if let Some(PreviousHead {
        head,
        difference: Difference::None,
    }) = previous
    {
        return Arc::clone(head);
    }
    let mut http_status = None;
    let mut parser = ResponseParser::default();
    for field in fields {
        if field.name == ":status" {
            let text = std::str::from_utf8(&field.value);
            http_status = text.ok().and_then(|text| text.parse().ok());
        } else {
            parser.field(field.name.clone(), field.value.clone());
        }
    }
    Arc::new(ReadResponse {
        http_status,
        parser,
        headers: OnceLock::new(),
        trailers: OnceLock::new(),
    })
}

/// Returns the headers and the trailers of a usual response, in which nothing depends on the call.
pub(super) fn usual_response(
    head: &ResponseHead<'_>,
    trailer: &Metadata,
) -> Option<(Block<'static, NoFields>, Block<'static, NoFields>)> {
    let is_usual = head.content_subtype.is_empty()
        && head.encoding.is_none()
        && head.metadata.is_empty()
        && trailer.is_empty();
    is_usual.then(|| (Block::prepared(&RESPONSE), Block::prepared(&TRAILERS_OK)))
}

/// A header block to send: a part that was encoded ahead of time, then fields.
#[derive(Clone)]
pub(super) struct HeaderBlock {
    prepared: &'static StaticBlock,
    fields: Vec<(Bytes, Bytes)>,
}

impl HeaderBlock {
    /// Creates a response's headers.
    pub(super) fn response(head: ResponseHead<'_>) -> Self {
        let mut block = if head.content_subtype.is_empty() {
            Self::of(&RESPONSE)
        } else {
            let mut block = Self::of(&NOTHING);
            block.push(":status", "200");
            block.push("content-type", content_type(head.content_subtype));
            block
        };
        if let Some(encoding) = head.encoding {
            let (name, value) = encoding.into_parts();
            block.push(name, value);
        }
        block.extend(head.metadata);
        block
    }

    /// Creates a response's trailers.
    pub(super) fn trailers(outcome: &Result<Metadata, Status>) -> Self {
        match outcome {
            Ok(metadata) => {
                let mut block = Self::of(&TRAILERS_OK);
                block.extend(metadata);
                block
            }
            Err(status) => {
                let mut block = Self::of(&NOTHING);
                block.push_status(status);
                block
            }
        }
    }

    /// Creates headers and trailers in one block, for a call without header metadata and messages.
    pub(super) fn trailers_only(
        head: ResponseHead<'_>,
        outcome: &Result<Metadata, Status>,
    ) -> Self {
        let head = head.without_messages();
        let mut block = Self::response(head);
        match outcome {
            Ok(metadata) => {
                block.push("grpc-status", "0");
                block.extend(metadata);
            }
            Err(status) => block.push_status(status),
        }
        block
    }

    /// Creates the answer to a refused request, for a reason that may be shortened.
    pub(super) fn rejection(rejection: &Rejection, status: &Status) -> Self {
        let mut block = Self::of(&NOTHING);
        block.push(":status", rejection.http_status.to_string());
        block.push("content-type", "application/grpc");
        block.push_status(status);
        block
    }

    /// Creates the `block` of a status that is shortened to the limit of the header list.
    #[cold]
    pub(super) fn fitted(status: Status, limit: u32, block: impl Fn(Status) -> Self) -> Self {
        let bare = block(Status::new(status.code(), ""));
        let available = (limit as usize).saturating_sub(bare.block().list_size());
        block(fit_status(status, available))
    }

    /// Returns the block in the core's form.
    pub(super) fn block(&self) -> Block<'_, impl Iterator<Item = FieldRef<'_>> + Clone> {
        let fields = self.fields.iter();
        Block::prepared(self.prepared).with(fields.map(|(name, value)| FieldRef::new(name, value)))
    }

    fn of(prepared: &'static StaticBlock) -> Self {
        Self {
            prepared,
            fields: Vec::new(),
        }
    }

    fn push(&mut self, name: &'static str, value: impl Into<Bytes>) {
        let name = Bytes::from_static(name.as_bytes());
        self.fields.push((name, value.into()));
    }

    fn extend(&mut self, metadata: &Metadata) {
        // The usual case.
        if metadata.is_empty() {
            return;
        }
        self.fields.extend(metadata.wire_fields());
    }

    fn push_status(&mut self, status: &Status) {
        self.push("grpc-status", status.code().to_i32().to_string());
        if !status.message().is_empty() {
            self.push(
                "grpc-message",
                encode_message(status.message()).into_owned(),
            );
        }
        if !status.details().is_empty() {
            self.push("grpc-status-details-bin", encode_value(status.details()));
        }
        self.extend(status.metadata());
    }
}

/// Returns `application/grpc` with the subtype.
pub(super) fn content_type(subtype: &[u8]) -> Bytes {
    if subtype.is_empty() {
        Bytes::from_static(b"application/grpc")
    } else {
        [b"application/grpc+", subtype].concat().into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::transport::{EncodingField, head_size, trailers_size};

    const REQUEST: [(&str, &str); 4] = [
        (":method", "POST"),
        (":path", "/s/m"),
        ("content-type", "application/grpc"),
        ("x-key", "value"),
    ];

    #[test]
    fn the_sizes_of_header_lists_are_known_before_they_are_made() {
        let mut metadata = Metadata::new();
        for (key, value) in [("x-key", "value"), ("x-other", "")] {
            metadata.append(key, value).expect("valid");
        }
        metadata.append("x-bin", &[1, 2, 3, 4][..]).expect("valid");
        let gzip = || EncodingField::Encoding(Bytes::from_static(b"gzip"));
        let accepted = EncodingField::AcceptEncoding(Bytes::from_static(b"gzip,identity"));
        for (content_subtype, encoding, metadata) in [
            (&b""[..], None, &Metadata::new()),
            (b"json", Some(gzip()), &metadata),
            (b"proto", Some(accepted), &Metadata::new()),
        ] {
            let head = ResponseHead {
                content_subtype,
                encoding,
                metadata,
            };
            let block = HeaderBlock::response(head.clone());
            assert_eq!(head_size(&head), block.block().list_size(), "{head:?}");
            let outcome = Ok(metadata.clone());
            let trailers = HeaderBlock::trailers(&outcome).block().list_size();
            assert_eq!(trailers_size(metadata), trailers);
            let only = HeaderBlock::trailers_only(head.clone(), &outcome);
            let size = head_size(&head.without_messages()) + trailers;
            assert_eq!(size, only.block().list_size());
        }
    }

    fn fields(more: &[(&str, &str)]) -> Vec<Field> {
        let field = |&(name, value): &(&str, &str)| {
            FieldRef::new(name.as_bytes(), value.as_bytes()).to_field()
        };
        REQUEST.iter().chain(more).map(field).collect()
    }

    /// Reads a request that follows another one.
    fn read_after(
        first: &[(&str, &str)],
        second: &[(&str, &str)],
        difference: Difference,
    ) -> (ReadRequest, ReadRequest) {
        let before = read_request(&fields(first), None);
        let head = &before;
        let after = read_request(&fields(second), Some(PreviousHead { head, difference }));
        (before, after)
    }

    #[test]
    fn requests_that_differ_in_their_timeout_alone_share_the_head() {
        for (timeout, difference) in [
            ("1S", Difference::None),
            ("2S", Difference::Value(4)),
            ("2S", Difference::More),
        ] {
            let (first, second) = read_after(
                &[("grpc-timeout", "1S")],
                &[("grpc-timeout", timeout)],
                difference,
            );
            let (first, second) = (first.expect("valid"), second.expect("valid"));
            assert_eq!(second.timeout, parse_timeout(timeout.as_bytes()));
            let shared = Arc::ptr_eq(&first.head, &second.head);
            assert_eq!(shared, difference != Difference::More);
        }
    }

    #[test]
    fn another_field_than_the_timeout_is_parsed_again() {
        let (_, second) = read_after(&[("x-a", "1")], &[("x-a", "2")], Difference::Value(4));
        let head = second.expect("valid").head;
        assert_eq!(head.metadata.get("x-a"), Some("2"));
    }

    #[test]
    fn of_two_timeouts_the_last_counts() {
        let (_, second) = read_after(
            &[("grpc-timeout", "1S"), ("grpc-timeout", "2S")],
            &[("grpc-timeout", "3S"), ("grpc-timeout", "2S")],
            Difference::Value(4),
        );
        assert_eq!(second.expect("valid").timeout, Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_timeout_that_is_malformed_or_over_is_rejected_after_a_valid_one_too() {
        for (timeout, http_status) in [("soon", 400), ("0n", 200)] {
            let (_, second) = read_after(
                &[("grpc-timeout", "1S")],
                &[("grpc-timeout", timeout)],
                Difference::Value(4),
            );
            assert_eq!(second.expect_err("rejected").http_status, http_status);
        }
    }
}
