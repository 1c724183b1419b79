//! A call that counts towards its channel's activity.
//!
//! Created when an attempt begins, on the task that polls the call; ended with the attempt, or
//! dropped with it, on any task.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::yield_now;

use crate::client::ClientConn;

/// A call that counts, from before it has a connection until it ends.
///
/// It keeps its channel open.
pub(in crate::client::call) struct CountedCall {
    conn: ClientConn,
    ended: AtomicBool,
}

impl CountedCall {
    /// Begins a call. The channel does not go idle from then on; a call that begins while it does has
    /// to wait.
    pub(in crate::client::call) fn begin(conn: ClientConn) -> Result<Self, GoingIdle> {
        let may_go_on = conn.shared().calls.begin();
        let call = Self {
            conn,
            ended: AtomicBool::new(false),
        };
        if may_go_on {
            Ok(call)
        } else {
            Err(GoingIdle(call))
        }
    }

    pub(in crate::client::call) fn conn(&self) -> &ClientConn {
        &self.conn
    }

    /// The call counts no more. Idempotent.
    pub(in crate::client::call) fn end(&self) {
        if !self.has_ended() && !self.ended.swap(true, Ordering::AcqRel) {
            self.conn.shared().calls.end();
        }
    }

    pub(in crate::client::call) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// A call that has begun while its channel goes idle.
pub(in crate::client::call) struct GoingIdle(CountedCall);

impl GoingIdle {
    /// Waits until the channel is idle. The channel's task is on another thread, between two steps
    /// that do not wait.
    pub(in crate::client::call) async fn wait(self) -> CountedCall {
        while self.0.conn.shared().calls.is_going_idle() {
            yield_now().await;
        }
        self.0
    }
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        self.end();
    }
}
