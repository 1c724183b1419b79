//! Calls: from the user's options to the response, over one attempt or several.
//!
//! ```text
//!   invoke, new_stream ──► begin_call ──► ResolvedCall, AttemptScheduler
//!        │ unary: one attempt after the other        │ streaming, hedged: several at once
//!        ▼                                           ▼
//!   unary_call::run                              StreamCall ──► StreamAttempt
//!        └──────────────┬────────────────────────────┘
//!                       ▼
//!   AttemptContext::begin_attempt: pick, authorize, open ──► CallAttempt
//! ```
//!
//! Called by stubs through [`Invoke`], on the caller's task. Every call begins in
//! [`ClientConn::begin_call`] and ends in its [`FinishHooks`]; every attempt begins in
//! [`AttemptContext::begin_attempt`] and ends in `CallAttempt::finish`.
//!
//! Source: grpc-go `stream.go`: `newClientStream`, `clientStream`, `csAttempt`.

mod attempt;
mod bounds;
mod intercepted;
mod observe;
mod resolved_call;
mod scheduler;
mod stream;
mod stream_wakers;
mod unary_call;
mod wait_reason;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::time::Instant;

use self::attempt::{AttemptContext, wait_for_call_config};
use self::bounds::Bounds;
use self::intercepted::{
    ChainStage, ChainedStream, ChainedUnary, PassedRequest, UnaryReply, UnaryRequest,
};
use self::resolved_call::{OptionsSlot, ResolvedCall, take_interceptors};
use self::scheduler::AttemptScheduler;
use self::stream::{StreamCall, StreamContext};
use self::wait_reason::{WaitReason, WaitRecorder};
use super::ClientConn;
use super::config::CallConfig;
use super::conn::CallEncoding;
use crate::call::{
    Accepted, CallObserver, CallOptions, FinishHooks, InterceptorList, Invoke, MessageSink,
    MessageSource, MethodName, RecvStream, Response, SelectInfo, SendStream, receive_response,
    run_streaming, run_unary,
};
use crate::codec::{Codec, frame_with};
use crate::interceptor::{CallKind, MessageView};
use crate::service_config::AttemptPolicy;
use crate::stats::CallEvent;
use crate::status::Status;
use crate::task::caught;

impl ClientConn {
    /// Begins a call: resolves its options, and decides by which policy its attempts are scheduled.
    /// Every call begins here. If the config selector has filters for the call, they run first, and
    /// the call begins again behind them.
    ///
    /// The first call of a channel waits until its target has been resolved.
    ///
    /// # Errors
    /// A value of the options was refused, or the wait failed, or the config selector refused the
    /// call.
    async fn begin_call(
        &self,
        method: &str,
        slot: &mut OptionsSlot,
        observer: Option<&Arc<CallObserver>>,
    ) -> Result<AttemptScheduler, Status> {
        let settings = self.settings();
        let options = slot.passed();
        options.check()?;
        let encoding = settings.compression.of_call(options, &settings.headers)?;
        if let Some(config) = &*self.shared().picker.call_config_ref() {
            return self.resolve(method, slot, encoding, config);
        }
        // Boxed, so that later calls need no space for it.
        let config = Box::pin(self.wait_for_config(options, observer)).await?;
        self.resolve(method, slot, encoding, &config)
    }

    fn resolve(
        &self,
        method: &str,
        slot: &mut OptionsSlot,
        encoding: Option<CallEncoding>,
        config: &CallConfig,
    ) -> Result<AttemptScheduler, Status> {
        if config.selector().is_some() || slot.passed().is_selected() {
            return self.resolve_selected(method, slot, encoding, config);
        }
        let of_method = config.method(method);
        let policy = of_method.and_then(|config| config.attempts.clone());
        slot.resolve(encoding, of_method);
        Ok(self.schedule(policy, config))
    }

    /// Resolves the options of a call on a channel with a config selector, unless the call has filters,
    /// which run first.
    #[cold]
    fn resolve_selected(
        &self,
        method: &str,
        slot: &mut OptionsSlot,
        encoding: Option<CallEncoding>,
        config: &CallConfig,
    ) -> Result<AttemptScheduler, Status> {
        let channel = self.id().number();
        let has_filters = select(channel, method, slot, config)?;
        if has_filters {
            return Ok(AttemptScheduler::new(None, None, 0));
        }
        let selected = slot.passed_mut().selected_by(channel).cloned();
        let of_method = match &selected {
            None => config.method(method),
            Some(selected) => Some(&selected.method),
        };
        let mut policy = of_method.and_then(|config| config.attempts.clone());
        config.retries().limit(&mut policy);
        slot.resolve(encoding, of_method);
        Ok(self.schedule(policy, config))
    }

    fn schedule(&self, policy: Option<AttemptPolicy>, config: &CallConfig) -> AttemptScheduler {
        let throttle = config.throttle().cloned();
        AttemptScheduler::new(policy, throttle, self.settings().max_transparent_retries)
    }

    /// Waits within the call's bounds until its service config is known.
    async fn wait_for_config(
        &self,
        options: &CallOptions,
        observer: Option<&Arc<CallObserver>>,
    ) -> Result<Arc<CallConfig>, Status> {
        let began = observer.map(|_| Instant::now());
        let recorder = WaitRecorder::default();
        let config = async {
            let wait_for_ready = options.wait_for_ready();
            let start = || self.start();
            let config = pin!(wait_for_call_config(self.shared(), wait_for_ready, start));
            recorder.during(config, || Some(WaitReason::Resolver)).await
        };
        let config = pin!(Some(config));
        let bounds = Bounds::of_options(options);
        let config = bounds
            .run(config, self.target(), || recorder.take())
            .await
            .inspect_err(|_| self.shared().calls.failed_before_attempt())?;
        if let (Some(observer), Some(began)) = (observer, began) {
            observer.record(&CallEvent::NameResolutionDelayed(began.elapsed()));
        }
        Ok(config)
    }

    /// Makes a hedged unary call: several attempts at once.
    async fn hedge<C, Req, Res>(
        &self,
        method: MethodName,
        message: &Req,
        call: ResolvedCall,
        scheduler: AttemptScheduler,
        observer: Option<&Arc<CallObserver>>,
    ) -> Result<Response<Res>, Status>
    where
        C: Codec<Req> + Codec<Res>,
        Req: 'static,
        Res: 'static,
    {
        let bounds = Bounds::of_call(&call);
        let (compressor, send_limit) = (call.send_compressor(), call.send_limit());
        let framed = match observer {
            None => frame_with::<C, Req>(message, compressor, send_limit)?,
            Some(observer) => {
                let framed =
                    unary_call::frame_shown::<C, Req>(observer, message, compressor, send_limit)?;
                let (encoded_len, compressed_len) = observer.sizes();
                observer.sent(&MessageView::new(
                    Some(message),
                    encoded_len,
                    compressed_len,
                ));
                framed
            }
        };
        let limit = call.receive_limit();
        let encodings = call.accept_compressors().cloned();
        let context = StreamContext {
            conn: self.clone(),
            method,
            content_subtype: <C as Codec<Res>>::NAME,
            call,
            only_message: Some(framed),
            recorder: WaitRecorder::default(),
            observer: observer.cloned(),
        };
        let call = Arc::new(StreamCall::new(context, scheduler, FinishHooks::default()));
        let recorder = WaitRecorder::default();
        let response = async {
            let accepted = Accepted {
                limit,
                encodings: encodings.as_ref(),
            };
            let response = pin!(receive_response::<C, Res>(&call, accepted));
            recorder.during(response, || call.give_up()).await
        };
        let response = pin!(Some(response));
        bounds
            .run(response, self.target(), || recorder.take())
            .await
    }

    /// The interceptors of the stub and of the channel, if there are any, and the options that they
    /// see.
    fn interceptors(&self, slot: &mut OptionsSlot) -> Option<InterceptorList> {
        let of_channel = &self.settings().interceptors;
        if of_channel.is_empty() && !slot.passed().has_interceptors() {
            return None;
        }
        let defaults = self.settings().default_options.as_ref();
        Some(take_interceptors(slot.passed_mut(), defaults, of_channel))
    }

    /// Makes a call that is not unary, from this stage on.
    async fn streaming<C, Req, Res>(
        &self,
        method: MethodName,
        options: CallOptions,
        stage: ChainStage,
    ) -> Result<(SendStream<Req>, RecvStream<Res>), Status>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
    {
        let mut slot = OptionsSlot::new(options);
        if stage == ChainStage::New
            && let Some(interceptors) = self.interceptors(&mut slot)
        {
            let options = slot.into_passed();
            let call = ChainedStream::<C, Req, Res>::begin(self, method, options);
            return run_streaming(call, interceptors).await;
        }
        let mut hooks = slot.complete(self.defaults(stage));
        self.observe(&method, CallKind::BidiStreaming, &mut slot, &mut hooks);
        let begun = self.begin_call(&method, &mut slot, hooks.observer());
        let scheduler = match begun.await {
            Ok(scheduler) => scheduler,
            Err(status) => {
                hooks.call(Err(&status));
                return Err(status);
            }
        };
        let call = match slot.into_filtered() {
            Ok((filters, mut options)) => {
                let handed = hooks.hand_over(&mut options);
                let call = ChainedStream::<C, Req, Res>::begin(self, method, options);
                call.on_end(move |outcome| hooks.call_filtered(&handed, outcome));
                return Box::pin(run_streaming(call, filters)).await;
            }
            Err(call) => call,
        };
        let observer = hooks.observer().cloned();
        let bounds = Bounds::of_call(&call);
        let (send_limit, receive_limit) = (call.send_limit(), call.receive_limit());
        let accepted = call.accept_compressors().cloned();
        let context = StreamContext {
            conn: self.clone(),
            method,
            content_subtype: <C as Codec<Res>>::NAME,
            call,
            only_message: None,
            recorder: WaitRecorder::default(),
            observer,
        };
        let call = Arc::new(StreamCall::new(context, scheduler, hooks));
        let opened = {
            let opened = pin!(Some(call.opened()));
            bounds.run(opened, self.target(), || call.give_up()).await
        };
        if let Err(status) = opened {
            call.finish(Err(&status));
            return Err(status);
        }
        call.watch_bounds();
        let is_observed = call.is_observed();
        let requests = SendStream::new::<C>(Arc::clone(&call) as Arc<dyn MessageSink>, send_limit);
        let responses = RecvStream::new::<C>(call, receive_limit).accepting(accepted.as_ref());
        if is_observed {
            return Ok((requests.observed::<C>(), responses.observed::<C>()));
        }
        Ok((requests, responses))
    }

    /// The channel's defaults, unless interceptors have seen options that have them.
    fn defaults(&self, stage: ChainStage) -> Option<&CallOptions> {
        match stage {
            ChainStage::New => self.settings().default_options.as_ref(),
            ChainStage::Intercepted => None,
        }
    }
}

/// Selects a call's config, unless that has happened: the call comes out of its filters then.
/// Returns whether it has filters, which run now.
fn select(
    channel: u64,
    method: &str,
    slot: &mut OptionsSlot,
    config: &CallConfig,
) -> Result<bool, Status> {
    let options = slot.passed_mut();
    let is_selected = options.selected_by(channel).is_some();
    let Some(selector) = config.selector().filter(|_| !is_selected) else {
        return Ok(false);
    };
    let info = SelectInfo::new(method, options.metadata()).with_extensions(options.extensions());
    let selected = caught("the config selector", || selector.select(&info))
        .unwrap_or_else(|panicked| Err(Status::internal(panicked.to_string())))
        .map_err(Status::into_control_plane_failure)?;
    let timeout = selected.method_config().timeout();
    let has_filters = options.select(selected.into_parts(channel));
    if let Some(timeout) = timeout.filter(|_| has_filters) {
        // The time that the filters take counts.
        options.timeout(timeout);
    }
    Ok(has_filters)
}

/// Makes a unary call that has filters, which run first, or that is hedged. Boxed, so that other calls
/// need no space for it.
fn boxed<'r, C, Req, Res, R>(
    method: MethodName,
    request: R,
    slot: OptionsSlot,
    scheduler: AttemptScheduler,
    mut hooks: FinishHooks,
) -> Pin<Box<dyn Future<Output = Result<Response<Res>, Status>> + Send + 'r>>
where
    C: Codec<Req> + Codec<Res>,
    Req: Send + Sync + 'static,
    Res: Send + 'static,
    R: UnaryRequest<Req> + 'r,
{
    match slot.into_filtered() {
        Ok((filters, mut options)) => {
            let handed = hooks.hand_over(&mut options);
            let call = ChainedUnary::<C, Req, Res>::begin(method, request, options);
            call.on_end(move |outcome| hooks.call_filtered(&handed, outcome));
            Box::pin(run_unary(call, filters))
        }
        Err(call) => Box::pin(async move {
            let (message, observer) = (request.message(), hooks.observer());
            let hedged = request
                .conn()
                .hedge::<C, Req, Res>(method, message, call, scheduler, observer);
            let result = hedged.await;
            hooks.with(result)
        }),
    }
}

/// Makes a unary call, from this stage on.
fn unary<C, Req, Res, R, Reply>(
    method: MethodName,
    request: R,
    options: CallOptions,
    stage: ChainStage,
) -> impl Future<Output = Result<Reply, Status>> + Send
where
    C: Codec<Req> + Codec<Res>,
    Req: Send + Sync + 'static,
    Res: Send + 'static,
    R: UnaryRequest<Req>,
    Reply: UnaryReply<Res>,
{
    let mut slot = OptionsSlot::new(options);
    // Not an async function, which keeps its arguments twice.
    async move {
        if stage == ChainStage::New
            && let Some(interceptors) = request.conn().interceptors(&mut slot)
        {
            let options = slot.into_passed();
            let call = ChainedUnary::<C, Req, Res>::begin(method, request, options);
            return run_unary(call, interceptors).await.map(Reply::of_response);
        }
        let mut hooks = slot.complete(request.conn().defaults(stage));
        request
            .conn()
            .observe(&method, CallKind::Unary, &mut slot, &mut hooks);
        let begun = request
            .conn()
            .begin_call(&method, &mut slot, hooks.observer());
        let mut scheduler = match begun.await {
            Ok(scheduler) => scheduler,
            Err(status) => {
                hooks.call(Err(&status));
                return Err(status);
            }
        };
        if scheduler.is_hedged() || slot.has_filters() {
            let call = boxed::<C, Req, Res, R>(method, request, slot, scheduler, hooks);
            return call.await.map(Reply::of_response);
        }
        let result = {
            let call = slot.resolved();
            let recorder = WaitRecorder::default();
            let context = AttemptContext {
                conn: request.conn(),
                method: &method,
                content_subtype: <C as Codec<Res>>::NAME,
                call,
                recorder: &recorder,
                observer: hooks.observer(),
            };
            let run = unary_call::run::<C, Req, Res>(&context, request.message(), &mut scheduler);
            let run = pin!(Some(run));
            let bounds = Bounds::of_call(call);
            bounds
                .run(run, context.conn.target(), || recorder.take())
                .await
        };
        hooks.with(result).map(Reply::of_response)
    }
}

impl Invoke for ClientConn {
    fn invoke<C, Req, Res>(
        &self,
        _codec: C,
        method: MethodName,
        message: Req,
        options: CallOptions,
    ) -> impl Future<Output = Result<Response<Res>, Status>> + Send
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        let stage = ChainStage::New;
        let request = PassedRequest {
            conn: self,
            message,
        };
        unary::<C, Req, Res, _, Response<Res>>(method, request, options, stage)
    }

    /// A call with interceptors needs no space for the call itself, which the chain allocates.
    fn start_invoke<'a, C, Req, Res>(
        &'a self,
        codec: C,
        method: MethodName,
        message: Req,
        mut options: CallOptions,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Res>, Status>> + Send + 'a>>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        if self.settings().interceptors.is_empty() && !options.has_interceptors() {
            return Box::pin(self.invoke(codec, method, message, options));
        }
        let defaults = self.settings().default_options.as_ref();
        let of_channel = &self.settings().interceptors;
        let interceptors = take_interceptors(&mut options, defaults, of_channel);
        let request = PassedRequest {
            conn: self,
            message,
        };
        let call = ChainedUnary::<C, Req, Res>::begin(method, request, options);
        Box::pin(run_unary(call, interceptors))
    }

    fn new_stream<C, Req, Res>(
        &self,
        _codec: C,
        method: MethodName,
        options: CallOptions,
    ) -> impl Future<Output = Result<(SendStream<Req>, RecvStream<Res>), Status>> + Send
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
    {
        self.streaming::<C, Req, Res>(method, options, ChainStage::New)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::task::{Context, Waker};

    use super::*;
    use crate::lock::lock;
    use crate::status::Code;
    use crate::{ProtoCodec, credentials};

    #[tokio::test]
    async fn a_call_that_is_dropped_while_it_waits_for_the_resolver_tells_its_hooks() {
        let conn = ClientConn::new("passthrough:///a", credentials::insecure()).expect("valid");
        let ended = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&ended);
        let mut options = CallOptions::new();
        options.on_finish(move |outcome| lock(&hook).push(outcome.map_err(Status::code)));
        let method = MethodName::from_static("/a.B/C");
        {
            let mut call = pin!(conn.invoke::<_, (), ()>(ProtoCodec, method, (), options));
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            assert!(lock(&ended).is_empty());
        }
        assert_eq!(*lock(&ended), [Err(Code::Cancelled)]);
    }

    #[test]
    fn the_future_of_a_unary_call_is_small() {
        let conn = ClientConn::new("passthrough:///a", credentials::insecure()).expect("valid");
        let method = MethodName::from_static("/a.B/C");
        let call = conn.invoke::<_, (), ()>(ProtoCodec, method, (), CallOptions::new());
        // It is allocated for every call.
        assert!(size_of_val(&call) <= 744, "{}", size_of_val(&call));
    }
}
