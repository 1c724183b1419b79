//! An attempt that counts towards its channel's activity, and in the numbers of its calls.
//!
//! Created when an attempt begins, on the caller's task.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::ClientConn;

/// The place of an attempt among its channel's active calls, from before it has a connection until it
/// ends.
///
/// It keeps its channel open.
pub(in crate::client::call) struct CountedAttempt {
    conn: ClientConn,
    ended: AtomicBool,
}

impl CountedAttempt {
    /// Begins an attempt; `is_first` says that it is the first of its call. The channel does not go
    /// idle from then on.
    pub(in crate::client::call) fn begin(conn: ClientConn, is_first: bool) -> Self {
        conn.shared().calls.begin(is_first);
        Self {
            conn,
            ended: AtomicBool::new(false),
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

impl Drop for CountedAttempt {
    #[inline]
    fn drop(&mut self) {
        self.end(false);
    }
}
