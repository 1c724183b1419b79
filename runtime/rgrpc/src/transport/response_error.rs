//! The error of a response that is not well formed, and its one table of statuses. The parser of a
//! response's header blocks makes it, and a client's stream at the end of DATA; the call fails with it.

use bytes::Bytes;

use super::http_status::code_for_http_status;
use crate::metadata::MetadataError;
use crate::status::{Code, Status};

/// The problem of a response.
#[derive(Clone, Debug)]
pub(crate) enum ResponseError {
    /// The response is not gRPC.
    NotGrpc(NotGrpc),
    /// A field cannot be metadata.
    Metadata(MetadataError),
    /// The `grpc-status` is no number.
    GrpcStatus(Bytes),
    /// The trailers have no `grpc-status`.
    NoGrpcStatus,
    /// The `grpc-status-details-bin` is not base64.
    Details,
    /// The stream ended with DATA.
    NoTrailers,
}

/// A response that is not gRPC: the answer of a proxy, for example.
#[derive(Clone, Debug)]
pub(crate) struct NotGrpc {
    pub(crate) http_status: Option<u16>,
    pub(crate) content_type: Option<Bytes>,
    /// The beginning of the body.
    body: Vec<u8>,
}

/// The number of octets of a body that is not gRPC in the status, as in grpc-go.
const MAX_NOT_GRPC_BODY: usize = 1024;

impl ResponseError {
    /// Returns whether the stream is reset with PROTOCOL_ERROR for it.
    pub(crate) fn is_malformed(&self) -> bool {
        !matches!(self, Self::NoGrpcStatus)
    }

    #[cold]
    pub(crate) fn to_status(&self) -> Status {
        match self {
            Self::NotGrpc(response) => response.to_status(),
            Self::Metadata(error) => Status::internal(format!("the response's {error}")),
            Self::GrpcStatus(value) => Status::unknown(format!(
                "the server sent the malformed grpc-status {:?}",
                String::from_utf8_lossy(value)
            )),
            Self::NoGrpcStatus => {
                Status::unknown("the server ended the call without a grpc-status")
            }
            Self::Details => {
                Status::internal("the server sent a grpc-status-details-bin that is not base64")
            }
            Self::NoTrailers => {
                Status::internal("the server closed the stream without sending trailers")
            }
        }
    }
}

impl NotGrpc {
    pub(crate) fn new(http_status: Option<u16>, content_type: Option<Bytes>) -> Self {
        Self {
            http_status,
            content_type,
            body: Vec::new(),
        }
    }

    /// Adds DATA of the body, up to the part that is shown. Returns whether that is complete.
    pub(crate) fn push(&mut self, data: &[u8]) -> bool {
        let free = MAX_NOT_GRPC_BODY - self.body.len();
        self.body.extend_from_slice(&data[..data.len().min(free)]);
        self.body.len() == MAX_NOT_GRPC_BODY
    }

    fn to_status(&self) -> Status {
        let content_type = match &self.content_type {
            Some(value) => format!("the content-type {:?}", String::from_utf8_lossy(value)),
            None => "no content-type".to_owned(),
        };
        let (code, http_status) = match self.http_status {
            Some(status) => (
                code_for_http_status(status),
                format!("the HTTP status {status}"),
            ),
            None => (Code::Internal, "no HTTP status".to_owned()),
        };
        let mut text = format!("the response is not gRPC: it has {http_status} and {content_type}");
        if !self.body.is_empty() {
            let data = String::from_utf8_lossy(&self.body);
            text = format!("{text}; data: {data:?}");
        }
        Status::new(code, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_that_is_not_grpc_is_shown_with_the_beginning_of_its_body() {
        let html = || Some(Bytes::from_static(b"text/html"));
        for (http_status, content_type, body, code, text) in [
            (
                Some(503),
                html(),
                "",
                Code::Unavailable,
                "the response is not gRPC: it has the HTTP status 503 and the content-type \
                 \"text/html\"",
            ),
            (
                None,
                None,
                "<p>",
                Code::Internal,
                "the response is not gRPC: it has no HTTP status and no content-type; data: \
                 \"<p>\"",
            ),
        ] {
            let mut response = NotGrpc::new(http_status, content_type);
            assert!(!response.push(body.as_bytes()));
            let status = ResponseError::NotGrpc(response).to_status();
            assert_eq!((status.code(), status.message()), (code, text));
        }
        let mut response = NotGrpc::new(Some(200), html());
        assert!(response.push(&[b'a'; 2 * MAX_NOT_GRPC_BODY]));
        assert!(response.push(b"a"), "nothing more");
        let status = ResponseError::NotGrpc(response).to_status();
        assert!(
            status
                .message()
                .ends_with(&format!("{:?}", "a".repeat(MAX_NOT_GRPC_BODY)))
        );
    }
}
