//! Payloads, and the metadata that is echoed: what the client and the server agree on.

use crate::proto::{Payload, PayloadType, SimpleRequest};

/// The metadata key whose value the server sends back in the header.
pub(crate) const ECHO_INITIAL_KEY: &str = "x-grpc-test-echo-initial";
/// The metadata key whose value the server sends back in the trailer.
pub(crate) const ECHO_TRAILING_KEY: &str = "x-grpc-test-echo-trailing-bin";

/// A payload of this many zero bytes.
pub(crate) fn zeros(size: usize) -> Payload {
    Payload {
        r#type: PayloadType::Compressable.into(),
        body: vec![0; size],
    }
}

/// A request with a payload, for a response with a payload.
pub(crate) fn simple_request(request_size: usize, response_size: i32) -> SimpleRequest {
    SimpleRequest {
        response_type: PayloadType::Compressable.into(),
        response_size,
        payload: Some(zeros(request_size)),
        ..SimpleRequest::default()
    }
}
