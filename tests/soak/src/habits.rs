//! The habits of a side: how it reads, and what it does between sends.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rgrpc::{RecvStream, SendStream, Status};
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::proto::Message;

/// The way a side receives a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// It waits.
    Steady,
    /// It polls a future once and drops it, again and again, with pauses.
    PollAndDrop,
    /// It polls a future once, drops it, and then waits with another.
    PollOnce,
    /// It pauses before it waits.
    Late,
    /// One of these for each message.
    Mixed,
}

/// The way a side reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    reading: Reading,
    /// It pauses before some of the messages that it sends.
    pauses: bool,
    random: fastrand::Rng,
}

impl Habits {
    pub(crate) fn new(random: &mut fastrand::Rng) -> Self {
        let reading = match random.u8(..6) {
            0 | 1 => Reading::Steady,
            2 => Reading::PollAndDrop,
            3 => Reading::PollOnce,
            4 => Reading::Late,
            _ => Reading::Mixed,
        };
        Self {
            reading,
            pauses: random.u8(..3) == 0,
            random: random.fork(),
        }
    }

    /// Receives a message.
    pub(crate) async fn recv(
        &mut self,
        stream: &mut RecvStream<Message>,
    ) -> Result<Option<Message>, Status> {
        let reading = match self.reading {
            Reading::Mixed => [
                Reading::Steady,
                Reading::PollAndDrop,
                Reading::PollOnce,
                Reading::Late,
            ][self.random.usize(..4)],
            reading => reading,
        };
        match reading {
            Reading::Steady | Reading::Mixed => stream.recv().await,
            Reading::PollAndDrop => loop {
                if let Poll::Ready(received) = poll_once(stream.recv()).await {
                    return received;
                }
                self.pause().await;
            },
            Reading::PollOnce => {
                if let Poll::Ready(received) = poll_once(stream.recv()).await {
                    return received;
                }
                self.pause().await;
                stream.recv().await
            }
            Reading::Late => {
                self.pause().await;
                stream.recv().await
            }
        }
    }

    /// Sends a message.
    pub(crate) async fn send(
        &mut self,
        stream: &mut SendStream<Message>,
        message: Message,
    ) -> Result<(), Status> {
        if self.pauses && self.random.bool() {
            self.pause().await;
        }
        stream.send(message).await
    }

    async fn pause(&mut self) {
        match self.random.u8(..3) {
            0 => yield_now().await,
            1 => sleep(Duration::from_micros(self.random.u64(..200))).await,
            _ => sleep(Duration::from_millis(self.random.u64(..3))).await,
        }
    }
}

/// Polls a future once, and drops it.
async fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}
