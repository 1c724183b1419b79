use bytes::Bytes;
use prost::{Message, Name};
use prost_types::Any;

use super::{Code, Status};
use crate::metadata::Metadata;

/// The message `google.rpc.Status`: a code, a text, and messages with more about a failure.
///
/// In gRPC it is the content of `grpc-status-details-bin`; other protocols and APIs carry it as a
/// message. It is the same type for generated code, if that is told so:
/// `extern_path(".google.rpc.Status", "::rgrpc::RpcStatus")`.
///
/// A [`Status`] converts into it by [`Status::to_proto`], and it into a `Status` by
/// [`Status::from_proto`], where code OK becomes INTERNAL, or by
/// [`into_result`](Self::into_result).
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
    /// The number of a [`Code`]; 0 is OK.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// The text, for people.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Messages for programs, in an order that the sender chooses.
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
    /// The outcome that it stands for: a code of 0 is success, whatever else is there.
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
    /// A status with this code, this text and these details. As in [`Status::new`], code OK becomes
    /// INTERNAL. An unknown code becomes UNKNOWN.
    ///
    /// There is no `From`, because a second one would leave the error type of a `?` in an async
    /// block open.
    ///
    /// Source: grpc-go `status.FromProto`.
    #[must_use]
    pub fn from_proto(proto: RpcStatus) -> Self {
        let status = Self::new(Code::from_i32(proto.code), proto.message);
        status.with_all_details(proto.details)
    }

    /// The failure as a `google.rpc.Status`. Details that are not an encoded `google.rpc.Status`
    /// are left out.
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

    /// Adds a message to the details. Details that are not an encoded `google.rpc.Status` are
    /// replaced.
    ///
    /// Messages of generated code have a [`Name`] if the generator is told so;
    /// [`with_any_detail`](Self::with_any_detail) is for others.
    ///
    /// Source: grpc-go `Status.WithDetails`.
    #[must_use]
    pub fn with_detail<M: Name>(self, detail: &M) -> Self {
        self.with_any_detail(Any {
            type_url: M::type_url(),
            value: detail.encode_to_vec(),
        })
    }

    /// As [`with_detail`](Self::with_detail), with a message that is packed already.
    #[must_use]
    pub fn with_any_detail(self, detail: Any) -> Self {
        let mut details = self.to_proto().details;
        details.push(detail);
        self.with_all_details(details)
    }

    /// The first of the details that is a message of this type; `None`: there is none.
    /// [`to_proto`](Self::to_proto) has all details.
    ///
    /// # Errors
    /// The bytes of that detail are not a message of this type.
    ///
    /// Source: grpc-go `Status.Details`.
    pub fn detail<M: Name + Default>(&self) -> Result<Option<M>, prost::DecodeError> {
        let details = self.to_proto().details;
        let detail = details.iter().find(|detail| is_a::<M>(&detail.type_url));
        detail.map(|detail| M::decode(&*detail.value)).transpose()
    }

    /// Sets the details, with the code and the text that go with them.
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

    /// The status of a failure that came with `details`, the bytes of `grpc-status-details-bin`.
    ///
    /// The code and the text of the details are those of the status: if the codes differ, the
    /// server contradicts itself, and the status is INTERNAL; a text of the details replaces
    /// `message`. Details that are not an encoded `google.rpc.Status` are kept for
    /// [`details`](Self::details).
    ///
    /// Source: grpc-go `internal/status.NewWithProto`, which drops such details, and a `message`
    /// without one in the details.
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
    }
}

/// Returns whether a detail of this type URL is an `M`: the name after the last slash decides.
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
    fn details_are_added_in_order_and_found_by_their_type() {
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
    fn a_detail_that_is_no_message_of_its_type_is_an_error() {
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
    fn code_zero_is_success_or_an_internal_failure() {
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
    fn details_that_are_no_status_are_kept_as_bytes_and_replaced_by_messages() {
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
