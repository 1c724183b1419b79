//! Header fields: from metadata and status to the core's blocks, and from what the core received to
//! the checks that both engines share.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use crate::http2::{Block, Field, FieldRef, StaticBlock};
use crate::metadata::{Metadata, encode_value};
use crate::status::{Status, encode_message};
use crate::transport::timeout::encode_timeout;
use crate::transport::{
    OpenRequest, Rejection, RequestHead, RequestParser, ResponseHead, ResponseParser,
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

/// A received request's head, or how to reject it. Shared: the core reads equal header blocks once.
pub(super) type ReadRequest = Result<Arc<RequestHead>, Arc<Rejection>>;

/// Reads a request's fields; the core calls it.
pub(super) fn read_request(fields: &[Field]) -> ReadRequest {
    let mut parser = RequestParser::default();
    for field in fields {
        parser.field(field.name.clone(), field.value.clone());
    }
    parser.finish().map(Arc::new).map_err(Arc::new)
}

/// A received header block of a response: headers or trailers.
#[derive(Debug)]
pub(super) struct ReadResponse {
    pub(super) http_status: Option<u16>,
    pub(super) parser: ResponseParser,
}

/// Reads a response's fields; the core calls it.
pub(super) fn read_response(fields: &[Field]) -> Arc<ReadResponse> {
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
    })
}

/// A header block to send: what was encoded ahead of time, then fields.
#[derive(Clone)]
pub(super) struct HeaderBlock {
    prepared: &'static StaticBlock,
    fields: Vec<(Bytes, Bytes)>,
}

impl HeaderBlock {
    /// A request's headers. An error when its path cannot be one.
    pub(super) fn request(open: &OpenRequest<'_>) -> Result<Self, Status> {
        if !open.path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Status::internal(format!(
                "malformed method name {:?}: it may have visible ASCII characters only",
                open.path
            )));
        }
        let mut block = Self::of(&NOTHING);
        block.fields.reserve(8 + open.metadata.len());
        block.push(":method", "POST");
        block.push(":scheme", open.scheme);
        block.push(":path", Bytes::copy_from_slice(open.path.as_bytes()));
        block.push(
            ":authority",
            Bytes::copy_from_slice(open.authority.as_bytes()),
        );
        block.push(
            "content-type",
            content_type(open.content_subtype.as_bytes()),
        );
        block.push("user-agent", open.user_agent.clone());
        block.push("te", "trailers");
        if let Some(timeout) = open.timeout {
            block.push("grpc-timeout", encode_timeout(timeout));
        }
        block.extend(open.metadata);
        Ok(block)
    }

    /// A response's headers.
    pub(super) fn response(head: ResponseHead<'_>) -> Self {
        let mut block = if head.content_subtype.is_empty() {
            Self::of(&RESPONSE)
        } else {
            let mut block = Self::of(&NOTHING);
            block.push(":status", "200");
            block.push("content-type", content_type(head.content_subtype));
            block
        };
        block.extend(head.metadata);
        block
    }

    /// A response's trailers.
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

    /// Headers and trailers in one, for a call that has neither header metadata nor messages.
    pub(super) fn trailers_only(
        head: ResponseHead<'_>,
        outcome: &Result<Metadata, Status>,
    ) -> Self {
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

    /// The answer to a request that is not let through.
    pub(super) fn rejection(rejection: &Rejection) -> Self {
        let mut block = Self::of(&NOTHING);
        block.push(":status", rejection.http_status.to_string());
        block.push("content-type", "application/grpc");
        block.push_status(&rejection.status);
        block
    }

    /// The block as the core takes it.
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

fn content_type(subtype: &[u8]) -> Bytes {
    if subtype.is_empty() {
        Bytes::from_static(b"application/grpc")
    } else {
        [b"application/grpc+", subtype].concat().into()
    }
}
