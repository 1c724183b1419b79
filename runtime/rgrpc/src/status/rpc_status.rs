//! The details of a status, as the message `google.rpc.Status`.
//!
//! Converted by users; parsed from `grpc-status-details-bin` by the engines when they read
//! trailers.

use bytes::Bytes;
use prost::{Message, Name};
use prost_types::Any;

use super::{Code, Origin, Status};
use crate::metadata::Metadata;

/// The message `google.rpc.Status`: a code, a text, and detail messages.
///
/// In gRPC it is the content of `grpc-status-details-bin`. Other protocols and APIs carry it as a
/// message. Generated code uses this type with the option `extern_path(".google.rpc.Status",
/// "::rgrpc::RpcStatus")`.
///
/// [`Status::to_proto`] converts a [`Status`] into it. [`Status::from_proto`], where code OK
/// becomes INTERNAL, and [`into_result`](Self::into_result) convert it back.
///
/// ```
/// use rgrpc::prost_types::{Any, Duration};
/// use rgrpc::{Code, RpcStatus, Status};
///
/// let retry_after = Duration { seconds: 3, nanos: 0 };
/// let status = Status::unavailable("busy").with_detail(&retry_after);
///
/// let proto: RpcStatus = status.to_proto();
/// assert_eq!(proto.code, Code::Unavailable.to_i32());
/// assert_eq!(proto.details, [Any::from_msg(&retry_after)?]);
///
/// let status = Status::from_proto(proto);
/// assert_eq!(status.message(), "busy");
/// assert_eq!(status.detail::<Duration>()?, Some(retry_after));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: `google/rpc/status.proto`; grpc-go's package `status`.
#[derive(Clone, PartialEq, Message)]
pub struct RpcStatus {
    /// The number of a [`Code`]. 0 is OK.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// The text, for people.
    #[prost(string, tag = "2")]
    pub message: String,
    /// The detail messages, for programs, in the sender's order.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

impl Name for RpcStatus {
    const PACKAGE: &'static str = "google.rpc";
    const NAME: &'static str = "Status";

    fn type_url() -> String {
        "type.googleapis.com/google.rpc.Status".to_owned()
    }
}

impl RpcStatus {
    /// Converts the message into the outcome of a call. Code 0 is success, whatever the other
    /// fields hold.
    ///
    /// Source: grpc-go `status.FromProto` and `Status.Err`.
    pub fn into_result(self) -> Result<(), Status> {
        match self.code {
            0 => Ok(()),
            _ => Err(Status::from_proto(self)),
        }
    }
}

impl Status {
    /// Creates a status from the message's code, text and details. As in [`Status::new`], code OK
    /// becomes INTERNAL. An unknown code becomes UNKNOWN.
    ///
    /// There is no `From` implementation, because a second one would make the error type of a `?`
    /// in an async block ambiguous.
    ///
    /// Source: grpc-go `status.FromProto`.
    #[must_use]
    pub fn from_proto(proto: RpcStatus) -> Self {
        let status = Self::new(Code::from_i32(proto.code), proto.message);
        status.with_all_details(proto.details)
    }

    /// Returns the failure as a `google.rpc.Status`. Details that are not an encoded
    /// `google.rpc.Status` are omitted.
    ///
    /// Source: grpc-go `Status.Proto`.
    #[must_use]
    pub fn to_proto(&self) -> RpcStatus {
        let details = RpcStatus::decode(self.details()).map(|proto| proto.details);
        RpcStatus {
            code: self.code().to_i32(),
            message: self.message().to_owned(),
            details: details.unwrap_or_default(),
        }
    }

    /// Appends a message to the details. Details that are not an encoded `google.rpc.Status` are
    /// replaced.
    ///
    /// Messages of generated code implement [`Name`] if the generator's option says so.
    /// [`with_any_detail`](Self::with_any_detail) is for other messages.
    ///
    /// Source: grpc-go `Status.WithDetails`.
    #[must_use]
    pub fn with_detail<M: Name>(self, detail: &M) -> Self {
        self.with_any_detail(Any {
            type_url: M::type_url(),
            value: detail.encode_to_vec(),
        })
    }

    /// Appends a packed message to the details, like [`with_detail`](Self::with_detail).
    #[must_use]
    pub fn with_any_detail(self, detail: Any) -> Self {
        let mut details = self.to_proto().details;
        details.push(detail);
        self.with_all_details(details)
    }

    /// Returns the first detail of this message type, or `None` without one.
    /// [`to_proto`](Self::to_proto) has all details.
    ///
    /// # Errors
    /// The detail's bytes are not a valid message of this type.
    ///
    /// Source: grpc-go `Status.Details`.
    pub fn detail<M: Name + Default>(&self) -> Result<Option<M>, prost::DecodeError> {
        let details = self.to_proto().details;
        let detail = details.iter().find(|detail| is_a::<M>(&detail.type_url));
        detail.map(|detail| M::decode(&*detail.value)).transpose()
    }

    /// Sets the details, encoded with the status's code and text.
    fn with_all_details(self, details: Vec<Any>) -> Self {
        if details.is_empty() {
            return self.with_details(Vec::new());
        }
        let proto = RpcStatus {
            code: self.code().to_i32(),
            message: self.message().to_owned(),
            details,
        };
        self.with_details(proto.encode_to_vec())
    }

    /// Creates the status of a received failure. `details` is the value of
    /// `grpc-status-details-bin`.
    ///
    /// If the code in the details differs from `code`, the server contradicts itself and the status
    /// is INTERNAL. A text in the details replaces `message`. Details that are not an encoded
    /// `google.rpc.Status` are kept for [`details`](Self::details).
    ///
    /// Source: grpc-go `internal/status.NewWithProto`, which drops such details and always uses the
    /// text of the details.
    pub(crate) fn received(
        code: Code,
        message: String,
        details: Bytes,
        metadata: Metadata,
    ) -> Self {
        let message = match RpcStatus::decode(&*details) {
            Ok(_) if details.is_empty() => message,
            Ok(proto) if Code::from_i32(proto.code) != code => {
                return Self::internal(format!(
                    "the server contradicts itself: grpc-status is {code} ({message:?}), the code in \
                     grpc-status-details-bin is {} ({:?})",
                    Code::from_i32(proto.code),
                    proto.message
                ))
                .with_metadata(metadata);
            }
            Ok(proto) if !proto.message.is_empty() => proto.message,
            Ok(_) | Err(_) => message,
        };
        Self::new(code, message)
            .with_details(details)
            .with_metadata(metadata)
            .with_origin(Origin::Trailers)
    }
}

/// Returns whether a type URL names the message `M`. The name is the part after the last slash.
fn is_a<M: Name>(type_url: &str) -> bool {
    type_url
        .rsplit_once('/')
        .is_some_and(|(_, name)| name == M::full_name())
}

#[cfg(test)]
mod tests {
    use prost_types::{Duration, Timestamp};

    use super::*;

    const DURATION: Duration = Duration {
        seconds: 1,
        nanos: 2,
    };

    #[test]
    fn details_keep_their_order_and_are_found_by_type() {
        let at = Timestamp {
            seconds: 3,
            nanos: 0,
        };
        let status = Status::aborted("no")
            .with_detail(&DURATION)
            .with_detail(&at);
        let proto = status.to_proto();
        assert_eq!((proto.code, &*proto.message), (10, "no"));
        assert_eq!(proto.details.len(), 2);
        assert_eq!(RpcStatus::decode(status.details()), Ok(proto.clone()));
        assert_eq!(status.detail(), Ok(Some(DURATION)));
        assert_eq!(status.detail(), Ok(Some(at)));
        assert_eq!(status.detail::<Any>(), Ok(None));
        assert_eq!(Status::from_proto(proto).details(), status.details());
    }

    #[test]
    fn an_undecodable_detail_is_an_error() {
        let broken = Any {
            type_url: "example.com/google.protobuf.Duration".to_owned(),
            value: vec![0xff],
        };
        let status = Status::aborted("").with_any_detail(broken);
        assert!(status.detail::<Duration>().is_err());
    }

    #[test]
    fn a_status_without_details_sends_none() {
        let proto = RpcStatus {
            code: 5,
            message: "gone".to_owned(),
            details: Vec::new(),
        };
        let status = Status::from_proto(proto.clone());
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.details().is_empty());
        assert_eq!(status.to_proto(), proto);
    }

    #[test]
    fn code_0_is_success_as_a_result_and_internal_as_a_status() {
        let proto = RpcStatus {
            message: "fine".to_owned(),
            ..RpcStatus::default()
        };
        assert!(proto.clone().into_result().is_ok());
        assert_eq!(Status::from_proto(proto).code(), Code::Internal);
        let failed = |code| RpcStatus {
            code,
            ..RpcStatus::default()
        };
        for (number, code) in [
            (5, Code::NotFound),
            (99, Code::Unknown),
            (-1, Code::Unknown),
        ] {
            let status = failed(number).into_result().expect_err("a failure");
            assert_eq!(status.code(), code);
        }
    }

    #[test]
    fn undecodable_details_are_kept_as_bytes_until_a_detail_is_added() {
        let status = Status::aborted("no").with_details(&b"\xff"[..]);
        assert_eq!(status.details(), b"\xff");
        assert!(status.to_proto().details.is_empty());
        let status = status.with_detail(&DURATION);
        assert_eq!(status.to_proto().details.len(), 1);
    }

    #[test]
    fn a_received_status_agrees_with_its_details_or_is_internal() {
        let proto = |code, message: &str| {
            let message = message.to_owned();
            let details = vec![Any::from_msg(&DURATION).expect("it can be encoded")];
            let proto = RpcStatus {
                code,
                message,
                details,
            };
            proto.encode_to_vec()
        };
        for (details, code, message, kept) in [
            (proto(5, "details"), Code::NotFound, "details", true),
            (proto(5, ""), Code::NotFound, "header", true),
            (b"\xff".to_vec(), Code::NotFound, "header", true),
            (Vec::new(), Code::NotFound, "header", true),
            (proto(6, "details"), Code::Internal, "", false),
            (proto(0, "details"), Code::Internal, "", false),
        ] {
            let metadata = Metadata::from_pairs([("x-a", "1")]).expect("valid");
            let header = "header".to_owned();
            let status = Status::received(Code::NotFound, header, details.clone().into(), metadata);
            assert_eq!(status.code(), code, "{status}");
            assert_eq!(status.details() == details, kept, "{status}");
            assert_eq!(status.metadata().get("x-a"), Some("1"));
            if kept {
                assert_eq!(status.message(), message);
            } else {
                assert!(status.message().contains("NOT_FOUND"), "{status}");
                assert!(status.message().contains("header"), "{status}");
            }
        }
    }
}
