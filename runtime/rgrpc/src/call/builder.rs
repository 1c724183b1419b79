//! The builder of a call, which stubs return. Its methods set options; awaiting it makes the call.
//!
//! Created and awaited by callers, on their tasks.
//!
//! Source: grpc-go `CallOption`.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    CallOptions, CancelHandle, ClientStreaming, Invoke, MethodName, RecvStream, Request, Response,
    ResponseInfo, SendStream,
};
use crate::codec::{Codec, ProtoCodec};
use crate::credentials::PerRpcCredentials;
use crate::interceptor::CallKind;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::status::Status;

/// A unary call. Yields a [`Response`].
pub type UnaryCall<'a, I, Req, Res, C = ProtoCodec> = Call<'a, I, Unary<Req, Res>, C>;

/// A server-streaming call. Yields a [`RecvStream`].
pub type ServerStreamingCall<'a, I, Req, Res, C = ProtoCodec> =
    Call<'a, I, ServerStream<Req, Res>, C>;

/// A client-streaming call. Yields a [`ClientStreaming`].
pub type ClientStreamingCall<'a, I, Req, Res, C = ProtoCodec> =
    Call<'a, I, ClientStream<Req, Res>, C>;

/// A bidirectional call. Yields a [`SendStream`] and a [`RecvStream`], before the server responds.
pub type BidiStreamingCall<'a, I, Req, Res, C = ProtoCodec> = Call<'a, I, BidiStream<Req, Res>, C>;

/// A call before it is made: set options, then await it. Dropping the future cancels the call.
///
/// All four kinds of calls take the same options. [`CallOptions`] has a table of them for users of
/// grpc-go.
#[must_use = "a call is made when it is awaited"]
pub struct Call<'a, I, K, C = ProtoCodec> {
    invoke: &'a I,
    codec: C,
    method: MethodName,
    kind: K,
    options: CallOptions,
}

/// The kind of a unary [`Call`].
#[derive(Debug)]
pub struct Unary<Req, Res>(Req, PhantomData<fn() -> Res>);

/// The kind of a server-streaming [`Call`].
#[derive(Debug)]
pub struct ServerStream<Req, Res>(Req, PhantomData<fn() -> Res>);

/// The kind of a client-streaming [`Call`].
#[derive(Debug)]
pub struct ClientStream<Req, Res>(PhantomData<fn(Req) -> Res>);

/// The kind of a bidirectional [`Call`].
#[derive(Debug)]
pub struct BidiStream<Req, Res>(PhantomData<fn(Req) -> Res>);

impl<'a, I, Req, Res, C> Call<'a, I, Unary<Req, Res>, C> {
    /// A call of `method` with this request.
    #[inline]
    pub fn new(
        invoke: &'a I,
        codec: C,
        method: impl Into<MethodName>,
        mut request: Request<Req>,
    ) -> Self {
        let mut options = CallOptions::of_kind(CallKind::Unary);
        options.take_over(request.take_outgoing());
        Self {
            invoke,
            codec,
            method: method.into(),
            kind: Unary(request.into_message(), PhantomData),
            options,
        }
    }
}

impl<'a, I, Req, Res, C> Call<'a, I, ServerStream<Req, Res>, C> {
    /// A call of `method` with this request.
    pub fn new(
        invoke: &'a I,
        codec: C,
        method: impl Into<MethodName>,
        mut request: Request<Req>,
    ) -> Self {
        let mut options = CallOptions::of_kind(CallKind::ServerStreaming);
        options.take_over(request.take_outgoing());
        Self {
            invoke,
            codec,
            method: method.into(),
            kind: ServerStream(request.into_message(), PhantomData),
            options,
        }
    }
}

impl<'a, I, Req, Res, C> Call<'a, I, ClientStream<Req, Res>, C> {
    /// A call of `method`.
    pub fn new(invoke: &'a I, codec: C, method: impl Into<MethodName>) -> Self {
        Self {
            invoke,
            codec,
            method: method.into(),
            kind: ClientStream(PhantomData),
            options: CallOptions::of_kind(CallKind::ClientStreaming),
        }
    }
}

impl<'a, I, Req, Res, C> Call<'a, I, BidiStream<Req, Res>, C> {
    /// A call of `method`.
    pub fn new(invoke: &'a I, codec: C, method: impl Into<MethodName>) -> Self {
        Self {
            invoke,
            codec,
            method: method.into(),
            kind: BidiStream(PhantomData),
            options: CallOptions::of_kind(CallKind::BidiStreaming),
        }
    }
}

impl<I, K, C> Call<'_, I, K, C> {
    /// Sets the timeout of the whole call, streams included, from now. Default: none.
    ///
    /// After it, the call fails with DEADLINE_EXCEEDED on both sides. The earliest of several
    /// bounds holds; the service config's `timeout` is one. Zero fails the call at once,
    /// `Duration::MAX` is no bound.
    ///
    /// The status's text names the channel's target and the reason of the wait: the resolver, a
    /// connection (with the failure of the last attempt to connect), a stream of a server at its
    /// limit of streams, per-RPC credentials, the next attempt, or the server's response.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout(timeout);
        self
    }

    /// Sets the deadline of the whole call, as [`timeout`](Self::timeout) does.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.options.bound(deadline);
        self
    }

    /// Sets whether the call waits for ready. Default: `waitForReady` of the service config, else
    /// false.
    ///
    /// A call that does not wait for ready fails with UNAVAILABLE when no connection can be made.
    /// Both kinds wait while the channel is connecting.
    ///
    /// Source: grpc-go `WaitForReady`.
    pub fn wait_for_ready(mut self, wait_for_ready: bool) -> Self {
        self.options.set_wait_for_ready(wait_for_ready);
        self
    }

    /// Adds a metadata value. One that [`Metadata::append`] refuses fails
    /// the call with INTERNAL before anything is sent.
    pub fn metadata(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.options.append_metadata(key, value);
        self
    }

    /// Adds all of `metadata` after the earlier values. Default: none.
    ///
    /// ```no_run
    /// # use rgrpc::{ClientConn, ClientStreamingCall, Metadata, ProtoCodec, credentials};
    /// # async fn upload(conn: &ClientConn) -> Result<(), Box<dyn std::error::Error>> {
    /// // As a generated client does: client.upload().
    /// let call = ClientStreamingCall::<_, (), ()>::new(conn, ProtoCodec, "/files.Files/Upload");
    /// let metadata = Metadata::from_pairs([("x-file", "a.txt"), ("x-owner", "ada")])?;
    /// let mut upload = call.merge_metadata(metadata).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Source: grpc-go `metadata.NewOutgoingContext`.
    pub fn merge_metadata(mut self, metadata: Metadata) -> Self {
        self.options.metadata_mut().merge(metadata);
        self
    }

    /// The call's options, mutable, for code that several kinds of calls share.
    pub const fn options_mut(&mut self) -> &mut CallOptions {
        &mut self.options
    }

    /// Sets the maximum size of a received message, in bytes. Default: 4 MiB.
    ///
    /// A larger message fails the call with RESOURCE_EXHAUSTED. The smaller of this and the service
    /// config's `maxResponseMessageBytes` holds.
    ///
    /// Source: grpc-go `MaxCallRecvMsgSize`.
    pub fn max_receive_message_size(mut self, bytes: usize) -> Self {
        self.options.set_max_receive_message_size(bytes);
        self
    }

    /// Sets the maximum size of a sent message, in bytes. Default: 2^31 − 1.
    ///
    /// A larger message fails the call with RESOURCE_EXHAUSTED. The smaller of this and the service
    /// config's `maxRequestMessageBytes` holds.
    ///
    /// Source: grpc-go `MaxCallSendMsgSize`.
    pub fn max_send_message_size(mut self, bytes: usize) -> Self {
        self.options.set_max_send_message_size(bytes);
        self
    }

    /// Sets the maximum size of a streaming call's retry buffer, in bytes of messages; see
    /// [`CallOptions::set_max_retry_buffer_size`]. 0 keeps none. Default: 256 KiB.
    ///
    /// Source: grpc-go `MaxRetryRPCBufferSize`.
    pub fn max_retry_buffer_size(mut self, bytes: usize) -> Self {
        self.options.set_max_retry_buffer_size(bytes);
        self
    }

    /// Sets the `:authority` of the request, for which the server's certificate must be valid; see
    /// [`CallOptions::set_authority`]. Default: the channel's.
    ///
    /// Source: grpc-go `CallAuthority`.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.options.set_authority(authority);
        self
    }

    /// Sets the compressor of the request's messages, by its name; see
    /// [`CallOptions::set_compressor`]. Default: none.
    ///
    /// Source: grpc-go `UseCompressor`.
    pub fn compressor(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.options.set_compressor(name);
        self
    }

    /// Sets the encodings that a response may have, besides none; see
    /// [`CallOptions::set_accept_compressors`]. Default: all compressors of the channel.
    ///
    /// Source: grpc-go `experimental.AcceptCompressors`.
    pub fn accept_compressors<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        self.options.set_accept_compressors(names);
        self
    }

    /// Adds per-RPC credentials of the call, besides those of the channel; see
    /// [`CallOptions::per_rpc_credentials`]. Default: none.
    ///
    /// Source: grpc-go `PerRPCCredentials`.
    pub fn per_rpc_credentials(mut self, credentials: impl PerRpcCredentials) -> Self {
        self.options.per_rpc_credentials(credentials);
        self
    }

    /// Sets the handle that ends the call with CANCELLED at any time; see [`CancelHandle`]. The
    /// last one that is set holds. Default: none.
    ///
    /// Source: grpc-go's `context.WithCancel` around a call.
    pub fn cancel_handle(mut self, handle: &CancelHandle) -> Self {
        self.options.set_cancel_handle(handle);
        self
    }

    /// Adds a typed value for the layers in front of the channel; see
    /// [`CallOptions::extensions`]. Default: none.
    pub fn extension(mut self, value: impl Clone + Send + Sync + 'static) -> Self {
        self.options.extensions_mut().insert(value);
        self
    }

    /// Fills `info` in with the header metadata, the trailers and the peer of the call, on success
    /// and on failure; see [`ResponseInfo`]. Default: nothing.
    ///
    /// Source: grpc-go `Header`, `Trailer`, `Peer`.
    pub fn response_info(mut self, info: &ResponseInfo) -> Self {
        self.options.response_info(info);
        self
    }

    /// Adds a hook that runs once when the call ends, with its status; see
    /// [`CallOptions::on_finish`]. Default: none.
    ///
    /// Source: grpc-go `OnFinish`.
    pub fn on_finish(mut self, hook: impl FnOnce(Result<(), &Status>) + Send + 'static) -> Self {
        let hook = Mutex::new(Some(hook));
        self.options.on_finish(move |outcome| {
            let hook = lock(&hook).take();
            if let Some(hook) = hook {
                hook(outcome);
            }
        });
        self
    }

    /// Takes over the deadline, the cancellation and the metadata of `request`, as one that
    /// [`Request::outgoing`] made in a handler: for the calls that begin without a message.
    pub fn on_behalf_of(mut self, mut request: Request<()>) -> Self {
        self.options.take_over(request.take_outgoing());
        self
    }
}

impl<'a, I, Req, Res, C> IntoFuture for Call<'a, I, Unary<Req, Res>, C>
where
    I: Invoke,
    Req: Send + Sync + 'static,
    Res: Send + 'static,
    C: Codec<Req> + Codec<Res>,
{
    type Output = Result<Response<Res>, Status>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        self.invoke
            .start_invoke(self.codec, self.method, self.kind.0, self.options)
    }
}

impl<'a, I, Req, Res, C> IntoFuture for Call<'a, I, ServerStream<Req, Res>, C>
where
    I: Invoke,
    Req: Send + Sync + 'static,
    Res: Send + 'static,
    C: Codec<Req> + Codec<Res>,
{
    type Output = Result<RecvStream<Res>, Status>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (mut requests, mut responses): (SendStream<Req>, RecvStream<Res>) = self
                .invoke
                .new_stream(self.codec, self.method, self.options)
                .await?;
            match requests.send_only(&self.kind.0).await {
                Ok(()) => Ok(responses),
                Err(status) => Err(responses.fail(status)),
            }
        })
    }
}

impl<'a, I, Req, Res, C> IntoFuture for Call<'a, I, ClientStream<Req, Res>, C>
where
    I: Invoke,
    Req: Send + 'static,
    Res: Send + 'static,
    C: Codec<Req> + Codec<Res>,
{
    type Output = Result<ClientStreaming<Req, Res>, Status>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (requests, response) = self
                .invoke
                .new_stream(self.codec, self.method, self.options)
                .await?;
            Ok(ClientStreaming::new(requests, response))
        })
    }
}

impl<'a, I, Req, Res, C> IntoFuture for Call<'a, I, BidiStream<Req, Res>, C>
where
    I: Invoke,
    Req: Send + 'static,
    Res: Send + 'static,
    C: Codec<Req> + Codec<Res>,
{
    type Output = Result<(SendStream<Req>, RecvStream<Res>), Status>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(
            self.invoke
                .new_stream(self.codec, self.method, self.options),
        )
    }
}

impl<I, K, C> fmt::Debug for Call<'_, I, K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
