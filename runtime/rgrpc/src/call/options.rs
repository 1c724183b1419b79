//! The options of a call.
//!
//! Set by the call builders and by interceptors, on the caller's task; resolved by the channel when
//! the call begins.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::handed_recorders::{BegunRecorders, HandedRecorders};
use super::on_finish::{FinishHooks, OnFinish};
use super::request::Outgoing;
use super::response_info::ResponseInfo;
use super::selected_call::SelectedCall;
use super::{CallContext, CancelHandle, Extensions, MethodName};
use crate::codec::{DEFAULT_MAX_RECEIVE, DEFAULT_MAX_SEND};
use crate::credentials::PerRpcCredentials;
use crate::interceptor::{CallKind, MessageInterceptor, MessageInterceptors};
use crate::later;
use crate::metadata::Metadata;
use crate::status::Status;

/// The default number of bytes of messages that a streaming call keeps for retries.
pub(crate) const DEFAULT_MAX_RETRY_BUFFER: usize = 256 * 1024;

/// The options of a call: those of grpc-go's call options and of its context.
///
/// The call builders set these; an [`Invoke`](super::Invoke) receives them.
///
/// # For users of grpc-go
///
/// A call's options are set by the methods of the [`Call`] that a stub returns, before it is
/// awaited:
///
/// | grpc-go's `CallOption` | here |
/// |---|---|
/// | `WaitForReady` | [`Call::wait_for_ready`] |
/// | `FailFast` (deprecated) | none: it is the default |
/// | `Header`, `Trailer` | [`Call::response_info`]; also [`Response::metadata`], [`Response::trailer`]; [`RecvStream::header`], [`RecvStream::trailer`]; of a failure [`Status::metadata`] |
/// | `Peer` | [`Call::response_info`]; also [`Response::peer`], [`RecvStream::peer`] |
/// | `MaxCallRecvMsgSize` | [`Call::max_receive_message_size`] |
/// | `MaxCallSendMsgSize` | [`Call::max_send_message_size`] |
/// | `PerRPCCredentials` | [`Call::per_rpc_credentials`] |
/// | `UseCompressor` | [`Call::compressor`] |
/// | `experimental.AcceptCompressors` | [`Call::accept_compressors`] |
/// | `CallContentSubtype`, `ForceCodec`, `ForceCodecV2`, `CallCustomCodec` (deprecated) | none: the codec is a type that the method is called with, and its [`NAME`] the content-subtype |
/// | `OnFinish` | [`Call::on_finish`] |
/// | `CallAuthority` | [`Call::authority`] |
/// | `MaxRetryRPCBufferSize` | [`Call::max_retry_buffer_size`] |
/// | `StaticMethod` | none: the [`MethodName`] of a stub and a `&'static str` are static ([`MethodName::is_static`]) |
/// | `PreparedMsg` | [`PreparedMessage`] |
/// | of the context: its deadline | [`Call::timeout`], [`Call::deadline`] |
/// | of the context: `metadata.AppendToOutgoingContext` | [`Call::metadata`], [`Call::merge_metadata`] |
/// | of the context: that of the request that is being served | [`Call::on_behalf_of`] |
/// | of the context: its values | [`Call::extension`], [`Request::extensions`]; never sent |
/// | of the context: its cancellation | [`Call::cancel_handle`]; dropping the call's future, or a half of its streams |
///
/// [`Call`]: super::Call
/// [`Call::wait_for_ready`]: super::Call::wait_for_ready
/// [`Call::max_receive_message_size`]: super::Call::max_receive_message_size
/// [`Call::max_send_message_size`]: super::Call::max_send_message_size
/// [`Call::per_rpc_credentials`]: super::Call::per_rpc_credentials
/// [`Call::cancel_handle`]: super::Call::cancel_handle
/// [`Call::compressor`]: super::Call::compressor
/// [`Call::accept_compressors`]: super::Call::accept_compressors
/// [`Call::extension`]: super::Call::extension
/// [`Call::on_finish`]: super::Call::on_finish
/// [`Request::extensions`]: super::Request::extensions
/// [`Call::authority`]: super::Call::authority
/// [`Call::response_info`]: super::Call::response_info
/// [`Call::max_retry_buffer_size`]: super::Call::max_retry_buffer_size
/// [`Call::timeout`]: super::Call::timeout
/// [`Call::deadline`]: super::Call::deadline
/// [`Call::metadata`]: super::Call::metadata
/// [`Call::merge_metadata`]: super::Call::merge_metadata
/// [`Call::on_behalf_of`]: super::Call::on_behalf_of
/// [`Response::metadata`]: super::Response::metadata
/// [`Response::trailer`]: super::Response::trailer
/// [`Response::peer`]: super::Response::peer
/// [`RecvStream::header`]: super::RecvStream::header
/// [`RecvStream::trailer`]: super::RecvStream::trailer
/// [`RecvStream::peer`]: super::RecvStream::peer
/// [`MethodName`]: super::MethodName
/// [`MethodName::is_static`]: super::MethodName::is_static
/// [`PreparedMessage`]: crate::PreparedMessage
/// [`NAME`]: crate::Codec::NAME
#[derive(Clone, Debug)]
pub struct CallOptions {
    pub(crate) metadata: Metadata,
    pub(crate) deadline: Option<Instant>,
    /// `None`, here and below: not set, so that a service config may set it.
    pub(crate) wait_for_ready: Option<bool>,
    pub(crate) max_receive_message_size: Option<usize>,
    pub(crate) max_send_message_size: Option<usize>,
    pub(crate) parent: Option<CallContext>,
    /// The first value that was refused, which fails the call.
    pub(crate) invalid: Option<Status>,
    /// The kind of the call, if its maker sets it.
    pub(crate) kind: Option<CallKind>,
    /// Boxed, so that calls that set none of them need no space for them: options are moved several
    /// times on the way.
    pub(crate) extra: Option<Box<ExtraOptions>>,
}

/// The options that few calls set.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExtraOptions {
    pub(crate) max_retry_buffer_size: Option<usize>,
    pub(crate) authority: Option<String>,
    pub(crate) compressor: Option<Cow<'static, str>>,
    pub(crate) accept_compressors: Option<Arc<[String]>>,
    pub(crate) credentials: CredentialsList,
    pub(crate) cancel_handle: Option<CancelHandle>,
    pub(crate) extensions: Extensions,
    pub(crate) on_finish: OnFinish,
    pub(crate) response_info: Vec<ResponseInfo>,
    pub(crate) messages: Option<Arc<MessageInterceptors>>,
    /// The selection of the channel's config selector.
    pub(crate) selected: Option<Arc<SelectedCall>>,
    /// The recorders of the call, for its first run behind the filters.
    pub(crate) handed_recorders: Option<Arc<HandedRecorders>>,
    /// Typed values of the layers around the channel, which its users do not see.
    pub(crate) carried: Extensions,
}

impl CallOptions {
    /// Creates the default options: no metadata, no deadline, fail-fast, at most 4 MiB in a
    /// received message and 2^31 − 1 bytes in a sent one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            metadata: Metadata::new(),
            deadline: None,
            wait_for_ready: None,
            max_receive_message_size: None,
            max_send_message_size: None,
            parent: None,
            invalid: None,
            kind: None,
            extra: None,
        }
    }

    /// Creates the default options of a call of this kind.
    pub(crate) const fn of_kind(kind: CallKind) -> Self {
        let mut options = Self::new();
        options.kind = Some(kind);
        options
    }

    /// The kind of a call that is not unary: as the stub has set it, else as the descriptor of the
    /// method says. Bidirectional if neither does, and if the method is unary.
    pub(crate) fn streaming_kind(&self, method: &MethodName) -> CallKind {
        let of_descriptor = || {
            let method = method.descriptor()?.method;
            let kind = CallKind::new(method.client_streams, method.server_streams);
            (kind != CallKind::Unary).then_some(kind)
        };
        let kind = self.kind.or_else(of_descriptor);
        kind.unwrap_or(CallKind::BidiStreaming)
    }

    /// Takes over the parts of a request but its message.
    pub(crate) fn take_over(&mut self, request: Outgoing) {
        self.metadata.merge(request.metadata.without_received());
        if let Some(deadline) = request.deadline {
            self.bound(deadline);
        }
        self.parent = request.parent;
        if !request.extensions.is_empty() {
            self.extensions_mut().merge(request.extensions);
        }
    }

    /// Sets the timeout of the whole call, streams included, from now. The earliest of several
    /// bounds holds. Default: none.
    pub fn timeout(&mut self, timeout: Duration) {
        if let Some(deadline) = later::deadline(Instant::now(), timeout) {
            self.bound(deadline);
        }
    }

    /// Sets the deadline of the whole call. The earliest of several bounds holds. Default: none.
    pub fn bound(&mut self, deadline: Instant) {
        self.deadline = Some(match self.deadline {
            Some(other) => other.min(deadline),
            None => deadline,
        });
    }

    /// The call's deadline, at which it fails with DEADLINE_EXCEEDED; `None` if it has none.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Sets whether the call waits for ready. Default: `waitForReady` of the service config, else
    /// false.
    ///
    /// A call that does not wait for ready fails with UNAVAILABLE when no connection can be made.
    /// Both kinds wait while the channel is connecting.
    ///
    /// Source: grpc-go `WaitForReady`.
    pub fn set_wait_for_ready(&mut self, wait_for_ready: bool) {
        self.wait_for_ready = Some(wait_for_ready);
    }

    /// See [`set_wait_for_ready`](Self::set_wait_for_ready).
    #[must_use]
    pub const fn wait_for_ready(&self) -> bool {
        matches!(self.wait_for_ready, Some(true))
    }

    /// Adds a metadata value. One that [`Metadata::append`] refuses fails the call with INTERNAL
    /// before anything is sent.
    pub fn append_metadata(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        if let Err(error) = self.metadata.append(key, value) {
            self.invalid
                .get_or_insert_with(|| Status::internal(format!("the request's {error}")));
        }
    }

    /// The metadata that goes before the messages.
    #[must_use]
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The metadata that goes before the messages, mutable.
    pub const fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// Sets the maximum size of a received message, in bytes. Default: 4 MiB.
    ///
    /// A larger message fails the call with RESOURCE_EXHAUSTED before it is buffered. The smaller
    /// of this and the service config's `maxResponseMessageBytes` holds.
    ///
    /// Source: grpc-go `MaxCallRecvMsgSize`.
    pub fn set_max_receive_message_size(&mut self, bytes: usize) {
        self.max_receive_message_size = Some(bytes);
    }

    /// See [`set_max_receive_message_size`](Self::set_max_receive_message_size).
    #[must_use]
    pub const fn max_receive_message_size(&self) -> usize {
        match self.max_receive_message_size {
            Some(bytes) => bytes,
            None => DEFAULT_MAX_RECEIVE,
        }
    }

    /// Sets the maximum size of a sent message, in bytes. Default: 2^31 − 1.
    ///
    /// A larger message fails the call with RESOURCE_EXHAUSTED. The smaller of this and the service
    /// config's `maxRequestMessageBytes` holds.
    ///
    /// Source: grpc-go `MaxCallSendMsgSize`.
    pub fn set_max_send_message_size(&mut self, bytes: usize) {
        self.max_send_message_size = Some(bytes);
    }

    /// See [`set_max_send_message_size`](Self::set_max_send_message_size).
    #[must_use]
    pub const fn max_send_message_size(&self) -> usize {
        match self.max_send_message_size {
            Some(bytes) => bytes,
            None => DEFAULT_MAX_SEND,
        }
    }

    /// Sets the maximum size of a streaming call's retry buffer, in bytes of messages with their
    /// five-byte prefixes. Default: 256 KiB.
    ///
    /// A call that has sent more is committed to the current attempt and is not retried; a hedged
    /// call is committed to its first attempt. A unary call keeps its message whatever its size.
    ///
    /// Source: grpc-go `MaxRetryRPCBufferSize`.
    pub fn set_max_retry_buffer_size(&mut self, bytes: usize) {
        self.extra_mut().max_retry_buffer_size = Some(bytes);
    }

    /// See [`set_max_retry_buffer_size`](Self::set_max_retry_buffer_size).
    #[must_use]
    pub fn max_retry_buffer_size(&self) -> usize {
        let extra = self.extra.as_ref();
        extra
            .and_then(|extra| extra.max_retry_buffer_size)
            .unwrap_or(DEFAULT_MAX_RETRY_BUFFER)
    }

    /// Sets the `:authority` of the request. Default: the channel's.
    ///
    /// With TLS, the certificate of the connection's server must be valid for its host, too;
    /// otherwise the call fails with UNAVAILABLE before anything is sent.
    ///
    /// Source: grpc-go `CallAuthority`; gRFC A81.
    pub fn set_authority(&mut self, authority: impl Into<String>) {
        self.extra_mut().authority = Some(authority.into());
    }

    /// See [`set_authority`](Self::set_authority); `None`: the channel's.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.extra.as_ref()?.authority.as_deref()
    }

    /// Sets the compressor of the request's messages: the channel's
    /// [compressor](crate::ClientConnBuilder::compressor) of this name. Default: none.
    ///
    /// `identity` means no compression, and overrides a compressor of the channel's defaults. If
    /// the channel has no such compressor, the call fails with INTERNAL before anything is sent; if
    /// the server has none, with UNIMPLEMENTED. Empty messages are never compressed.
    ///
    /// An attacker who chooses a part of a compressed message and sees its length can infer the
    /// rest of it (CRIME, BREACH): do not compress secrets together with data from others.
    ///
    /// Source: grpc-go `UseCompressor`.
    pub fn set_compressor(&mut self, name: impl Into<Cow<'static, str>>) {
        self.extra_mut().compressor = Some(name.into());
    }

    /// See [`set_compressor`](Self::set_compressor); `None`: no compression.
    #[must_use]
    pub fn compressor(&self) -> Option<&str> {
        self.extra.as_ref()?.compressor.as_deref()
    }

    /// Sets the encodings that a response may have, by the names of their compressors. Default: all
    /// compressors of the channel.
    ///
    /// `grpc-accept-encoding` lists them. A response in another encoding fails the call with
    /// INTERNAL; an uncompressed one is always accepted. No names: no compression is accepted. If
    /// the channel lacks one of these compressors, the call fails with INVALID_ARGUMENT before
    /// anything is sent.
    ///
    /// Source: grpc-go `experimental.AcceptCompressors`.
    pub fn set_accept_compressors<N: Into<String>>(&mut self, names: impl IntoIterator<Item = N>) {
        let names = names.into_iter().map(Into::into).collect();
        self.extra_mut().accept_compressors = Some(names);
    }

    /// See [`set_accept_compressors`](Self::set_accept_compressors); `None`: all of the channel.
    pub(crate) fn accept_compressors(&self) -> Option<&Arc<[String]>> {
        self.extra.as_ref()?.accept_compressors.as_ref()
    }

    /// Adds per-RPC credentials, after those of the channel and those that were added before.
    /// Default: none. If they need transport security and the channel has none, the call fails with
    /// UNAUTHENTICATED.
    ///
    /// Source: grpc-go `PerRPCCredentials`.
    pub fn per_rpc_credentials(&mut self, credentials: impl PerRpcCredentials) {
        self.extra_mut().credentials.0.push(Arc::new(credentials));
    }

    /// Sets the handle that ends the call with CANCELLED; see [`CancelHandle`]. The last one that
    /// is set holds. Default: none.
    ///
    /// Source: grpc-go's `context.WithCancel` around a call.
    pub fn set_cancel_handle(&mut self, handle: &CancelHandle) {
        self.extra_mut().cancel_handle = Some(handle.clone());
    }

    /// See [`set_cancel_handle`](Self::set_cancel_handle); `None`: not set.
    #[must_use]
    pub fn cancel_handle(&self) -> Option<&CancelHandle> {
        self.extra.as_ref()?.cancel_handle.as_ref()
    }

    /// The typed values for the layers in front of the channel, such as an
    /// [`Invoke`](super::Invoke) that passes the call on; see [`Extensions`]. The channel itself
    /// does not read them.
    pub fn extensions(&self) -> &Extensions {
        static NONE: Extensions = Extensions::new();
        self.extra.as_ref().map_or(&NONE, |extra| &extra.extensions)
    }

    /// The typed values of [`extensions`](Self::extensions), mutable.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extra_mut().extensions
    }

    /// Adds a hook that runs once when a call with these options ends, after the hooks added
    /// before. Default: none.
    ///
    /// The hook gets the call's status, which is CANCELLED for a call that its caller dropped. It
    /// does not run for a call that is dropped before it is first polled, because that call never
    /// began. It runs on the task that ends the call, and must not block.
    ///
    /// A unary call ends when its future is ready. A streaming call ends when its end has been
    /// received, or when the receiving half is dropped.
    ///
    /// Source: grpc-go `OnFinish`.
    pub fn on_finish(&mut self, hook: impl Fn(Result<(), &Status>) + Send + Sync + 'static) {
        self.extra_mut().on_finish.push(hook);
    }

    /// Fills `info` in with the header metadata, the trailers and the peer of the call, on success
    /// and on failure. Several handles may be given. Those of a channel's default options are of no
    /// use: a handle is for one call. Default: none.
    ///
    /// Source: grpc-go `Header`, `Trailer`, `Peer`.
    pub fn response_info(&mut self, info: &ResponseInfo) {
        self.extra_mut().response_info.push(info.clone());
    }

    /// Adds an interceptor of the call's messages, inside of those that are there: nearer to the
    /// server.
    pub(crate) fn intercept_messages(&mut self, interceptor: impl MessageInterceptor) {
        let messages = self.extra_mut().messages.get_or_insert_default();
        Arc::make_mut(messages).push_front(interceptor);
    }

    /// Sets the selection of the channel's config selector.
    pub(super) fn set_selected(&mut self, selected: Arc<SelectedCall>) {
        self.extra_mut().selected = Some(selected);
    }

    /// Returns whether a config selector has selected the call's config.
    pub(crate) fn is_selected(&self) -> bool {
        let extra = self.extra.as_ref();
        extra.is_some_and(|extra| extra.selected.is_some())
    }

    /// The selection of this channel's config selector, if the call has been selected. Drops that
    /// of another channel, whose filter makes its call here.
    pub(crate) fn selected_by(&mut self, channel: u64) -> Option<&Arc<SelectedCall>> {
        let selected = &mut self.extra.as_mut()?.selected;
        selected.take_if(|selected| selected.channel != channel);
        selected.as_ref()
    }

    /// Returns whether message interceptors have been added.
    pub(crate) fn has_message_interceptors(&self) -> bool {
        let extra = self.extra.as_ref();
        extra.is_some_and(|extra| extra.messages.is_some())
    }

    /// Has the first run behind a call's filters tell the stats handlers in place of these hooks, and
    /// carries the message interceptors again: filters may add others. Returns the recorders, for
    /// [`FinishHooks::call_filtered`].
    pub(crate) fn hand_over(&mut self, hooks: &mut FinishHooks) -> Arc<HandedRecorders> {
        let (messages, recorders) = hooks.take_observed();
        let handed = Arc::new(HandedRecorders::new(recorders));
        let extra = self.extra_mut();
        extra.handed_recorders = Some(Arc::clone(&handed));
        if messages.is_some() {
            extra.messages = messages;
        }
        handed
    }

    /// Takes the recorders of a call that has begun before its filters.
    pub(crate) fn take_handed_recorders(&mut self) -> Option<BegunRecorders> {
        self.extra.as_mut()?.handed_recorders.take()?.take()
    }

    /// Takes the message interceptors.
    pub(crate) fn take_message_interceptors(&mut self) -> Option<Arc<MessageInterceptors>> {
        self.extra.as_mut()?.messages.take()
    }

    /// The values of the layers around the channel, to be changed.
    pub(super) fn carried_mut(&mut self) -> &mut Extensions {
        &mut self.extra_mut().carried
    }

    /// Takes the value of this type of a layer around the channel.
    pub(super) fn take_carried<T: Clone + Send + Sync + 'static>(&mut self) -> Option<T> {
        self.extra.as_mut()?.carried.remove()
    }

    /// Returns whether a layer around the channel has a value of this type.
    pub(super) fn carries<T: Clone + Send + Sync + 'static>(&self) -> bool {
        let extra = self.extra.as_ref();
        extra.is_some_and(|extra| extra.carried.get::<T>().is_some())
    }

    fn extra_mut(&mut self) -> &mut ExtraOptions {
        self.extra.get_or_insert_default()
    }

    /// Checks that no value was refused.
    pub(crate) fn check(&self) -> Result<(), Status> {
        match &self.invalid {
            Some(status) => Err(status.clone()),
            None => Ok(()),
        }
    }

    /// Completes these options by those of a channel. The call's own take precedence; its metadata,
    /// credentials and hooks follow those of the channel.
    pub(crate) fn with_defaults(mut self, defaults: &Self) -> Self {
        if !defaults.metadata.is_empty() {
            let own = std::mem::replace(&mut self.metadata, defaults.metadata.clone());
            self.metadata.merge(own);
        }
        let extra = match (self.extra, &defaults.extra) {
            (extra, None) => extra,
            (extra, Some(defaults)) => {
                let mut extra = extra.unwrap_or_default();
                *extra = std::mem::take(&mut *extra).with_defaults(defaults);
                Some(extra)
            }
        };
        Self {
            wait_for_ready: self.wait_for_ready.or(defaults.wait_for_ready),
            max_receive_message_size: self
                .max_receive_message_size
                .or(defaults.max_receive_message_size),
            max_send_message_size: self
                .max_send_message_size
                .or(defaults.max_send_message_size),
            extra,
            ..self
        }
    }

    /// Takes the hooks to call when the call has ended.
    pub(crate) fn take_finish_hooks(&mut self) -> Option<OnFinish> {
        let hooks = &mut self.extra.as_mut()?.on_finish;
        (!hooks.is_empty()).then(|| std::mem::take(hooks))
    }

    /// The call on whose behalf this one is made; when it ends, this one is cancelled.
    #[must_use]
    pub const fn parent(&self) -> Option<&CallContext> {
        self.parent.as_ref()
    }
}

impl ExtraOptions {
    /// Completes these options by those of a channel, as [`CallOptions::with_defaults`].
    fn with_defaults(mut self, defaults: &Self) -> Self {
        if !defaults.extensions.is_empty() {
            let own = std::mem::replace(&mut self.extensions, defaults.extensions.clone());
            self.extensions.merge(own);
        }
        let credentials = defaults.credentials.0.iter().cloned();
        self.credentials.0.splice(0..0, credentials);
        self.on_finish.prepend(&defaults.on_finish);
        Self {
            max_retry_buffer_size: self
                .max_retry_buffer_size
                .or(defaults.max_retry_buffer_size),
            authority: self.authority.or_else(|| defaults.authority.clone()),
            compressor: self.compressor.or_else(|| defaults.compressor.clone()),
            accept_compressors: self
                .accept_compressors
                .or_else(|| defaults.accept_compressors.clone()),
            cancel_handle: self
                .cancel_handle
                .or_else(|| defaults.cancel_handle.clone()),
            ..self
        }
    }
}

/// Per-RPC credentials, in the order in which they are asked.
#[derive(Clone, Default)]
pub(crate) struct CredentialsList(pub(crate) Vec<Arc<dyn PerRpcCredentials>>);

impl fmt::Debug for CredentialsList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|credentials| credentials.name());
        f.debug_list().entries(names).finish()
    }
}

impl Default for CallOptions {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{FileDesc, MethodInfo, ServiceInfo};
    use crate::method_name::StubMethod;

    #[test]
    fn options_that_say_nothing_are_small() {
        // They are moved into and out of the future of every call.
        assert!(
            size_of::<CallOptions>() <= 128,
            "{}",
            size_of::<CallOptions>()
        );
    }

    #[test]
    fn a_streaming_call_is_of_its_stub_s_kind_or_of_its_descriptor_s_or_bidirectional() {
        static SERVICE: ServiceInfo = ServiceInfo::new(
            "a.B",
            &[
                MethodInfo::unary("Unary"),
                MethodInfo::client_streaming("Upload"),
                MethodInfo::server_streaming("Download"),
                MethodInfo::bidi_streaming("Chat"),
            ],
            FileDesc {
                name: "a.proto",
                descriptor_set: b"",
            },
        );
        static UNARY: StubMethod = StubMethod::new("/a.B/Unary", &SERVICE, 0);
        static UPLOAD: StubMethod = StubMethod::new("/a.B/Upload", &SERVICE, 1);
        static DOWNLOAD: StubMethod = StubMethod::new("/a.B/Download", &SERVICE, 2);
        static CHAT: StubMethod = StubMethod::new("/a.B/Chat", &SERVICE, 3);
        let plain = MethodName::from_static("/a.B/Upload");
        for (of_stub, method, expected) in [
            (None, plain.clone(), CallKind::BidiStreaming),
            (None, (&UNARY).into(), CallKind::BidiStreaming),
            (None, (&UPLOAD).into(), CallKind::ClientStreaming),
            (None, (&DOWNLOAD).into(), CallKind::ServerStreaming),
            (None, (&CHAT).into(), CallKind::BidiStreaming),
            (
                Some(CallKind::ServerStreaming),
                plain,
                CallKind::ServerStreaming,
            ),
            (
                Some(CallKind::ServerStreaming),
                (&CHAT).into(),
                CallKind::ServerStreaming,
            ),
        ] {
            let options = of_stub.map_or_else(CallOptions::new, CallOptions::of_kind);
            assert_eq!(
                options.streaming_kind(&method),
                expected,
                "{of_stub:?} {method}"
            );
        }
    }

    #[test]
    fn a_call_s_own_options_go_before_the_defaults_and_metadata_is_added() {
        let mut defaults = CallOptions::new();
        defaults.set_wait_for_ready(true);
        defaults.set_max_receive_message_size(1);
        defaults.set_max_send_message_size(2);
        defaults.set_max_retry_buffer_size(3);
        defaults.set_authority("default");
        defaults.set_compressor("default");
        defaults.set_accept_compressors(["default"]);
        defaults.append_metadata("key", "default");

        let options = CallOptions::new().with_defaults(&defaults);
        assert!(options.wait_for_ready());
        assert_eq!(options.max_receive_message_size(), 1);
        assert_eq!(options.max_send_message_size(), 2);
        assert_eq!(options.max_retry_buffer_size(), 3);
        assert_eq!(options.authority(), Some("default"));
        assert_eq!(options.compressor(), Some("default"));
        let accepted = options.accept_compressors().expect("the default");
        assert_eq!(accepted[..], ["default"]);
        assert_eq!(options.metadata(), defaults.metadata());

        let mut options = CallOptions::new();
        options.set_wait_for_ready(false);
        options.set_max_receive_message_size(10);
        options.set_max_send_message_size(20);
        options.set_max_retry_buffer_size(30);
        options.set_authority("own");
        options.set_compressor("identity");
        options.set_accept_compressors([] as [&str; 0]);
        options.append_metadata("key", "own");
        let options = options.with_defaults(&defaults);
        assert!(!options.wait_for_ready());
        assert_eq!(options.max_receive_message_size(), 10);
        assert_eq!(options.max_send_message_size(), 20);
        assert_eq!(options.max_retry_buffer_size(), 30);
        assert_eq!(options.authority(), Some("own"));
        assert_eq!(options.compressor(), Some("identity"));
        assert!(options.accept_compressors().expect("its own").is_empty());
        let values: Vec<_> = options.metadata().get_all("key").collect();
        assert_eq!(values, [&b"default"[..], b"own"]);
    }
}
