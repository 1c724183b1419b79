use std::time::Duration;

use tokio::time::Instant;

use super::ClientConn;
use super::call::Opened;
use super::calls::CountedCall;
use super::picker::Picked;
use super::retry::Failure;
use super::wait::{GivenUp, deadline_exceeded};
use crate::balancer::PickInfo;
use crate::call::{CallOptions, MethodName};
use crate::status::Status;
use crate::transport::{OpenError, OpenRequest};
use rgrpc_http2::BytesQueue;

/// A stream that is to be opened for a call.
///
/// What it may have to wait for is boxed: calls that find a connection at once, as most do, do not keep
/// the room for it.
pub(super) struct Opening<'a> {
    pub(super) conn: &'a ClientConn,
    pub(super) method: &'a MethodName,
    pub(super) content_subtype: &'static str,
    pub(super) options: &'a CallOptions,
    pub(super) previous_attempts: u32,
    /// What it has waited for when it is given up.
    pub(super) given_up: &'a GivenUp,
}

impl Opening<'_> {
    /// Opens it, on a connection that takes it, and takes the call's only message if there is one. The
    /// call counts from here on.
    pub(super) async fn open(
        &self,
        only_message: &mut Option<BytesQueue>,
    ) -> Result<Opened, Failure> {
        let Self {
            conn,
            method,
            options,
            ..
        } = *self;
        if !method.starts_with('/') {
            return Err(malformed(method));
        }
        let counted = match CountedCall::begin(conn.clone()) {
            Ok(counted) => counted,
            Err(going_idle) => Box::pin(going_idle.wait()).await,
        };
        loop {
            let info = PickInfo::new(method, options.metadata());
            let Picked { permit, done } = match conn.cell().ready(&info) {
                Some(picked) => picked,
                None => Box::pin(self.wait_for_pick(&info)).await?,
            };
            let peer = permit.transport.peer();
            let vetted = if conn.vets(options) {
                Box::pin(conn.vet(method, options, peer, self.given_up)).await?
            } else {
                None
            };
            let opened = permit.transport.open(OpenRequest {
                path: method,
                origin: options.origin().unwrap_or(&conn.settings().origin),
                content_subtype: self.content_subtype,
                previous_attempts: self.previous_attempts,
                timeout: self.timeout()?,
                metadata: vetted.as_ref().unwrap_or(options.metadata()),
                only_message: only_message.take(),
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
                    *only_message = message;
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// The connection for the call, which is not ready. The first call starts the channel's task,
    /// and so does one that finds it lost.
    async fn wait_for_pick(&self, info: &PickInfo<'_>) -> Result<Picked, Failure> {
        let wait_for_ready = self.options.wait_for_ready();
        let start = || self.conn.start();
        let cell = self.conn.cell();
        cell.pick(info, wait_for_ready, self.given_up, start).await
    }

    /// What is left until the deadline, if the call has one: else the clock is not read.
    fn timeout(&self) -> Result<Option<Duration>, Failure> {
        let Some(deadline) = self.options.deadline() else {
            return Ok(None);
        };
        let left = time_left(deadline, Instant::now());
        let passed = || Failure::here(deadline_exceeded(self.conn.target(), None));
        left.map(Some).ok_or_else(passed)
    }
}

/// What is left until the deadline at `now`; `None` when it has passed.
fn time_left(deadline: Instant, now: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(now);
    (!left.is_zero()).then_some(left)
}

fn malformed(method: &str) -> Failure {
    Failure::here(Status::internal(format!(
        "malformed method name {method:?}: /service/method is expected"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_has_passed_from_its_own_moment_on() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        for (now, left) in [(0, Some(10)), (9, Some(1)), (10, None), (11, None)] {
            let left = left.map(Duration::from_millis);
            assert_eq!(time_left(at(10), at(now)), left, "at {now}");
        }
    }
}
