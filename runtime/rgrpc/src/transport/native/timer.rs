//! The one timer of a connection, for all its deadlines. Owned and polled by the connection's task.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes the connection's task at a deadline, or before it.
///
/// A deadline that moves to a later time does not touch the timer. The task is woken at the earlier
/// time and asks again. So activity that moves deadlines costs one comparison in each turn.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Returns whether the deadline has come. If not, the task is woken when it may have.
    ///
    /// The runtime decides, because it has polled the sockets before. A clock would report the
    /// deadline also when the task runs late, before it can see its socket's input.
    pub(super) fn has_come(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = deadline else {
            // A needless wake-up is cheaper than clearing the timer each time.
            return false;
        };
        let sleep = match &mut self.sleep {
            Some(sleep) if sleep.deadline() <= deadline && !sleep.is_elapsed() => return false,
            Some(sleep) if sleep.deadline() >= deadline && sleep.is_elapsed() => return true,
            Some(sleep) => {
                sleep.as_mut().reset(deadline);
                sleep
            }
            None => self.sleep.insert(Box::pin(sleep_until(deadline))),
        };
        // Polled once each time that it is set, because the waker is always that of the same task.
        // The runtime's budget for the task must not prevent that.
        matches!(pin!(unconstrained(sleep)).poll(cx), Poll::Ready(()))
    }
}

/// The time without anything to read after which a connection counts as idle.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// The idleness of a connection, reported once until it is used again.
///
/// An active connection pays a comparison in each turn, and one wake-up a second.
#[derive(Debug, Default)]
pub(super) struct IdleWatch {
    /// The connection was used since the last check.
    used: bool,
    next_look: Option<Instant>,
}

impl IdleWatch {
    /// Records that something was read.
    pub(super) fn used(&mut self) {
        self.used = true;
    }

    /// The time of the next call of [`became_idle`](Self::became_idle).
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next_look
    }

    /// Returns whether the connection has become idle by `now`. Called before the task sleeps.
    pub(super) fn became_idle(&mut self, now: Instant) -> bool {
        match self.next_look {
            Some(next_look) if now < next_look => return false,
            Some(_) if !self.used => {
                self.next_look = None;
                return true;
            }
            None if !self.used => return false,
            _ => {}
        }
        self.used = false;
        self.next_look = Some(now + IDLE_AFTER);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_connection_is_idle_once_after_nothing_was_read_for_a_second() {
        let mut watch = IdleWatch::default();
        let mut now = Instant::now();
        assert!(!watch.became_idle(now), "it was never used");
        assert_eq!(watch.deadline(), None);
        for _ in 0..3 {
            watch.used();
            assert!(!watch.became_idle(now));
            assert_eq!(watch.deadline(), Some(now + IDLE_AFTER));
            now += IDLE_AFTER - Duration::from_millis(1);
            assert!(!watch.became_idle(now));
            watch.used();
            now += Duration::from_millis(1);
            assert!(!watch.became_idle(now), "it was used meanwhile");
            now += IDLE_AFTER;
            assert!(watch.became_idle(now));
            assert!(!watch.became_idle(now), "said once");
        }
    }

    /// Waits with the timer until the deadline has come, which starts at `deadline` and is later by
    /// `moves` from then on. Returns how often the task was woken.
    async fn wait(timer: &mut Timer, deadline: Instant, moves: &[Duration]) -> usize {
        let (mut deadline, mut moves, mut polls) = (deadline, moves.iter(), 0);
        poll_fn(|cx| {
            polls += 1;
            if timer.has_come(Some(deadline), cx) {
                return Poll::Ready(());
            }
            if let Some(by) = moves.next() {
                deadline += *by;
            }
            Poll::Pending
        })
        .await;
        polls - 1
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_is_woken_at_the_deadline_and_again_at_one_that_was_moved() {
        let mut timer = Timer::default();
        let begun = Instant::now();
        assert_eq!(wait(&mut timer, begun + SECOND, &[]).await, 1);
        assert_eq!(begun.elapsed(), SECOND);
        // Later deadlines are not set at once.
        let wakes = wait(&mut timer, begun + 2 * SECOND, &[SECOND, SECOND]).await;
        assert_eq!(begun.elapsed(), 4 * SECOND);
        assert_eq!(wakes, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_deadline_is_set_at_once_and_none_is_never() {
        let mut timer = Timer::default();
        let begun = Instant::now();
        poll_fn(|cx| {
            assert!(!timer.has_come(Some(begun + 9 * SECOND), cx));
            assert!(!timer.has_come(None, cx));
            Poll::Ready(())
        })
        .await;
        assert_eq!(wait(&mut timer, begun + SECOND, &[]).await, 1);
        assert_eq!(begun.elapsed(), SECOND);
    }
}
