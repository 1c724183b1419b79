//! Responses: headers and trailers end a call with the status that they say.

use bytes::Bytes;

use super::Choices;
use crate::metadata::{Metadata, is_reserved};
use crate::status::Code;
use crate::transport::{HeadersBlock, ResponseError, ResponseParser, Trailers};

const NAMES: &[&str] = &[
    "content-type",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-message",
    "grpc-status",
    "grpc-status-details-bin",
    "x-a",
    "x-bin",
];

/// Takes the octets as the fields of a header block of a response.
pub fn response_head(data: &[u8]) {
    let mut choices = Choices::new(data);
    let end_stream = choices.flag();
    let http_status = choices.flag().then(|| choices.short());
    let fields = choices.fields(NAMES);

    let mut parser = ResponseParser::default();
    for (name, value) in &fields {
        parser.field(name.clone(), value.clone());
    }
    check_trailers(parser.clone().trailers(), &fields);
    match parser.headers(http_status, end_stream) {
        HeadersBlock::Head(head) => {
            assert!(!end_stream);
            check_metadata(&head.metadata);
        }
        HeadersBlock::TrailersOnly(trailers) => {
            assert!(end_stream);
            check_trailers(trailers, &fields);
        }
        HeadersBlock::NotGrpc(response) => {
            let status = ResponseError::NotGrpc(response).to_status();
            assert!(!status.message().is_empty());
        }
        HeadersBlock::Malformed(error) => {
            assert!(!error.to_status().message().is_empty());
        }
    }
}

fn check_trailers(trailers: Trailers, fields: &[(Bytes, Bytes)]) {
    let sent = fields.iter().rfind(|(name, _)| name == "grpc-status");
    let sent = sent.map(|(_, value)| &value[..]);
    match trailers.outcome {
        Ok(metadata) => {
            assert!(!trailers.malformed);
            let zero = sent.is_some_and(|value| value.ends_with(b"0"));
            assert!(zero, "{sent:?} was taken for OK");
            check_metadata(&metadata);
        }
        Err(status) => {
            assert_ne!(status.code(), Code::Ok);
            check_metadata(status.metadata());
        }
    }
}

fn check_metadata(metadata: &Metadata) {
    for (key, _) in metadata.iter() {
        assert!(
            matches!(key, "content-type" | "grpc-accept-encoding") || !is_reserved(key.as_bytes()),
            "{key}"
        );
    }
}
