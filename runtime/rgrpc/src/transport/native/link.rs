//! The socket of a connection and the protocol core on it. Owned by the connection's task, on
//! clients and servers.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use rgrpc_http2::frame::Head;
use rgrpc_http2::{Connection, ConnectionError, Event, SendError, StreamKey};
use tokio::time::{Instant, timeout};

use super::large_message::DirectRead;
use super::message_counter::MessageCounter;
use super::read_buffer::ReadBuffer;
use super::socket::Socket;
use super::timer::{IdleWatch, Timer};
use crate::transport::keepalive;
use crate::transport::statistics::{Counts, Registration};
use crate::transport::{DisconnectReason, GoAway};

/// The maximum time after the end of a connection to write the rest of its output and wait until
/// the peer closes.
const LINGER: Duration = Duration::from_secs(1);

/// The number of octets that are worth a write at once. A call that has posted is often one of many
/// that are about to post: tokio runs the connection right after the first of them.
///
/// Source: grpc-go `minBatchSize`.
const MIN_WRITE: usize = 1_000;

/// A socket and the protocol on it. The tasks of clients and servers own one each.
pub(super) struct Link<T, H> {
    pub(super) core: Connection<T, H>,
    socket: Socket,
    input: ReadBuffer,
    /// The DATA frame that is being read directly into its message, if any.
    direct_read: Option<DirectRead>,
    /// The message's buffer with the DATA of the last event, if that was read directly.
    direct_data: Option<Vec<u8>>,
    /// The last turn left its output to this one.
    waited: bool,
    timer: Timer,
    idle: IdleWatch,
    received: MessageCounter,
    messages_sent: u64,
    keepalives_sent: u64,
    registration: Registration,
}

/// The reason why a connection is over. Boxed, because the results of every turn reserve space for it.
pub(super) type End = Box<DisconnectReason>;

fn protocol_error(error: ConnectionError) -> End {
    Box::new(error.into())
}

fn io_error(error: io::Error) -> End {
    Box::new(DisconnectReason::of_io(Arc::new(error)))
}

impl<T, H: Clone> Link<T, H> {
    pub(super) fn new(core: Connection<T, H>, socket: Socket, registration: Registration) -> Self {
        Self {
            core,
            socket,
            input: ReadBuffer::new(),
            direct_read: None,
            direct_data: None,
            waited: false,
            timer: Timer::default(),
            idle: IdleWatch::default(),
            received: MessageCounter::default(),
            messages_sent: 0,
            keepalives_sent: 0,
            registration,
        }
    }

    /// Reads once, for [`next_event`](Self::next_event). Returns whether anything arrived.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let read = match &mut self.direct_read {
            Some(direct_read) => self.socket.poll_read(&mut direct_read.spare_capacity(), cx),
            None => self.socket.poll_read(self.input.with_spare_capacity(), cx),
        };
        match read {
            Poll::Pending => {
                self.input.park();
                Ok(false)
            }
            Poll::Ready(Ok(0)) => Err(Box::new(DisconnectReason::ClosedByPeer)),
            Poll::Ready(Ok(_)) => {
                match &mut self.direct_read {
                    Some(direct_read) => direct_read.move_beyond(self.input.with_spare_capacity()),
                    None => self.input.has_read(),
                }
                self.idle.used();
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(io_error(error)),
        }
    }

    /// Returns the next event; `None` until more is read or written. After [`Event::Data`],
    /// [`take_direct_data`](Self::take_direct_data) returns the DATA if it was read directly.
    #[inline]
    pub(super) fn next_event(&mut self, now: Instant) -> Result<Option<Event<H>>, End> {
        let now = now.into_std();
        if self.direct_read.is_some() {
            return self.next_event_direct(now);
        }
        // Returned as it comes: a look at it here would move it twice.
        self.core
            .next_event(self.input.unread(), now)
            .map_err(protocol_error)
    }

    /// Counts the messages in the DATA of an event that was not read directly.
    #[inline]
    pub(super) fn count_messages(&mut self, key: StreamKey, data: &[u8]) {
        self.received.received(key, data);
    }

    #[cold]
    fn next_event_direct(&mut self, now: std::time::Instant) -> Result<Option<Event<H>>, End> {
        let Some(direct_read) = self
            .direct_read
            .take_if(|direct_read| direct_read.is_whole())
        else {
            // The input was read before the rest of the frame, and must not follow it.
            let nothing = &mut BytesMut::new();
            return self.core.next_event(nothing, now).map_err(protocol_error);
        };
        let (head, message) = direct_read.into_parts();
        let length = head.length;
        let arrived = self.core.content_arrived(head, now);
        match arrived.map_err(protocol_error)? {
            Some(event) => {
                if let Event::Data { key, .. } = event {
                    self.received.received_octets(key, length);
                    self.direct_data = Some(message);
                }
                Ok(Some(event))
            }
            None => self
                .core
                .next_event(self.input.unread(), now)
                .map_err(protocol_error),
        }
    }

    /// Takes the buffer of the [direct read](Self::begin_direct_read) that the last event
    /// completed, if any.
    #[inline]
    pub(super) fn take_direct_data(&mut self) -> Option<Vec<u8>> {
        self.direct_data.take()
    }

    /// Begins a direct read when all events were taken and the input ends within a DATA frame. The
    /// frame's stream gives its message's buffer, and the next reads fill it.
    pub(super) fn begin_direct_read(
        &mut self,
        take_buffer: impl FnOnce(&T, usize) -> Option<Vec<u8>>,
    ) {
        let input = self.input.unread();
        if self.direct_read.is_none()
            && let Some((head, key)) = self.core.partial_content(input)
            && let Some(stream) = self.core.value_mut(key)
            && let Some(message) = take_buffer(stream, head.length)
        {
            self.direct_read = Some(DirectRead::new(head, message, &input[Head::LEN..]));
            input.clear();
        }
    }

    /// Returns the input that was not taken.
    pub(super) fn unread(&mut self) -> &[u8] {
        self.input.unread()
    }

    /// Returns whether the output is so small that other ready tasks get a turn first. It does so
    /// once; then the output is written.
    pub(super) fn waits_for_more(&mut self, cx: &mut Context<'_>) -> bool {
        let octets = self.core.output().len();
        if self.waited || !(1..MIN_WRITE).contains(&octets) {
            return false;
        }
        self.waited = true;
        cx.waker().wake_by_ref();
        true
    }

    /// Writes the output as far as the socket accepts it. Senders that may go on after it are
    /// events.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        self.waited = false;
        loop {
            let output = self.core.output();
            if output.is_empty() {
                break;
            }
            match self.socket.poll_write(output, cx) {
                Poll::Ready(written) => written.map_err(io_error)?,
                Poll::Pending => return Ok(()),
            }
        }
        match self.socket.poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(io_error(error)),
            Poll::Ready(Ok(())) if self.core.is_drained() => {
                Err(Box::new(DisconnectReason::ClosedLocally))
            }
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Waits for the earliest deadline of the core and of `keepalive`. Returns whether it has come.
    /// The core has then handled its own deadline, and the task is polled again to write the
    /// result.
    pub(super) fn poll_deadline(
        &mut self,
        now: Instant,
        keepalive: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Result<bool, End> {
        let core = self.core.next_deadline().map(Instant::from_std);
        let deadlines = [core, keepalive, self.idle.deadline()];
        let deadline = deadlines.into_iter().flatten().min();
        if !self.timer.has_come(deadline, cx) {
            return Ok(false);
        }
        cx.waker().wake_by_ref();
        self.core
            .handle_timeout(now.into_std())
            .map_err(protocol_error)?;
        Ok(true)
    }

    /// Sends a PING of keepalive.
    pub(super) fn keepalive_ping(&mut self) {
        self.core.ping(keepalive::PING);
        self.keepalives_sent += 1;
    }

    /// Counts messages that were handed to the core.
    #[inline]
    pub(super) fn count_sent(&mut self, messages: u64, sent: &Result<(), SendError>) {
        if sent.is_ok() {
            self.messages_sent += messages;
        }
    }

    /// Records the peer's GOAWAY.
    pub(super) fn received_goaway(&mut self, goaway: GoAway) {
        self.registration.stats().set_goaway(goaway);
    }

    /// Publishes the statistics up to now. Called before the task sleeps.
    pub(super) fn publish_stats(&mut self, now: Instant) {
        let core = &mut self.core;
        let streams_open = core.open_streams();
        self.received
            .forget(streams_open, |key| core.value_mut(key).is_some());
        let counts = Counts {
            streams_started: core.stats().streams_opened,
            streams_succeeded: core.stats().streams_succeeded,
            streams_open: streams_open as u64,
            messages_sent: self.messages_sent,
            messages_received: self.received.messages(),
            keepalives_sent: self.keepalives_sent,
            send_window: core.send_window(),
            receive_window: i64::from(core.receive_window()),
        };
        self.registration.stats().publish(&counts, now);
    }

    /// Releases memory that is only held for speed, if the connection has become idle. Returns
    /// whether it has.
    pub(super) fn shrink_if_idle(&mut self, now: Instant) -> bool {
        let idle = self.idle.became_idle(now);
        if idle {
            self.core.shrink();
            self.input.shrink();
        }
        idle
    }

    /// Writes what the socket accepts at once.
    pub(super) async fn write_once(&mut self) {
        poll_fn(|cx| {
            // The connection is being given up, so a failed write does not matter.
            let _ = self.socket.poll_write(self.core.output(), cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Writes the rest of the output and waits, for a second at most, until the peer closes. So the
    /// last output is not lost to a reset of the socket.
    pub(super) async fn linger(&mut self) {
        let linger = async {
            poll_fn(|cx| self.socket.poll_write(self.core.output(), cx)).await?;
            poll_fn(|cx| self.socket.poll_shutdown(cx)).await?;
            loop {
                self.input.unread().clear();
                let input = self.input.with_spare_capacity();
                let read = pin!(poll_fn(|cx| self.socket.poll_read(input, cx)));
                if read.await? == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        // The connection is over, whatever the result.
        let _ = timeout(LINGER, linger).await;
    }
}
