//! How a call ends: [`Code`] and [`Status`].
//!
//! A [`Status`] is always a failure; success is `Ok(…)` of a `Result<_, Status>`. Both sides use
//! the same type: a handler returns one, a stub's future yields one.

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

/// Why a call failed: a code, a text, optional details, and the trailers that came with them.
///
/// One word wide, so that `Result<T, Status>` is as cheap as `T` allows. Its code is never
/// [`Code::Ok`]. What caused it on this side is kept as [`Error::source`]; it is not sent.
///
/// # The failure of an upstream
///
/// A handler that returns the failure of a call that it has made, as `?` does, passes on the code,
/// the text and the details: they are the failure. The trailers that came with it are not sent,
/// because they are between the upstream and this service: `grpc-retry-pushback-ms` among them
/// would tell this service's client when to retry. [`Metadata::forward`] is for those that should
/// be. grpc-go divides them in the same way: an error that a handler returns carries
/// `google.rpc.Status`, and no trailers.
///
/// # A failure that is larger than the client takes
///
/// A client can limit the header lists that it takes (SETTINGS_MAX_HEADER_LIST_SIZE; RFC 9113,
/// section 6.5.2). A handler's failure that does not fit keeps its code. What goes with it is left
/// out in this order, until the rest fits:
///
/// 1. the text is shortened to 1 KiB,
/// 2. the details are dropped,
/// 3. the metadata is dropped,
/// 4. the text is shortened to what there is room for, which may be nothing.
///
/// A text that was shortened ends with `... (shortened)`. Header metadata that does not fit is
/// dropped before a failure. A success whose header metadata or trailers do not fit becomes
/// INTERNAL with a text that names the client's limit, because they would be lost without a word
/// otherwise. The stream of a client whose limit has no room for a code is reset with
/// INTERNAL_ERROR, as grpc-go does in all of these cases.
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
}

impl Status {
    /// A failure with this code and this text.
    ///
    /// A failure cannot be OK: [`Code::Ok`] becomes [`Code::Internal`] and the text says so.
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
        }))
    }

    /// A failure caused by `error`, whose text becomes the message and which is kept as the source.
    #[must_use]
    pub fn from_error(code: Code, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self::new(code, error.to_string()).with_source(error)
    }

    /// The code; never [`Code::Ok`].
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The text, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The bytes of `grpc-status-details-bin`: an encoded `google.rpc.Status`, or empty.
    /// [`detail`](Self::detail) and [`to_proto`](Self::to_proto) decode them.
    #[must_use]
    pub fn details(&self) -> &[u8] {
        &self.0.details
    }

    /// The trailers that came with the failure, or, in a handler, that go with it.
    ///
    /// Those that came with it stay behind when a handler returns the failure of its upstream; see
    /// [`Metadata::forward`].
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// The trailers, to be changed.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.0.metadata
    }

    /// The status for a call that failed before it was sent, for a reason on this side: codes that
    /// only a server's application may use become INTERNAL.
    ///
    /// Source: gRFC A54.
    #[must_use]
    pub(crate) fn of_control_plane(self) -> Self {
        if !self.code().is_for_applications() {
            return self;
        }
        let text = format!(
            "the client's control plane failed the call with {}: {}",
            self.code(),
            self.message()
        );
        Self::internal(text).with_source(self)
    }

    /// Sets the bytes of `grpc-status-details-bin`: an encoded `google.rpc.Status`, whose code must
    /// be that of this status, because clients take a contradiction for a failure of the server.
    /// Default: none. [`with_detail`](Self::with_detail) encodes them. They are not sent to a
    /// client whose header lists [have no
    /// room](Self#a-failure-that-is-larger-than-the-client-takes) for them.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Bytes>) -> Self {
        self.0.details = details.into();
        self
    }

    /// Sets the trailers that go with the failure. Default: none. They are not sent to a client
    /// whose header lists [have no room](Self#a-failure-that-is-larger-than-the-client-takes) for
    /// them.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.0.metadata = metadata;
        self
    }

    /// Keeps what caused the failure, for [`Error::source`]. It is not sent to the peer.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    /// As [`with_source`](Self::with_source), for a cause that other failures have as well.
    #[must_use]
    pub(crate) fn with_shared_source(
        mut self,
        source: Option<Arc<dyn Error + Send + Sync>>,
    ) -> Self {
        self.0.source = source;
        self
    }

    /// UNAVAILABLE with this text and the source of this failure.
    #[must_use]
    pub(crate) fn retold(&self, text: impl Into<Cow<'static, str>>) -> Self {
        Self::unavailable(text).with_shared_source(self.0.source.clone())
    }

    /// The same failure with another text.
    #[must_use]
    pub(crate) fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = message.into();
        self
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

/// The text, what else came with it, and the causes: a `main` that returns a status prints this.
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
    fn a_status_is_one_word_wide_and_so_is_a_result_of_it() {
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
    fn a_status_keeps_what_caused_it() {
        let status =
            Status::from_error(Code::Unavailable, std::io::Error::other("cable unplugged"));
        assert_eq!(status.message(), "cable unplugged");
        let source = Error::source(&status).expect("a source");
        assert!(source.downcast_ref::<std::io::Error>().is_some());
    }
}
