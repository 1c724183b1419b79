//! The header blocks of gRPC calls, well-formed; a test spoils them field by field.

use crate::frame::{Headers, headers};

impl Headers {
    /// Completes a request head: `:scheme` and `:authority` if they are missing, `content-type` and
    /// `te`. Fields that are already there stay as they are, so that a test can get one wrong. Say
    /// the pseudo-header fields before and metadata after.
    pub fn grpc(mut self) -> Self {
        for (name, value) in [
            (":scheme", "http"),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ] {
            if !self.fields().contains(name) {
                self = self.field(name, value);
            }
        }
        self
    }
}

/// A whole request head for a path such as `/grpc.testing.TestService/EmptyCall`.
pub fn grpc_request(stream_id: u32, path: &str) -> Headers {
    headers(stream_id)
        .method("POST")
        .path(path)
        .grpc()
        .end_headers()
}

/// A whole response head.
pub fn grpc_response(stream_id: u32) -> Headers {
    headers(stream_id)
        .status(200)
        .field("content-type", "application/grpc")
        .end_headers()
}

/// Trailers with this `grpc-status`; a `grpc-message` is one more `field`.
pub fn grpc_trailers(stream_id: u32, code: u32) -> Headers {
    headers(stream_id)
        .field("grpc-status", code.to_string())
        .end_headers()
        .end_stream()
}

/// A response that is nothing but its status: head and trailers in one HEADERS frame.
pub fn trailers_only(stream_id: u32, code: u32) -> Headers {
    grpc_response(stream_id)
        .field("grpc-status", code.to_string())
        .end_stream()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_head_has_its_pseudo_headers_first() {
        let head = grpc_request(1, "/s/m").field("k", "v");
        let expected = [
            ":method",
            ":path",
            ":scheme",
            ":authority",
            "content-type",
            "te",
            "k",
        ];
        assert_eq!(head.fields().names(), expected);
    }

    #[test]
    fn fields_that_a_test_sets_stay() {
        let head = headers(1)
            .method("POST")
            .scheme("https")
            .field("te", "gzip")
            .grpc();
        assert_eq!(head.get_all(":scheme"), ["https"]);
        assert_eq!(head.get_all("te"), ["gzip"]);
    }
}
