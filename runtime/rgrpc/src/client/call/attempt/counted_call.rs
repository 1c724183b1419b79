//! An attempt that counts towards its channel's activity, and in the numbers of its calls.
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
    /// Begins an attempt; `is_first` says that it is the first of its call. The channel does not go
    /// idle from then on; a call that begins while it does has to wait.
    pub(in crate::client::call) fn begin(
        conn: ClientConn,
        is_first: bool,
    ) -> Result<Self, GoingIdle> {
        let may_go_on = conn.shared().calls.begin(is_first);
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

    /// The attempt has ended, with OK or otherwise. Only the first end counts.
    pub(in crate::client::call) fn end(&self, is_ok: bool) {
        if !self.has_ended() && !self.ended.swap(true, Ordering::AcqRel) {
            self.conn.shared().calls.end(is_ok);
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
        self.end(false);
    }
}
