use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How long a connection has nothing to read until it counts as idle.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// Notices that a connection has become idle: once, until it is used again.
///
/// Costs a connection that is in use a comparison a turn, and one wake a second.
#[derive(Debug, Default)]
pub(super) struct IdleWatch {
    /// The connection was used since the last look.
    used: bool,
    next_look: Option<Pin<Box<Sleep>>>,
}

impl IdleWatch {
    /// Something was read.
    pub(super) fn used(&mut self) {
        self.used = true;
    }

    /// Whether the connection has become idle by `now`. Called before the task sleeps, which is
    /// woken for the next look.
    pub(super) fn became_idle(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        match &self.next_look {
            Some(next_look) if now < next_look.deadline() => return false,
            Some(_) if !self.used => {
                self.next_look = None;
                return true;
            }
            None if !self.used => return false,
            _ => {}
        }
        self.used = false;
        let mut next_look = Box::pin(sleep_until(now + IDLE_AFTER));
        // Once is enough: it is always the same task that is to be woken.
        let _ = next_look.as_mut().poll(cx);
        self.next_look = Some(next_look);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    async fn became_idle(watch: &mut IdleWatch) -> bool {
        poll_fn(|cx| Poll::Ready(watch.became_idle(Instant::now(), cx))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_once_after_nothing_was_read_for_a_second() {
        let mut watch = IdleWatch::default();
        assert!(!became_idle(&mut watch).await, "it was never used");
        for _ in 0..3 {
            watch.used();
            assert!(!became_idle(&mut watch).await);
            tokio::time::advance(IDLE_AFTER - Duration::from_millis(1)).await;
            assert!(!became_idle(&mut watch).await);
            watch.used();
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(!became_idle(&mut watch).await, "it was used meanwhile");
            tokio::time::advance(IDLE_AFTER).await;
            assert!(became_idle(&mut watch).await);
            assert!(!became_idle(&mut watch).await, "said once");
        }
    }
}
