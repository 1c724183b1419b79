//! A client's call as its interceptors see it.
//!
//! Created by the channel when a chain begins; changed by interceptors, in the caller's future.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::{ReplyFuture, TypedCall};
use crate::call::{CallContext, CallOptions, Extensions, MethodName};
use crate::descriptor::MethodDescriptor;
use crate::interceptor::{CallKind, CallOutcome, MessageInterceptor};
use crate::metadata::Metadata;

/// A call that a client makes, before it is sent, in an interceptor.
///
/// The changes of an interceptor are seen by the interceptors after it, and by the channel. A clone
/// is for [another run](super::ClientNext::run): the clones share the request and the
/// [end](Self::on_end) of the call.
///
/// A unary call's request is not shown here, but to a
/// [message interceptor](Self::intercept_messages).
///
/// Source: the arguments of grpc-go's interceptors; connect-go `AnyRequest`.
#[derive(Clone)]
pub struct OutgoingCall {
    /// Boxed, because a call is moved into and out of the future of each interceptor.
    pub(super) head: Box<CallHead>,
    pub(super) typed: Arc<dyn TypedCall>,
}

/// The part of a call that interceptors see and change.
#[derive(Clone)]
pub(crate) struct CallHead {
    pub(crate) method: MethodName,
    pub(crate) kind: CallKind,
    pub(crate) options: CallOptions,
}

impl OutgoingCall {
    /// Creates the call that a chain begins with.
    #[inline]
    pub(crate) fn new(
        method: MethodName,
        kind: CallKind,
        options: CallOptions,
        typed: Arc<dyn TypedCall>,
    ) -> Self {
        Self {
            head: Box::new(CallHead {
                method,
                kind,
                options,
            }),
            typed,
        }
    }

    /// Makes the call.
    pub(super) fn start(self) -> ReplyFuture {
        self.typed.start(*self.head)
    }

    /// The method's full name: `/package.Service/Method`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.head.method
    }

    /// The service's full name in the [method](Self::method)'s: `package.Service`; empty if that is
    /// malformed.
    #[must_use]
    pub fn service_name(&self) -> &str {
        self.names().map_or("", |(service, _)| service)
    }

    /// The method's name without its service's; empty if the [method](Self::method)'s full name is
    /// malformed.
    #[must_use]
    pub fn method_name(&self) -> &str {
        self.names().map_or("", |(_, method)| method)
    }

    fn names(&self) -> Option<(&str, &str)> {
        self.head.method.strip_prefix('/')?.rsplit_once('/')
    }

    /// The kind of the call: as its stub has set it. A call of
    /// [`Invoke::invoke`](crate::Invoke::invoke) without a stub is unary. One of
    /// [`Invoke::new_stream`](crate::Invoke::new_stream) has the kind in the
    /// [descriptor](Self::descriptor); without a descriptor, or with that of a unary method, it
    /// counts as bidirectional.
    #[must_use]
    pub fn kind(&self) -> CallKind {
        self.head.kind
    }

    /// The descriptor of the method and its service: that of the stub that makes the call. `None`
    /// for a call that is made by the method's name alone.
    #[must_use]
    pub fn descriptor(&self) -> Option<MethodDescriptor<'_>> {
        self.head.method.descriptor()
    }

    /// The time at which the call ends with DEADLINE_EXCEEDED; `None`: never. A `timeout` of the
    /// service config may make it earlier.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.head.options.deadline()
    }

    /// The request's header metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        self.head.options.metadata()
    }

    /// The request's header metadata, mutable.
    #[must_use]
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        self.head.options.metadata_mut()
    }

    /// The options of the call: its user's, completed by the channel's default options.
    #[must_use]
    pub fn options(&self) -> &CallOptions {
        &self.head.options
    }

    /// The options of the call, mutable.
    #[must_use]
    pub fn options_mut(&mut self) -> &mut CallOptions {
        &mut self.head.options
    }

    /// The typed values of the call: those of its user and of interceptors.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        self.head.options.extensions()
    }

    /// The typed values of the call, mutable.
    #[must_use]
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.head.options.extensions_mut()
    }

    /// The call in whose handler this one is made, if there is one.
    #[must_use]
    pub fn parent(&self) -> Option<&CallContext> {
        self.head.options.parent()
    }

    /// Adds a function that is called once, at the end of the call for its caller, whatever the
    /// number of runs: with the status, the trailers and the party that has ended the call.
    /// Functions that are added later are called earlier.
    ///
    /// A unary call ends when its future is ready or dropped; another when its end has been
    /// received, or when the receiving half is dropped. It is called on the task that ends the
    /// call, and must not block. A panic in it is logged. A function that is added after the end is
    /// not called.
    ///
    /// ```
    /// use rgrpc::{ClientNext, ClientReply, OutgoingCall, Status};
    ///
    /// async fn log(call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
    ///     let method = call.method().to_owned();
    ///     call.on_end(move |outcome| {
    ///         println!("{method}: {:?}, by the {}", outcome.code(), outcome.ended_by());
    ///     });
    ///     next.run(call).await
    /// }
    /// # let _ = rgrpc::ClientConn::builder("a", rgrpc::credentials::insecure()).interceptor(log);
    /// ```
    pub fn on_end(&self, hook: impl FnOnce(&CallOutcome<'_>) + Send + 'static) {
        self.typed.end().on_end(Box::new(hook));
    }

    /// Wraps both halves of the call: the interceptor sees each message that is sent and received.
    /// See [`MessageInterceptor`].
    ///
    /// A retry or a hedge does not show a message again.
    pub fn intercept_messages(&mut self, interceptor: impl MessageInterceptor) {
        self.head.options.intercept_messages(interceptor);
    }
}

impl fmt::Debug for OutgoingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingCall")
            .field("method", &self.head.method)
            .field("kind", &self.head.kind)
            .field("options", &self.head.options)
            .finish_non_exhaustive()
    }
}
