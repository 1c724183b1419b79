//! A handler that never returns, and how a test sees that it began and that it was dropped.

use std::convert::Infallible;
use std::future::pending;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::soon;

/// For a handler to call, any number of times.
#[derive(Clone, Debug)]
pub struct Hang(UnboundedSender<Event>);

/// The events of hanging handlers.
#[derive(Debug)]
pub struct HangWatch(UnboundedReceiver<Event>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Begun,
    Dropped,
}

/// A way to hang, and to watch that.
pub fn hang() -> (Hang, HangWatch) {
    let (sender, receiver) = unbounded_channel();
    (Hang(sender), HangWatch(receiver))
}

impl Hang {
    /// Never ready; reports to the test when it is first polled and when it is dropped.
    pub async fn forever(&self) -> Infallible {
        let _tell = TellWhenDropped(self.0.clone());
        self.tell(Event::Begun);
        pending().await
    }

    fn tell(&self, event: Event) {
        // The test may have seen enough.
        let _ = self.0.send(event);
    }
}

struct TellWhenDropped(UnboundedSender<Event>);

impl Drop for TellWhenDropped {
    fn drop(&mut self) {
        // As above.
        let _ = self.0.send(Event::Dropped);
    }
}

impl HangWatch {
    /// Waits until a handler hangs.
    pub async fn begun(&mut self) {
        self.next(Event::Begun).await;
    }

    /// Waits until a handler that hung has been dropped.
    pub async fn dropped(&mut self) {
        self.next(Event::Dropped).await;
    }

    /// The numbers of handlers that have begun to hang and that were dropped, among the events that
    /// the test has not read.
    pub fn counts(&mut self) -> (usize, usize) {
        let (mut begun, mut dropped) = (0, 0);
        while let Ok(event) = self.0.try_recv() {
            match event {
                Event::Begun => begun += 1,
                Event::Dropped => dropped += 1,
            }
        }
        (begun, dropped)
    }

    /// Returns whether there is no event that the test has not read.
    pub fn is_quiet(&mut self) -> bool {
        self.0.try_recv().is_err()
    }

    async fn next(&mut self, expected: Event) {
        let event = soon(self.0.recv()).await;
        assert_eq!(event, Some(expected), "what the handler told");
    }
}
