//! The outcome of a call: [`Code`] and [`Status`].
//!
//! A [`Status`] is always a failure; success is the `Ok` of a `Result<_, Status>`. Both sides use
//! the same type: a handler returns it, and a stub's future yields it.

mod code;
mod message;
mod rpc_status;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::error_text::write_causes;
use crate::metadata::Metadata;

pub use code::Code;
pub(crate) use message::{decode_message, encode_message};
pub use rpc_status::RpcStatus;

/// The failure of a call: a code, a text, optional details, and trailers.
///
/// It is one word wide, so that `Result<T, Status>` is small. Its code is never [`Code::Ok`]. Its
/// local cause is available by [`Error::source`] and is not sent.
///
/// # The failure of an upstream
///
/// A handler can return the failure of its own call to an upstream, for example by `?`. The code,
/// the text and the details are passed on. The trailers of the upstream are not sent, because they
/// concern only the upstream and this service. For example, `grpc-retry-pushback-ms` would tell
/// this service's client when to retry. [`Metadata::forward`] selects trailers to send. grpc-go
/// makes the same distinction: an error that a handler returns carries a `google.rpc.Status` and no
/// trailers.
///
/// # A failure that is larger than the client takes
///
/// A client can limit the size of header lists (SETTINGS_MAX_HEADER_LIST_SIZE; RFC 9113, section
/// 6.5.2). A handler's failure over the limit keeps its code. The rest is reduced in this order,
/// until it fits:
///
/// 1. the text is shortened to 1 KiB,
/// 2. the details are dropped,
/// 3. the metadata is dropped,
/// 4. the text is shortened to the remaining size, possibly to nothing.
///
/// A shortened text ends with `... (shortened)`. Header metadata over the limit is dropped before a
/// failure. A success whose header metadata or trailers exceed the limit becomes INTERNAL, because
/// they would be lost silently otherwise. The text names the client's limit. If the limit leaves no
/// space even for a code, the stream is reset with INTERNAL_ERROR, as grpc-go does in all of these
/// cases.
///
/// Source: `google.rpc.Status`; grpc-go's package `status`.
#[derive(Clone)]
pub struct Status(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: Code,
    message: Cow<'static, str>,
    details: Bytes,
    metadata: Metadata,
    source: Option<Arc<dyn Error + Send + Sync>>,
    origin: Origin,
}

/// The party that has ended a client's call with a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This program.
    Here,
    /// The peer, by its trailers.
    Trailers,
    /// The peer, by a reset of the stream.
    Reset,
    /// The call's deadline, on this side.
    Deadline,
    /// The connection, which could not be made or was lost.
    Connection,
}

impl Status {
    /// Creates a failure with this code and this text.
    ///
    /// [`Code::Ok`] is not a failure: it becomes [`Code::Internal`], and the text says so.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        let (code, message) = match code {
            Code::Ok => (
                Code::Internal,
                Cow::Owned(format!("a failure was reported with code OK: {message}")),
            ),
            code => (code, message),
        };
        Self(Box::new(Inner {
            code,
            message,
            details: Bytes::new(),
            metadata: Metadata::new(),
            source: None,
            origin: Origin::Here,
        }))
    }

    /// Creates a failure from an error, which becomes the text and the source.
    #[must_use]
    pub fn from_error(code: Code, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self::new(code, error.to_string()).with_source(error)
    }

    /// Returns the code, which is never [`Code::Ok`].
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns the text, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the value of `grpc-status-details-bin`: an encoded `google.rpc.Status`, or nothing.
    /// [`detail`](Self::detail) and [`to_proto`](Self::to_proto) decode it.
    #[must_use]
    pub fn details(&self) -> &[u8] {
        &self.0.details
    }

    /// Returns the trailers: on a client the received ones, in a handler those to send.
    ///
    /// Received trailers are not sent when a handler returns the failure of its upstream; see
    /// [`Metadata::forward`].
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// Returns the trailers for modification.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.0.metadata
    }

    /// Converts this status into that of a call that failed on this side before it was sent. Codes
    /// that only a server's application may use become INTERNAL.
    ///
    /// Source: gRFC A54.
    #[must_use]
    pub(crate) fn into_control_plane_failure(self) -> Self {
        if !self.code().is_for_applications() {
            return self;
        }
        let text = format!(
            "the client's control plane failed the call with {}: {}",
            self.code(),
            self.message()
        );
        let origin = self.origin();
        Self::internal(text).with_source(self).with_origin(origin)
    }

    /// Sets the value of `grpc-status-details-bin`: an encoded `google.rpc.Status`. Default: none.
    ///
    /// Its code must be that of this status, because clients treat a contradiction as a failure of
    /// the server. [`with_detail`](Self::with_detail) encodes details. Details over a client's
    /// [header list limit](Self#a-failure-that-is-larger-than-the-client-takes) are not sent.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Bytes>) -> Self {
        self.0.details = details.into();
        self
    }

    /// Sets the trailers of the failure. Default: none.
    ///
    /// Trailers over a client's [header list
    /// limit](Self#a-failure-that-is-larger-than-the-client-takes) are not sent.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.0.metadata = metadata;
        self
    }

    /// Sets the cause of the failure, for [`Error::source`]. It is not sent to the peer.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    /// Sets a cause that several failures share, like [`with_source`](Self::with_source).
    #[must_use]
    pub(crate) fn with_shared_source(
        mut self,
        source: Option<Arc<dyn Error + Send + Sync>>,
    ) -> Self {
        self.0.source = source;
        self
    }

    /// Creates an UNAVAILABLE status with this text and this failure's source.
    #[must_use]
    pub(crate) fn to_unavailable(&self, text: impl Into<Cow<'static, str>>) -> Self {
        Self::unavailable(text).with_shared_source(self.0.source.clone())
    }

    /// Replaces the text.
    #[must_use]
    pub(crate) fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Sets the party that has ended the call. Default: this program.
    #[must_use]
    pub(crate) fn with_origin(mut self, origin: Origin) -> Self {
        self.0.origin = origin;
        self
    }

    pub(crate) fn origin(&self) -> Origin {
        self.0.origin
    }

    pub(crate) fn take_metadata(&mut self) -> Metadata {
        std::mem::take(&mut self.0.metadata)
    }
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:ident,)*) => {
        impl Status {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
                    Self::new(Code::$code, message)
                }
            )*
        }
    };
}

constructors! {
    /// [`Code::Cancelled`] with this text.
    cancelled => Cancelled,
    /// [`Code::Unknown`] with this text.
    unknown => Unknown,
    /// [`Code::InvalidArgument`] with this text.
    invalid_argument => InvalidArgument,
    /// [`Code::DeadlineExceeded`] with this text.
    deadline_exceeded => DeadlineExceeded,
    /// [`Code::NotFound`] with this text.
    not_found => NotFound,
    /// [`Code::AlreadyExists`] with this text.
    already_exists => AlreadyExists,
    /// [`Code::PermissionDenied`] with this text.
    permission_denied => PermissionDenied,
    /// [`Code::ResourceExhausted`] with this text.
    resource_exhausted => ResourceExhausted,
    /// [`Code::FailedPrecondition`] with this text.
    failed_precondition => FailedPrecondition,
    /// [`Code::Aborted`] with this text.
    aborted => Aborted,
    /// [`Code::OutOfRange`] with this text.
    out_of_range => OutOfRange,
    /// [`Code::Unimplemented`] with this text.
    unimplemented => Unimplemented,
    /// [`Code::Internal`] with this text.
    internal => Internal,
    /// [`Code::Unavailable`] with this text.
    unavailable => Unavailable,
    /// [`Code::DataLoss`] with this text.
    data_loss => DataLoss,
    /// [`Code::Unauthenticated`] with this text.
    unauthenticated => Unauthenticated,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())
    }
}

/// Writes the text, the details' length, the trailers and the causes. A `main` that returns a
/// status prints this.
impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if !self.0.details.is_empty() {
            write!(f, "; details: {} bytes", self.0.details.len())?;
        }
        if !self.0.metadata.is_empty() {
            write!(f, "; trailers: {:?}", self.0.metadata)?;
        }
        write_causes(self, f)
    }
}

impl Error for Status {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_and_its_result_are_one_word_wide() {
        assert_eq!(size_of::<Status>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Status>>(), size_of::<usize>());
    }

    #[test]
    fn a_status_is_never_ok() {
        let status = Status::new(Code::Ok, "fine");
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(
            status.message(),
            "a failure was reported with code OK: fine"
        );
    }

    #[test]
    fn the_debug_form_is_the_text_with_trailers_and_causes() {
        let status = Status::not_found("no feature there");
        assert_eq!(format!("{status:?}"), "NOT_FOUND: no feature there");

        let mut trailers = Metadata::new();
        trailers.insert("shard", "7").expect("valid");
        let status = status
            .with_details(&b"abc"[..])
            .with_metadata(trailers)
            .with_source(std::io::Error::other("cable unplugged"));
        assert_eq!(
            format!("{status:?}"),
            "NOT_FOUND: no feature there; details: 3 bytes; trailers: {\"shard\": b\"7\"}\n\n\
             Caused by:\n    cable unplugged"
        );
    }

    #[test]
    fn a_status_keeps_its_source() {
        let status =
            Status::from_error(Code::Unavailable, std::io::Error::other("cable unplugged"));
        assert_eq!(status.message(), "cable unplugged");
        let source = Error::source(&status).expect("a source");
        assert!(source.downcast_ref::<std::io::Error>().is_some());
    }
}
