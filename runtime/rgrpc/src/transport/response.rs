//! The parser of a response's header fields and trailers, on a client. The native engine calls it on the
//! connection's task, the h2 engine where the call polls.
//!
//! The checks and their outcomes are grpc-go's (`http2_client.go`, `operateHeaders`).

use bytes::Bytes;

use super::request::content_subtype;
use super::{IncomingHead, NotGrpc, ResponseError};
use crate::metadata::{Metadata, MetadataError, decode_values, is_reserved};
use crate::status::{Code, Status, decode_message};

/// Collects the fields of one header block of a response. Each engine adds the fields that it has
/// decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResponseParser {
    content_type: Option<Bytes>,
    grpc_status: Option<Bytes>,
    grpc_message: Option<Bytes>,
    details: Option<Bytes>,
    encoding: Option<Bytes>,
    metadata: Metadata,
    malformed: Option<MetadataError>,
}

/// The content of a response's first header block.
#[derive(Clone, Debug)]
pub(crate) enum HeadersBlock {
    /// A gRPC response; messages or trailers follow.
    Head(IncomingHead),
    /// A gRPC response that has ended with these headers alone.
    TrailersOnly(Trailers),
    /// Not a gRPC response. The call fails, and the stream is reset with PROTOCOL_ERROR when the part
    /// of the body that is shown has come.
    NotGrpc(NotGrpc),
    /// The call fails, and the stream is reset with PROTOCOL_ERROR.
    Malformed(ResponseError),
}

/// The content of the trailers.
#[derive(Clone, Debug)]
pub(crate) struct Trailers {
    pub(crate) outcome: Result<Metadata, Status>,
    /// The trailers are malformed: the stream is reset with PROTOCOL_ERROR if it is open.
    pub(crate) malformed: bool,
}

impl ResponseParser {
    /// Adds a field. `name` is in lower case. The caller handles pseudo-header fields.
    pub(crate) fn field(&mut self, name: Bytes, value: Bytes) {
        match &*name {
            b"content-type" => {
                self.content_type = Some(value.clone());
                self.show(name, value);
            }
            b"grpc-status" => self.grpc_status = Some(value),
            b"grpc-message" => self.grpc_message = Some(value),
            b"grpc-status-details-bin" => {
                self.details = Some(match self.details.take() {
                    // Several fields count as one field.
                    Some(first) => [&*first, b",", &*value].concat().into(),
                    None => value,
                });
            }
            b"grpc-encoding" => self.encoding = Some(value),
            // The server's encodings are shown beside the status that refuses the request's
            // encoding.
            b"grpc-accept-encoding" => self.show(name, value),
            reserved if is_reserved(reserved) => {}
            _ => self.show(name, value),
        }
    }

    /// Parses the first header block, which had this `:status` and may have ended the stream.
    pub(crate) fn headers(mut self, http_status: Option<u16>, end_stream: bool) -> HeadersBlock {
        let is_grpc = self
            .content_type
            .as_ref()
            .and_then(content_subtype)
            .is_some();
        if !is_grpc {
            return HeadersBlock::NotGrpc(NotGrpc::new(http_status, self.content_type));
        }
        if end_stream {
            return HeadersBlock::TrailersOnly(self.trailers());
        }
        match self.malformed.take() {
            Some(error) => HeadersBlock::Malformed(ResponseError::Metadata(error)),
            None => HeadersBlock::Head(IncomingHead {
                metadata: self.metadata,
                encoding: self.encoding.map(|name| (*name).into()),
            }),
        }
    }

    /// Parses the trailers.
    pub(crate) fn trailers(self) -> Trailers {
        if let Some(error) = self.malformed {
            return Trailers::failed(&ResponseError::Metadata(error));
        }
        let Some(grpc_status) = self.grpc_status else {
            return Trailers::failed(&ResponseError::NoGrpcStatus);
        };
        let Some(code) = parse_code(&grpc_status) else {
            return Trailers::failed(&ResponseError::GrpcStatus(grpc_status));
        };
        if code == Code::Ok {
            return Trailers::new(Ok(self.metadata));
        }
        let message = decode_message(self.grpc_message.as_deref().unwrap_or_default());
        let details = self.details.as_deref().map(decode_details);
        match details.unwrap_or(Some(Bytes::new())) {
            Some(details) => {
                Trailers::new(Err(Status::received(code, message, details, self.metadata)))
            }
            None => Trailers::failed(&ResponseError::Details),
        }
    }

    fn show(&mut self, name: Bytes, value: Bytes) {
        if let Err(error) = self.metadata.append_from_wire(name, value) {
            self.malformed = Some(error);
        }
    }
}

impl Trailers {
    fn new(outcome: Result<Metadata, Status>) -> Self {
        Self {
            outcome,
            malformed: false,
        }
    }

    #[cold]
    fn failed(error: &ResponseError) -> Self {
        Self {
            outcome: Err(error.to_status()),
            malformed: error.is_malformed(),
        }
    }
}

fn parse_code(value: &[u8]) -> Option<Code> {
    let number = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some(Code::from_i32(number))
}

/// Decodes the details. Several details are ignored, as in grpc-go. Returns `None` if they are not
/// base64.
fn decode_details(value: &[u8]) -> Option<Bytes> {
    let mut values: Vec<_> = decode_values(value).collect::<Option<_>>()?;
    let last = values.pop();
    Some(last.filter(|_| values.is_empty()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parser(fields: &[(&'static str, &'static str)]) -> ResponseParser {
        let mut parser = ResponseParser::default();
        for (name, value) in fields {
            parser.field(
                Bytes::from_static(name.as_bytes()),
                Bytes::from_static(value.as_bytes()),
            );
        }
        parser
    }

    const GRPC: (&str, &str) = ("content-type", "application/grpc");

    #[test]
    fn with_grpcs_content_type_the_http_status_is_ignored() {
        for http_status in [Some(200), Some(404), Some(500), None] {
            let block = parser(&[GRPC, ("x-a", "1")]).headers(http_status, false);
            let HeadersBlock::Head(head) = block else {
                panic!("{block:?}");
            };
            assert_eq!(head.metadata.get("x-a"), Some("1"));
        }
    }

    #[test]
    fn without_it_the_http_status_decides() {
        for (http_status, code) in [
            (Some(200), Code::Unknown),
            (Some(404), Code::Unimplemented),
            (Some(503), Code::Unavailable),
            (None, Code::Internal),
        ] {
            let block = parser(&[("content-type", "text/html"), ("grpc-status", "0")])
                .headers(http_status, true);
            let HeadersBlock::NotGrpc(response) = block else {
                panic!("{block:?}");
            };
            let status = ResponseError::NotGrpc(response).to_status();
            assert_eq!(status.code(), code);
            assert!(status.message().contains("text/html"), "{status}");
        }
    }

    #[test]
    fn the_encoding_of_messages_is_apart_from_what_the_caller_sees() {
        let block = parser(&[
            GRPC,
            ("grpc-encoding", "gzip"),
            ("grpc-accept-encoding", "a"),
        ])
        .headers(Some(200), false);
        let HeadersBlock::Head(head) = block else {
            panic!("{block:?}");
        };
        assert_eq!(head.encoding.as_deref(), Some(&b"gzip"[..]));
        assert_eq!(head.metadata.get("grpc-encoding"), None);
        assert_eq!(head.metadata.get("grpc-accept-encoding"), Some("a"));
    }

    #[test]
    fn headers_that_end_the_stream_are_trailers() {
        let block = parser(&[GRPC, ("grpc-status", "5"), ("grpc-message", "no%20it")])
            .headers(Some(200), true);
        let HeadersBlock::TrailersOnly(trailers) = block else {
            panic!("{block:?}");
        };
        let status = trailers.outcome.expect_err("NOT_FOUND");
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(status.message(), "no it");
    }

    #[test]
    fn trailers_without_a_usable_status_are_unknown() {
        for (fields, malformed) in [
            (&[][..], false),
            (&[("grpc-status", "x")], true),
            (&[("grpc-status", "")], true),
            (&[("grpc-status", "99")], false),
        ] {
            let trailers = parser(fields).trailers();
            assert_eq!(trailers.malformed, malformed, "{fields:?}");
            let status = trailers.outcome.expect_err("not OK");
            assert_eq!(status.code(), Code::Unknown, "{fields:?}");
        }
    }

    #[test]
    fn undecodable_binary_values_are_internal_and_malformed() {
        for field in [("x-bin", "!"), ("grpc-status-details-bin", "!")] {
            let trailers = parser(&[("grpc-status", "3"), field]).trailers();
            assert!(trailers.malformed);
            let status = trailers.outcome.expect_err("malformed");
            assert_eq!(status.code(), Code::Internal);
        }
    }

    #[test]
    fn details_and_metadata_come_with_the_status() {
        let trailers = parser(&[
            ("grpc-status", "3"),
            ("grpc-status-details-bin", "CAM="),
            ("x-a", "1"),
        ])
        .trailers();
        let status = trailers.outcome.expect_err("INVALID_ARGUMENT");
        assert_eq!(status.details(), [8, 3]);
        assert_eq!(status.metadata().get("x-a"), Some("1"));
    }

    #[test]
    fn details_that_come_more_than_once_are_ignored() {
        for fields in [
            &[
                ("grpc-status-details-bin", "CAM="),
                ("grpc-status-details-bin", "CAM="),
            ][..],
            &[("grpc-status-details-bin", "CAM,CAM")],
        ] {
            let mut parser = parser(fields);
            parser.field("grpc-status".into(), "3".into());
            let status = parser.trailers().outcome.expect_err("INVALID_ARGUMENT");
            assert_eq!(status.code(), Code::InvalidArgument, "{fields:?}");
            assert!(status.details().is_empty(), "{fields:?}");
        }
    }
}
