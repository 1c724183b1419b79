use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use super::ClientConn;
use super::attempt::Start;
use super::deadline::Bounds;
use super::plan::Plan;
use super::stream_call::StreamCall;
use super::unary_call::UnaryCall;
use super::wait::{GivenUp, Wait};
use crate::call::{
    Accepted, CallOptions, Finish, Invoke, MessageSink, MethodName, RecvStream, Response,
    SendStream, receive_response,
};
use crate::codec::{Codec, MessageLimit, frame_with};
use crate::side::Side;
use crate::status::Status;

impl ClientConn {
    /// Completes a call's options, by the channel's defaults and by the service config; returns by
    /// what its attempts are governed.
    ///
    /// # Errors
    /// An option's value could not be taken.
    async fn prepare(&self, method: &str, options: &mut CallOptions) -> Result<Plan, Status> {
        let settings = self.settings();
        options.check()?;
        if let Some(defaults) = &settings.default_options {
            options.complete(defaults);
        }
        settings.compression.set_origin(&settings.origin, options)?;
        if let Some(plan) = self.cell().configure(method, options) {
            return Ok(plan.limit_transparent(settings.max_transparent_retries));
        }
        // The first call waits until the target has been resolved.
        let given_up = GivenUp::default();
        let config = async {
            let waiting = given_up.waiting(|| Some(Wait::Resolver));
            let wait_for_ready = options.wait_for_ready();
            let start = || self.start();
            let config = self.cell().wait_for_call_config(wait_for_ready, start);
            let config = config.await;
            waiting.over();
            config
        };
        // Boxed, so that later calls do not carry the room for it.
        let bounds = Bounds::new(options);
        let config = Box::pin(async {
            let config = pin!(Some(config));
            bounds.run(config, self.target(), || given_up.take()).await
        });
        let plan = config.await?.configure(method, options);
        Ok(plan.limit_transparent(settings.max_transparent_retries))
    }

    /// A call with one message each way, several attempts at once.
    async fn hedge<C, Req, Res>(
        &self,
        method: MethodName,
        message: &Req,
        options: CallOptions,
        plan: Plan,
    ) -> Result<Response<Res>, Status>
    where
        C: Codec<Req> + Codec<Res>,
    {
        let bounds = Bounds::new(&options);
        let max_send = MessageLimit::new(Side::Client, options.max_send_message_size());
        let framed = frame_with::<C, Req>(message, options.send_compressor(), max_send)?;
        let limit = MessageLimit::new(Side::Client, options.max_receive_message_size());
        let encodings = options.accept_compressors().cloned();
        let start = Start {
            conn: self.clone(),
            method,
            content_subtype: <C as Codec<Res>>::NAME,
            options,
            bounds: bounds.clone(),
            only_message: Some(framed),
            given_up: GivenUp::default(),
        };
        let call = Arc::new(StreamCall::new(start, plan, Finish::default()));
        let given_up = GivenUp::default();
        let response = async {
            let accepted = Accepted {
                limit,
                encodings: encodings.as_ref(),
            };
            let mut response = pin!(receive_response::<C, Res>(&call, accepted));
            let waiting = given_up.waiting(|| call.give_up());
            let response = response.as_mut().await;
            waiting.over();
            response
        };
        let response = pin!(Some(response));
        bounds
            .run(response, self.target(), || given_up.take())
            .await
    }
}

impl Invoke for ClientConn {
    #[expect(
        clippy::manual_async_fn,
        reason = "an async function keeps its arguments twice"
    )]
    fn invoke<C, Req, Res>(
        &self,
        _codec: C,
        method: MethodName,
        message: Req,
        mut options: CallOptions,
    ) -> impl Future<Output = Result<Response<Res>, Status>> + Send
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        async move {
            let plan = self.prepare(&method, &mut options).await;
            let finish = Finish::new(options.take_on_finish());
            let mut attempts = match plan {
                Ok(Plan::Retry(attempts)) => attempts,
                // Boxed, so that calls without hedging do not keep the room for it.
                Ok(plan) => {
                    let call = self.hedge::<C, _, _>(method, &message, options, plan);
                    return finish.with(Box::pin(call).await);
                }
                Err(status) => return finish.with(Err(status)),
            };
            let call = UnaryCall {
                conn: self,
                method: &method,
                options: &options,
                given_up: GivenUp::default(),
            };
            let run = pin!(Some(call.run::<C, _, _>(&message, &mut attempts)));
            let waited_for = || call.given_up.take();
            let bounds = Bounds::new(&options);
            finish.with(bounds.run(run, self.target(), waited_for).await)
        }
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
        let plan = self.prepare(&method, &mut options).await;
        let finish = Finish::new(options.take_on_finish());
        let plan = match plan {
            Ok(plan) => plan,
            Err(status) => return finish.with(Err(status)),
        };
        let bounds = Bounds::new(&options);
        let max_send = MessageLimit::new(Side::Client, options.max_send_message_size());
        let max_receive = MessageLimit::new(Side::Client, options.max_receive_message_size());
        let accepted = options.accept_compressors().cloned();
        let start = Start {
            conn: self.clone(),
            method,
            content_subtype: <C as Codec<Res>>::NAME,
            options,
            bounds: bounds.clone(),
            only_message: None,
            given_up: GivenUp::default(),
        };
        let call = Arc::new(StreamCall::new(start, plan, finish));
        let opened = {
            let opened = pin!(Some(call.opened()));
            let waited_for = || call.give_up();
            bounds.run(opened, self.target(), waited_for).await
        };
        if let Err(status) = opened {
            call.finish(Err(&status));
            return Err(status);
        }
        call.watch_bounds();
        let requests = SendStream::new::<C>(Arc::clone(&call) as Arc<dyn MessageSink>, max_send);
        let responses = RecvStream::new::<C>(call, max_receive).accepting(accepted.as_ref());
        Ok((requests, responses))
    }
}
