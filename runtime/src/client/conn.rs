use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::call::{ClientCall, Opened};
use super::call_config::CallConfig;
use super::calls::CountedCall;
use super::channel::{Channel, ChannelParts};
use super::deadline::{Bounds, deadline_exceeded};
use super::picker::{Picked, PickerCell};
use super::retry::{Failure, Next};
use crate::balancer::PickInfo;
use crate::call::{
    CallOptions, Invoke, MessageSink, MessageSource, MethodName, RecvStream, Response, SendStream,
};
use crate::codec::{Codec, frame};
use crate::lock::lock;
use crate::status::Status;
use crate::transport::{OpenError, OpenRequest, Origin};

/// A channel: what calls are made on. It connects when a call needs it, reconnects, and closes its
/// connection when there have been no calls [for long](super::ClientConnBuilder::idle_timeout). Its
/// [`state`](Self::state) can be watched.
///
/// A handle: cheap to clone, and all clones are one channel. The channel's task and connections
/// live on the tokio runtime of the first call. When the last handle and the last call are gone,
/// the channel closes.
///
/// Targets, as in the gRPC documents (`doc/naming.md`): `dns:///host:port` (or just `host:port`;
/// the port is 443 when left out), `ipv4:1.2.3.4:5,…`, `ipv6:[::1]:5,…`, `unix:path` or
/// `unix:///absolute/path`, and `passthrough:///name`, which hands the name to the dialer.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let conn = rgrpc::ClientConn::new("dns:///localhost:50051", rgrpc::credentials::insecure())?;
/// # Ok(()) }
/// ```
///
/// Source: grpc-go `ClientConn`, `NewClient`.
#[derive(Clone)]
pub struct ClientConn(Arc<Inner>);

/// What the handles of a channel share.
struct Inner {
    settings: Settings,
    cell: Arc<PickerCell>,
    /// Set to true, or dropped, to end the channel's task.
    closed: watch::Sender<bool>,
    /// The task, until the first call starts it.
    unstarted: Mutex<Option<Channel>>,
}

/// What calls need to know of the channel's options.
pub(super) struct Settings {
    pub(super) origin: Arc<Origin>,
    pub(super) target: String,
}

impl ClientConn {
    pub(super) fn from_parts(settings: Settings, channel: ChannelParts) -> Self {
        let (cell, events) = PickerCell::new();
        let cell = Arc::new(cell);
        let (closed, is_closed) = watch::channel(false);
        let channel = Channel::new(channel, Arc::clone(&cell), events, is_closed);
        Self(Arc::new(Inner {
            settings,
            cell,
            closed,
            unstarted: Mutex::new(Some(channel)),
        }))
    }

    /// The target, as it was given.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.0.settings.target
    }

    /// Closes the channel and its connections at once; calls end with CANCELLED, those under way
    /// and those to come. Idempotent.
    ///
    /// Source: grpc-go `ClientConn.Close`.
    pub fn close(&self) {
        self.0.cell.close();
        self.0.closed.send_replace(true);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.cell.is_closed()
    }

    pub(super) fn cell(&self) -> &PickerCell {
        &self.0.cell
    }

    /// The connection for a call. The first call starts the channel's task.
    async fn pick(&self, method: &str, options: &CallOptions) -> Result<Picked, Failure> {
        let call = PickInfo::new(method, options.metadata());
        if let Some(picked) = self.0.cell.ready(&call) {
            return Ok(picked);
        }
        self.start().map_err(Failure::here)?;
        self.0.cell.pick(&call, options.wait_for_ready()).await
    }

    /// Starts the channel's task unless it has been started.
    pub(super) fn start(&self) -> Result<(), Status> {
        let runtime = Handle::try_current().map_err(|error| {
            Status::internal(format!(
                "the channel was used outside of a tokio runtime: {error}"
            ))
        })?;
        let mut unstarted = lock(&self.0.unstarted);
        if let Some(channel) = unstarted.take() {
            runtime.spawn(channel.run());
        }
        Ok(())
    }

    /// What the service config says about calls. The first call waits until that is known.
    async fn call_config(&self, options: &CallOptions) -> Result<Arc<CallConfig>, Status> {
        if let Some(config) = self.0.cell.call_config() {
            return Ok(config);
        }
        self.start()?;
        let waiting = self.0.cell.wait_for_call_config();
        Bounds::new(options).run(waiting).await
    }

    /// Opens a stream for a call, on a connection that takes it. The call counts from here on.
    async fn open(
        &self,
        method: &MethodName,
        content_subtype: &'static str,
        options: &CallOptions,
        previous_attempts: u32,
        mut only_message: Option<Bytes>,
    ) -> Result<Opened, Failure> {
        if !method.starts_with('/') {
            return Err(Failure::here(Status::internal(format!(
                "malformed method name {method:?}: /service/method is expected"
            ))));
        }
        let counted = CountedCall::begin(self.clone()).await;
        loop {
            let Picked { permit, done } = self.pick(method, options).await?;
            let timeout = time_left(options.deadline(), Instant::now()).map_err(Failure::here)?;
            let opened = permit.transport.open(OpenRequest {
                path: method,
                origin: &self.0.settings.origin,
                content_subtype,
                previous_attempts,
                timeout,
                metadata: options.metadata(),
                only_message,
            });
            match opened {
                Ok(stream) => {
                    return Ok(Opened {
                        stream,
                        counted,
                        permit,
                        done,
                    });
                }
                Err(OpenError::Invalid(status)) => return Err(Failure::here(status)),
                // Nothing was sent. The channel hears of the connection's end in a moment; let it,
                // and pick again.
                Err(OpenError::Gone(message)) => {
                    only_message = message;
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

impl ClientConn {
    /// One attempt at a call with one message each way: sends the message and waits for the
    /// response.
    async fn attempt<C: Codec<Res>, Res>(
        &self,
        method: &MethodName,
        options: &CallOptions,
        bounds: &Bounds,
        previous_attempts: u32,
        framed: Bytes,
    ) -> Result<Response<Res>, Failure> {
        let opening = self.open(method, C::NAME, options, previous_attempts, Some(framed));
        let call = Arc::new(ClientCall::new(opening.await?, bounds.clone()));
        let responses = RecvStream::new::<C>(
            Arc::clone(&call) as Arc<dyn MessageSource>,
            options.max_receive_message_size(),
        );
        let response = responses.into_response().await;
        response.map_err(|status| Failure {
            status,
            delivery: call.delivery(),
            is_final: call.has_head() || self.is_closed(),
        })
    }
}

/// The last failure of a call that its retry policy allows no further attempt.
fn none_left(status: Status, attempts: u32) -> Status {
    let text = format!("{} (the last of {attempts} attempts)", status.message());
    status.with_message(text)
}

/// What is left until the deadline at `now`; an error when it has passed.
fn time_left(deadline: Option<Instant>, now: Instant) -> Result<Option<Duration>, Status> {
    let Some(deadline) = deadline else {
        return Ok(None);
    };
    match deadline.saturating_duration_since(now) {
        Duration::ZERO => Err(deadline_exceeded()),
        left => Ok(Some(left)),
    }
}

impl Invoke for ClientConn {
    async fn invoke<C, Req, Res>(
        &self,
        _codec: C,
        method: MethodName,
        message: Req,
        mut options: CallOptions,
    ) -> Result<Response<Res>, Status>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        options.check()?;
        let config = self.call_config(&options).await?;
        let mut attempts = config.configure(&method, &mut options);
        let bounds = Bounds::new(&options);
        let call = async {
            loop {
                // For each attempt again, which are few: keeping the bytes for the next would cost
                // every call an allocation.
                let framed = frame::<C, Req>(&message, options.max_send_message_size())?;
                let previous = attempts.previous();
                let attempt = self.attempt::<C, Res>(&method, &options, &bounds, previous, framed);
                let failure = match attempt.await {
                    Ok(response) => {
                        attempts.succeeded();
                        return Ok(response);
                    }
                    Err(failure) => failure,
                };
                match attempts.failed(&failure, fastrand::f64()) {
                    Next::After(Duration::ZERO) => {}
                    Next::After(delay) => sleep(delay).await,
                    Next::GiveUp => return Err(failure.status),
                    Next::NoneLeft => return Err(none_left(failure.status, previous + 1)),
                }
            }
        };
        bounds.run(call).await
    }

    async fn new_stream<C, Req, Res>(
        &self,
        _codec: C,
        method: MethodName,
        mut options: CallOptions,
    ) -> Result<(SendStream<Req>, RecvStream<Res>), Status>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
    {
        options.check()?;
        let config = self.call_config(&options).await?;
        config.configure(&method, &mut options);
        let bounds = Bounds::new(&options);
        let name = <C as Codec<Res>>::NAME;
        let opening = async {
            let opened = self.open(&method, name, &options, 0, None).await;
            opened.map_err(|failure| failure.status)
        };
        let opened = bounds.run(opening).await?;
        let call = Arc::new(ClientCall::new(opened, bounds));
        call.watch_bounds();
        let requests = SendStream::new::<C>(
            Arc::clone(&call) as Arc<dyn MessageSink>,
            options.max_send_message_size(),
        );
        let responses = RecvStream::new::<C>(call, options.max_receive_message_size());
        Ok((requests, responses))
    }
}

impl fmt::Debug for ClientConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConn")
            .field("target", &self.target())
            .finish_non_exhaustive()
    }
}
