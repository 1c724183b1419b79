use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::ClientConn;
use super::attempt::Start;
use super::call::ClientCall;
use super::deadline::Bounds;
use super::plan::Plan;
use super::retry::{Attempts, Failure, Next};
use super::schedule::none_left;
use super::stream_call::StreamCall;
use super::wait::{GivenUp, Wait};
use crate::call::{
    CallOptions, Finish, Invoke, MessageSink, MessageSource, MethodName, RecvStream, Response,
    SendStream,
};
use crate::codec::{Codec, frame_with};
use crate::pieces::Pieces;
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
            return Ok(plan);
        }
        // The first call waits until the target has been resolved.
        self.start()?;
        let given_up = GivenUp::default();
        let config = async {
            let waiting = given_up.waiting(|| Some(Wait::Resolver));
            let config = self.cell().wait_for_call_config().await;
            waiting.over();
            config
        };
        // Boxed, so that later calls do not carry the room for it.
        let bounds = Bounds::new(options);
        let config = Box::pin(async {
            let config = pin!(Some(config));
            bounds.run(config, self.target(), || given_up.take()).await
        });
        Ok(config.await?.configure(method, options))
    }

    /// A call with one message each way: one attempt after the other.
    async fn call<C, Req, Res>(
        &self,
        method: &MethodName,
        message: &Req,
        options: &CallOptions,
        bounds: &Bounds,
        mut attempts: Attempts,
        given_up: &GivenUp,
    ) -> Result<Response<Res>, Status>
    where
        C: Codec<Req> + Codec<Res>,
    {
        let frame = || {
            let max = options.max_send_message_size();
            frame_with::<C, Req>(message, options.send_compressor(), max)
        };
        let compressed = match options.send_compressor() {
            Some(_) => Some(Box::new(frame()?)),
            None => None,
        };
        loop {
            // What is not compressed is framed for each attempt again, which are few: keeping the bytes
            // for the next would cost every call an allocation.
            let framed = match &compressed {
                Some(framed) => Pieces::clone(framed),
                None => frame()?,
            };
            let previous = attempts.previous();
            let attempt =
                self.attempt::<C, Res>(method, options, bounds, previous, framed, given_up);
            let failure = match attempt.await {
                Ok(response) => {
                    attempts.succeeded();
                    return Ok(response);
                }
                Err(failure) => failure,
            };
            match attempts.failed(&failure, fastrand::f64()) {
                Next::After(Duration::ZERO) => {}
                Next::After(delay) => {
                    let next = attempts.previous() + 1;
                    let waiting = given_up.waiting(|| {
                        Some(Wait::Backoff {
                            attempt: next,
                            last: failure.status,
                        })
                    });
                    sleep(delay).await;
                    waiting.over();
                }
                Next::GiveUp => return Err(failure.status),
                Next::NoneLeft => return Err(none_left(failure.status, previous + 1)),
            }
        }
    }

    /// One attempt at a call with one message each way: sends the message and waits for the
    /// response.
    async fn attempt<C: Codec<Res>, Res>(
        &self,
        method: &MethodName,
        options: &CallOptions,
        bounds: &Bounds,
        previous_attempts: u32,
        framed: Pieces,
        given_up: &GivenUp,
    ) -> Result<Response<Res>, Failure> {
        let opening = self.open(
            method,
            C::NAME,
            options,
            previous_attempts,
            Some(framed),
            given_up,
        );
        let call = Arc::new(ClientCall::new(opening.await?, bounds.clone()));
        let responses = RecvStream::new::<C>(
            Arc::clone(&call) as Arc<dyn MessageSource>,
            options.max_receive_message_size(),
        )
        .accepting(options.accept_compressors());
        let mut response = pin!(responses.into_response());
        let waiting = given_up.waiting(|| Some(call.waits_for()));
        let response = response.as_mut().await;
        waiting.over();
        response.map_err(|status| call.failure(status))
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
        let plan = self.prepare(&method, &mut options).await;
        let finish = Finish::new(options.take_on_finish());
        let bounds = Bounds::new(&options);
        let result = match plan {
            Err(status) => Err(status),
            Ok(Plan::Retry(attempts)) => {
                let given_up = GivenUp::default();
                let call =
                    self.call::<C, _, _>(&method, &message, &options, &bounds, attempts, &given_up);
                let call = pin!(Some(call));
                bounds.run(call, self.target(), || given_up.take()).await
            }
            // Boxed, so that calls without hedging do not keep the room for it.
            Ok(plan) => {
                Box::pin(async {
                    let max = options.max_receive_message_size();
                    let compressor = options.send_compressor();
                    let max_send = options.max_send_message_size();
                    let framed = frame_with::<C, Req>(&message, compressor, max_send)?;
                    let accepted = options.accept_compressors().cloned();
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
                        let responses = RecvStream::new::<C>(Arc::clone(&call) as _, max)
                            .accepting(accepted.as_ref());
                        let mut response = pin!(responses.into_response());
                        let waiting = given_up.waiting(|| call.give_up());
                        let response = response.as_mut().await;
                        waiting.over();
                        response
                    };
                    let response = pin!(Some(response));
                    bounds
                        .run(response, self.target(), || given_up.take())
                        .await
                })
                .await
            }
        };
        finish.call(result.as_ref().map(|_| ()));
        result
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
            Err(status) => {
                finish.call(Err(&status));
                return Err(status);
            }
        };
        let bounds = Bounds::new(&options);
        let max_send = options.max_send_message_size();
        let max_receive = options.max_receive_message_size();
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
