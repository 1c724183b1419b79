//! The wakers of the two halves of a streaming call.
//!
//! Registered by the tasks that poll the halves; woken by the attempts of the call, on any task.

use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use crate::lock::lock;

/// A half of a streaming call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamHalf {
    Send,
    Receive,
}

/// The tasks that wait for a call: one for each half. As a [`Waker`] it wakes both, so that either
/// can drive what both wait for.
#[derive(Default)]
pub(super) struct StreamWakers(Mutex<[Option<Waker>; 2]>);

impl StreamWakers {
    /// Remembers the task of a half, until it is woken.
    pub(super) fn register(&self, half: StreamHalf, waker: &Waker) {
        let mut wakers = lock(&self.0);
        let slot = &mut wakers[half as usize];
        if slot.as_ref().is_none_or(|slot| !slot.will_wake(waker)) {
            let previous = slot.replace(waker.clone());
            drop(wakers);
            // The last one of a task may drop that, which is done without the lock.
            drop(previous);
        }
    }

    /// Wakes the task of the other half.
    pub(super) fn wake_other(&self, half: StreamHalf) {
        let other = match half {
            StreamHalf::Send => StreamHalf::Receive,
            StreamHalf::Receive => StreamHalf::Send,
        };
        let waker = lock(&self.0)[other as usize].take();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Wakes both.
    pub(super) fn wake_all(&self) {
        let wakers = std::mem::take(&mut *lock(&self.0));
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Wake for StreamWakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts its wakes.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_wake_is_for_the_tasks_that_have_registered_since_the_last() {
        let wakers = Arc::new(StreamWakers::default());
        let tasks = [Arc::new(Task::default()), Arc::new(Task::default())];
        let register = |half: StreamHalf| {
            let task = Arc::clone(&tasks[half as usize]);
            wakers.register(half, &Waker::from(task));
        };
        let counts = || tasks.each_ref().map(|task| task.0.load(Ordering::Relaxed));
        let both = Waker::from(Arc::clone(&wakers));

        both.wake_by_ref();
        assert_eq!(counts(), [0, 0]);
        register(StreamHalf::Send);
        both.wake_by_ref();
        both.wake_by_ref();
        assert_eq!(counts(), [1, 0]);
        register(StreamHalf::Send);
        register(StreamHalf::Receive);
        wakers.wake_other(StreamHalf::Send);
        assert_eq!(counts(), [1, 1]);
        both.wake();
        assert_eq!(counts(), [2, 1]);
    }
}
