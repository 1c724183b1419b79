//! The turns of a connection's task, alike on clients and servers.
//!
//! In a turn the task takes the calls' posts, reads, handles what has come, and writes all output at
//! once. It sleeps when a turn has found nothing. The engine of each side implements the steps that
//! differ; [`poll`](ConnectionTask::poll) runs the turns.

use std::task::{Context, Poll};

use tokio::time::Instant;

use super::link::{End, Link};
use super::outbox::Outbox;

/// A turn, when the posts were taken and the socket was read.
pub(super) struct Turn {
    pub(super) now: Instant,
    /// The number of posts that were taken.
    pub(super) posted: usize,
    /// Something was read.
    pub(super) read: bool,
}

/// The task of a connection: the steps of its turns that differ between clients and servers.
pub(super) trait ConnectionTask {
    /// The core's value of a stream.
    type Stream;
    /// The core's form of a header block.
    type Head: Clone;
    type Post;

    fn link(&mut self) -> &mut Link<Self::Stream, Self::Head>;

    fn outbox(&self) -> &Outbox<Self::Post>;

    /// The memory of posts that were taken.
    fn posts(&mut self) -> &mut Vec<Self::Post>;

    /// Handles a post.
    fn send(&mut self, post: Self::Post);

    /// Returns whether the last turn has left events of its read to this one.
    fn has_unhandled(&self) -> bool {
        false
    }

    /// Returns whether calls have begun and were not polled.
    fn has_new_calls(&self) -> bool {
        false
    }

    /// Handles what has come, before the output is written. Returns `false` if the output waits for
    /// more; the task is woken then.
    fn work(&mut self, turn: &Turn, cx: &mut Context<'_>) -> Result<bool, End>;

    /// Handles the core's events. Returns `false` if it has left some to the next turn.
    fn handle_events(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, End>;

    /// Prepares the task's sleep, when all input was read. Returns the earliest deadline that is not
    /// the core's: those of keepalive and, on a server, of the client's preface.
    fn prepare_sleep(&mut self, now: Instant) -> Result<Option<Instant>, End>;

    /// Releases memory that is only held for speed.
    fn shrink(&mut self);

    /// Handles the deadlines of [`prepare_sleep`](Self::prepare_sleep) that have come.
    fn handle_timeout(&mut self, now: Instant) -> Result<(), End>;

    /// Takes turns until there is nothing to do. Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut last = None;
        loop {
            match self.turn(&mut last, cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(end) => return Poll::Ready(end),
            }
        }
    }

    /// Takes a turn. Returns whether there may be more to do; otherwise the task is woken later.
    /// `last` is the time of the last turn since the task was woken.
    #[inline]
    fn turn(&mut self, last: &mut Option<Instant>, cx: &mut Context<'_>) -> Result<bool, End> {
        let posted = self.do_posts();
        let read = self.has_unhandled() || self.link().read(cx)?;
        if let Some(last) = *last
            && !read
            && posted == 0
            && !self.has_new_calls()
            && self.link().core.output().is_empty()
        {
            return self.sleep(last, cx);
        }
        let now = *last.insert(Instant::now());
        if !self.work(&Turn { now, posted, read }, cx)? {
            return Ok(false);
        }
        self.link().write(cx)?;
        let handled = self.handle_events(now, cx)?;
        if read || !handled {
            return Ok(true);
        }
        self.sleep(now, cx)
    }

    /// Handles the calls' posts. Returns their number.
    #[inline]
    fn do_posts(&mut self) -> usize {
        if self.outbox().is_empty() {
            return 0;
        }
        let mut posts = std::mem::take(self.posts());
        self.outbox().take(&mut posts);
        let posted = posts.len();
        for post in posts.drain(..) {
            self.send(post);
        }
        *self.posts() = posts;
        posted
    }

    /// Waits for the next event. Returns `true` if there is one already. The last turn was at
    /// `now`.
    fn sleep(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, End> {
        let deadline = self.prepare_sleep(now)?;
        self.link().publish_stats(now);
        if self.link().shrink_if_idle(now) {
            *self.posts() = Vec::new();
            self.outbox().shrink();
            self.shrink();
        }
        if self.link().poll_deadline(now, deadline, cx)? {
            self.handle_timeout(now)?;
        }
        Ok(!self.outbox().sleep(cx))
    }
}
