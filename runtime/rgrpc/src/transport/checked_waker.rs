//! A waker for tests of streams: it notes the wake-ups that come while the stream's lock is held. A
//! task whose executor polls it within `wake` would lock the stream again, and wait forever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::task::{Wake, Waker};

/// The wake-ups of a task that waits for a stream.
pub(super) struct CheckedWakes {
    is_locked: Box<dyn Fn() -> bool + Send + Sync>,
    free: AtomicUsize,
    locked: AtomicUsize,
}

impl CheckedWakes {
    /// Creates the wake-ups of a task that takes a lock when it is woken.
    pub(super) fn new(is_locked: impl Fn() -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            is_locked: Box::new(is_locked),
            free: AtomicUsize::new(0),
            locked: AtomicUsize::new(0),
        })
    }

    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Returns the number of wake-ups without the lock and of those under it, since the last call.
    pub(super) fn take(&self) -> (usize, usize) {
        let [free, locked] =
            [&self.free, &self.locked].map(|count| count.swap(0, Ordering::SeqCst));
        (free, locked)
    }
}

impl Wake for CheckedWakes {
    fn wake(self: Arc<Self>) {
        let count = if (self.is_locked)() {
            &self.locked
        } else {
            &self.free
        };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// Returns whether the mutex is locked.
pub(super) fn is_locked<T>(mutex: &Mutex<T>) -> bool {
    matches!(mutex.try_lock(), Err(TryLockError::WouldBlock))
}
