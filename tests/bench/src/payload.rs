//! The messages of the bench: payloads of zeros, as large as asked for.

use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;

use crate::proto::grpc::testing::{Payload, SimpleRequest, SimpleResponse};

/// The largest payload; more than the 4 MiB that a message may have by default would be refused.
pub const LARGEST: usize = 4 << 20;

static ZEROS: LazyLock<Bytes> = LazyLock::new(|| vec![0; LARGEST].into());

/// A payload size below zero or above [`LARGEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSize(pub i32);

impl fmt::Display for BadSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a payload of {} bytes is not within 0 to {LARGEST}",
            self.0
        )
    }
}

impl std::error::Error for BadSize {}

/// A request with a payload, for a response with a payload.
///
/// # Errors
/// A size is out of bounds.
pub fn request(request_size: i32, response_size: i32) -> Result<SimpleRequest, BadSize> {
    payload(response_size)?;
    Ok(SimpleRequest {
        response_size,
        payload: Some(payload(request_size)?),
        ..SimpleRequest::default()
    })
}

/// The response that a request asks for.
///
/// # Errors
/// It asks for a size that is out of bounds.
pub fn response(request: &SimpleRequest) -> Result<SimpleResponse, BadSize> {
    Ok(SimpleResponse {
        payload: Some(payload(request.response_size)?),
        ..SimpleResponse::default()
    })
}

fn payload(size: i32) -> Result<Payload, BadSize> {
    let len = usize::try_from(size).map_err(|_| BadSize(size))?;
    if len > LARGEST {
        return Err(BadSize(size));
    }
    Ok(Payload {
        body: ZEROS.slice(..len),
        ..Payload::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_the_size_that_the_request_asks_for() {
        let request = request(3, 7).unwrap();
        assert_eq!(request.payload.as_ref().unwrap().body.len(), 3);
        assert_eq!(response(&request).unwrap().payload.unwrap().body.len(), 7);
    }

    #[test]
    fn a_size_out_of_bounds_is_refused() {
        let too_large = i32::try_from(LARGEST).unwrap() + 1;
        assert_eq!(request(-1, 0), Err(BadSize(-1)));
        assert_eq!(request(0, too_large), Err(BadSize(too_large)));
        let hostile = SimpleRequest {
            response_size: -5,
            ..SimpleRequest::default()
        };
        assert_eq!(response(&hostile), Err(BadSize(-5)));
    }
}
