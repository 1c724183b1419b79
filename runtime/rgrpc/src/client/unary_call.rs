use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::ClientConn;
use super::call::ClientCall;
use super::opening::Opening;
use super::retry::{Attempts, Failure, Next};
use super::schedule::none_left;
use super::wait::{GivenUp, Wait};
use crate::call::{Accepted, CallOptions, MethodName, Response, receive_response};
use crate::codec::{Codec, MessageLimit, frame_with};
use crate::side::Side;
use crate::status::Status;
use crate::task::current_runtime;
use rgrpc_http2::BytesQueue;

/// A call with one message each way, one attempt after the other.
///
/// Most calls of most programs are such ones, and their futures are moved once and kept for as long as
/// the server takes: so what its functions need is here once, and they take references.
pub(super) struct UnaryCall<'a> {
    pub(super) conn: &'a ClientConn,
    pub(super) method: &'a MethodName,
    pub(super) options: &'a CallOptions,
    /// What it has waited for when it is given up.
    pub(super) given_up: GivenUp,
}

impl UnaryCall<'_> {
    /// Makes attempts until one has decided the call.
    pub(super) async fn run<C, Req, Res>(
        &self,
        message: &Req,
        attempts: &mut Attempts,
    ) -> Result<Response<Res>, Status>
    where
        C: Codec<Req> + Codec<Res>,
    {
        let compressed = match self.options.send_compressor() {
            Some(_) => Some(Box::new(self.frame::<C, Req>(message)?)),
            None => None,
        };
        loop {
            // What is not compressed is framed for each attempt again, which are few: keeping the bytes
            // for the next would cost every call an allocation.
            let mut framed = Some(match &compressed {
                Some(framed) => BytesQueue::clone(framed),
                None => self.frame::<C, Req>(message)?,
            });
            let previous = attempts.previous();
            let failure = match self.attempt::<C, Res>(previous, &mut framed).await {
                Ok(response) => {
                    attempts.succeeded();
                    return Ok(response);
                }
                Err(failure) => failure,
            };
            match attempts.failed(&failure, fastrand::f64()) {
                Next::After(Duration::ZERO) => {}
                // Boxed, so that calls that need no other attempt do not keep the room for it.
                Next::After(delay) => {
                    current_runtime("a call was made, which was to be tried again,")?;
                    let next = attempts.previous() + 1;
                    Box::pin(self.back_off(delay, next, failure.status)).await;
                }
                Next::GiveUp => return Err(failure.status),
                Next::Refused => return Err(attempts.refused(failure.status)),
                Next::NoneLeft => return Err(none_left(failure.status, previous + 1)),
            }
        }
    }

    fn frame<C: Codec<Req>, Req>(&self, message: &Req) -> Result<BytesQueue, Status> {
        let max = MessageLimit::new(Side::Client, self.options.max_send_message_size());
        frame_with::<C, Req>(message, self.options.send_compressor(), max)
    }

    /// Waits until this attempt is due; `last` is how the one before has failed.
    async fn back_off(&self, delay: Duration, attempt: u32, last: Status) {
        let wait = || Some(Wait::Backoff { attempt, last });
        let waiting = self.given_up.waiting(wait);
        sleep(delay).await;
        waiting.over();
    }

    /// One attempt: sends the message and waits for the response.
    async fn attempt<C: Codec<Res>, Res>(
        &self,
        previous_attempts: u32,
        framed: &mut Option<BytesQueue>,
    ) -> Result<Response<Res>, Failure> {
        let opening = Opening {
            conn: self.conn,
            method: self.method,
            content_subtype: C::NAME,
            options: self.options,
            previous_attempts,
            given_up: &self.given_up,
        };
        let opened = opening.open(framed).await?;
        let call = Arc::new(ClientCall::new(opened, self.options));
        let accepted = Accepted {
            limit: MessageLimit::new(Side::Client, self.options.max_receive_message_size()),
            encodings: self.options.accept_compressors(),
        };
        let waiting = self.given_up.waiting(|| Some(call.waits_for()));
        let response = receive_response::<C, Res>(&call, accepted).await;
        waiting.over();
        response.map_err(|status| call.failure(status))
    }
}
