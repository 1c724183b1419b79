//! The rejection of a request whose head is not well formed, and its one table of answers. The parser
//! of a request's head makes it; the connection's task answers the request with it.
//!
//! The answers are grpc-go's (`http2_server.go`, `operateHeaders`).

use bytes::Bytes;

use crate::metadata::MetadataError;
use crate::status::Status;

/// The problem of a request's head. The answer is one HEADERS frame that ends the stream.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// The numbers of `:authority` and `host` fields, of which one is more than one.
    Authorities { authorities: usize, hosts: usize },
    /// The content-type, if there is one, is not gRPC's.
    ContentType(Option<Bytes>),
    /// A field cannot be metadata.
    Metadata(MetadataError),
    /// The `grpc-timeout` is malformed.
    Timeout(Bytes),
    /// The `:method` is not POST.
    Method(Bytes),
    /// The timeout is zero.
    DeadlineExceeded,
}

impl Rejection {
    /// The HTTP status of the answer.
    pub(crate) fn http_status(&self) -> u16 {
        match self {
            Self::Authorities { .. } | Self::Metadata(_) | Self::Timeout(_) => 400,
            Self::ContentType(_) => 415,
            Self::Method(_) => 405,
            Self::DeadlineExceeded => 200,
        }
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Authorities { authorities, hosts } => Status::internal(format!(
                "the request has {authorities} :authority and {hosts} host fields: one is allowed"
            )),
            Self::ContentType(Some(value)) => Status::invalid_argument(format!(
                "the request's content-type {:?} is not gRPC's: application/grpc or \
                 application/grpc+SUBTYPE is expected",
                String::from_utf8_lossy(value)
            )),
            Self::ContentType(None) => Status::invalid_argument(
                "the request has no content-type: application/grpc is expected",
            ),
            Self::Metadata(error) => Status::internal(format!("the request's {error}")),
            Self::Timeout(value) => Status::internal(format!(
                "the request's grpc-timeout {:?} is malformed: one to eight digits and one of \
                 H M S m u n are expected",
                String::from_utf8_lossy(value)
            )),
            Self::Method(method) => Status::internal(format!(
                "the request's :method is {:?}: gRPC uses POST",
                String::from_utf8_lossy(method)
            )),
            Self::DeadlineExceeded => {
                Status::deadline_exceeded("the deadline had passed when the request arrived")
            }
        }
    }
}
