//! The posts of a connection's calls to its task. Calls post from any task; the connection's task
//! takes the posts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use crate::lock::lock;

/// The posts of a connection's calls to its task.
///
/// A post wakes the task only when it sleeps. The posts of handlers that the task itself polls cost
/// no wake-up.
pub(super) struct Outbox<P> {
    state: Mutex<OutboxState<P>>,
    /// True if there are posts, or the task sleeps. The task reads it often, without the lock.
    concerns_task: AtomicBool,
}

struct OutboxState<P> {
    posts: Vec<P>,
    /// The sleeping task.
    sleeper: Option<Waker>,
    /// The task has ended.
    closed: bool,
}

impl<P> Outbox<P> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(OutboxState {
                posts: Vec::new(),
                sleeper: None,
                closed: false,
            }),
            concerns_task: AtomicBool::new(false),
        }
    }

    /// Posts to the task. Returns the post when the task has ended.
    pub(super) fn post(&self, post: P) -> Result<(), P> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(post);
        }
        state.posts.push(post);
        self.concerns_task.store(true, Ordering::Release);
        let sleeper = state.sleeper.take();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        Ok(())
    }

    /// Returns whether there is nothing to [take](Self::take). The task may miss a concurrent post;
    /// it sees that when it is about to [sleep](Self::sleep).
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        !self.concerns_task.load(Ordering::Acquire)
    }

    /// Takes all posts, in order. `into` is empty and keeps its memory for the next time. The task
    /// is awake.
    pub(super) fn take(&self, into: &mut Vec<P>) {
        let mut state = lock(&self.state);
        state.sleeper = None;
        self.concerns_task.store(false, Ordering::Release);
        std::mem::swap(&mut state.posts, into);
    }

    /// Releases memory that is only held for speed.
    pub(super) fn shrink(&self) {
        lock(&self.state).posts.shrink_to_fit();
    }

    /// Prepares the task's sleep. Returns `false` when there are posts.
    pub(super) fn sleep(&self, cx: &Context<'_>) -> bool {
        let mut state = lock(&self.state);
        if !state.posts.is_empty() {
            return false;
        }
        state.sleeper = Some(cx.waker().clone());
        self.concerns_task.store(true, Ordering::Release);
        true
    }

    /// Closes the outbox when the task ends. Returns the posts that were not handled.
    pub(super) fn close(&self) -> Vec<P> {
        let mut state = lock(&self.state);
        state.closed = true;
        std::mem::take(&mut state.posts)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn only_a_sleeping_task_is_woken_and_once() {
        let outbox = Outbox::new();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let cx = Context::from_waker(&waker);

        assert!(outbox.is_empty());
        assert_eq!(outbox.post(1), Ok(()));
        assert!(!outbox.is_empty());
        assert!(!outbox.sleep(&cx), "there is a post");
        let mut taken = Vec::new();
        outbox.take(&mut taken);
        assert_eq!(taken, [1]);
        assert!(outbox.is_empty());
        assert!(outbox.sleep(&cx));
        assert!(!outbox.is_empty(), "who wakes is to forget the sleeper");
        assert_eq!(outbox.post(2), Ok(()));
        assert_eq!(outbox.post(3), Ok(()));
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        assert_eq!(outbox.close(), [2, 3]);
        assert_eq!(outbox.post(4), Err(4));
    }
}
