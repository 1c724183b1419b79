//! The flow-control windows (RFC 9113 sections 5.2 and 6.9).
//!
//! A window that we may send into shrinks by what is sent, and grows by the peer's WINDOW_UPDATEs
//! and by changes of its SETTINGS_INITIAL_WINDOW_SIZE, which can make it negative. The windows that
//! we grant come in two kinds. The connection's is returned on receipt: it bounds what is in
//! flight. A stream's is returned when the application has read: it bounds what is held.

use super::error::{ConnectionError, ErrorCode, Fault};

/// The size of every window until something says otherwise.
pub(crate) const DEFAULT_WINDOW: u32 = 65_535;

/// The largest size of a window.
pub(crate) const MAX_WINDOW: u32 = (1 << 31) - 1;

/// The most credit that a stream's window grants: below the maximum of a window, so that a change
/// of the initial size does not make it overflow.
const MAX_CREDIT: u64 = MAX_WINDOW as u64 - (64 << 20);

/// A window that the peer grants us.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendWindow(i64);

/// The window would exceed 2^31-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl SendWindow {
    /// A window of this size.
    pub(super) const fn new(size: u32) -> Self {
        Self(size as i64)
    }

    /// The octets that may be sent now.
    #[inline]
    pub(super) fn available(self) -> usize {
        self.0.max(0) as usize
    }

    /// The size, which is negative when the peer has made it smaller than what is in flight.
    pub(super) fn size(self) -> i64 {
        self.0
    }

    /// Octets were sent, no more than available.
    #[inline]
    pub(super) fn consume(&mut self, octets: usize) {
        self.0 -= octets as i64;
    }

    /// A WINDOW_UPDATE (positive), or a change of the initial size (either sign).
    pub(super) fn adjust(&mut self, by: i64) -> Result<(), Overflow> {
        let size = self.0 + by;
        if size > i64::from(MAX_WINDOW) {
            return Err(Overflow);
        }
        self.0 = size;
        Ok(())
    }
}

/// The window that we grant the peer on the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionWindow {
    limit: u32,
    /// Octets received since the last WINDOW_UPDATE.
    unreturned: u32,
}

impl ConnectionWindow {
    /// A window of this size.
    pub(super) const fn new(limit: u32) -> Self {
        Self {
            limit,
            unreturned: 0,
        }
    }

    /// The octets that the peer may send now.
    pub(super) fn available(self) -> u32 {
        self.limit - self.unreturned
    }

    /// Flow-controlled octets were received. Returns the increment to send, if it is time: when a
    /// quarter of the window is used up.
    #[inline]
    pub(super) fn receive(&mut self, octets: u32) -> Result<Option<u32>, ConnectionError> {
        if octets > self.limit - self.unreturned {
            return Err(ConnectionError {
                code: ErrorCode::FLOW_CONTROL_ERROR,
                reason: "more DATA than the connection's window",
            });
        }
        self.unreturned += octets;
        if self.unreturned < self.limit / 4 {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.unreturned)))
    }

    /// Raises the size. Returns the increment to send, if there is one.
    pub(super) fn raise(&mut self, limit: u32) -> Option<u32> {
        let increment = limit.checked_sub(self.limit).filter(|&by| by > 0)?;
        self.limit = limit;
        Some(increment)
    }
}

/// The reader's place in the content of a stream, in octets from the beginning of the content.
///
/// Positions, unlike numbers of octets, mean the same whenever they are applied: an update that is
/// late, or that comes twice, changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The end of the content that the reader has taken.
    pub taken: u64,
    /// The end of the content that the reader needs before it takes any more: it waits for a message
    /// that ends here. At or before `taken` if it takes content in any portion.
    pub needed: u64,
}

/// The window that we grant the peer on a stream, and the reading that it follows.
///
/// The peer may send a window's size beyond the position that the reader has taken or needs,
/// whichever is later. Hence the invariant: **while the reader waits, the peer has credit.** A
/// reader that waits for a message has the peer's credit for all of the message; one that waits for
/// anything has taken all there is, and the peer has at least three quarters of the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamWindow {
    size: u32,
    /// The octets that the peer may still send.
    credit: u32,
    /// The end of the content that was received.
    received: u64,
    reading: Reading,
}

impl StreamWindow {
    /// A window of this size.
    #[inline]
    pub(super) const fn new(size: u32) -> Self {
        Self {
            size,
            credit: size,
            received: 0,
            reading: Reading {
                taken: 0,
                needed: 0,
            },
        }
    }

    /// Receives content and padding.
    #[inline]
    pub(super) fn receive(&mut self, content: u32, padding: u32) -> Result<(), Fault> {
        let Some(credit) = self.credit.checked_sub(content + padding) else {
            return Err(Fault::stream(
                ErrorCode::FLOW_CONTROL_ERROR,
                "more DATA than the stream's window",
            ));
        };
        self.credit = credit;
        self.received += u64::from(content);
        Ok(())
    }

    /// Takes over the reader's place. Never moves back.
    #[inline]
    pub(super) fn read(&mut self, reading: Reading) {
        let taken = reading.taken.min(self.received);
        self.reading.taken = self.reading.taken.max(taken);
        self.reading.needed = self.reading.needed.max(reading.needed);
    }

    /// Moves the reader's place on by this many octets.
    #[inline]
    pub(super) fn read_more(&mut self, octets: u64) {
        self.read(Reading {
            taken: self.reading.taken.saturating_add(octets),
            needed: 0,
        });
    }

    /// Grants the credit that is due. Returns the increment to send, if it is worth a frame: a
    /// quarter of the window.
    #[inline]
    pub(super) fn grant(&mut self) -> Option<u32> {
        let due = self.due();
        if due == 0 || due < self.size / 4 {
            return None;
        }
        self.credit += due;
        Some(due)
    }

    /// The credit that the peer lacks.
    #[inline]
    fn due(&self) -> u32 {
        let end = self.reading.taken.max(self.reading.needed) + u64::from(self.size);
        let full = end.saturating_sub(self.received).min(MAX_CREDIT);
        // The reading never moves back, but padding and the maximum leave no room to rely on it.
        full.saturating_sub(u64::from(self.credit)) as u32
    }

    /// Raises the size, as the SETTINGS_INITIAL_WINDOW_SIZE that the peer was told of does.
    pub(super) fn raise(&mut self, size: u32) {
        let more = size.saturating_sub(self.size);
        self.size += more;
        // The maximum credit leaves room for the difference.
        self.credit = self.credit.saturating_add(more);
    }

    /// Checks the invariant. Called after every event in tests and fuzzing.
    #[cfg(any(test, feature = "invariants"))]
    pub(super) fn check(&self) {
        let waits_for_anything = self.reading.taken == self.received;
        let waits_for_message = self.reading.needed > self.received;
        assert!(self.reading.taken <= self.received, "{self:?}");
        assert!(self.credit <= MAX_WINDOW, "{self:?}");
        assert!(
            self.credit > 0 || !(waits_for_anything || waits_for_message),
            "a reader waits and the peer has no credit: {self:?}"
        );
        let lacking = self.reading.needed.saturating_sub(self.received);
        assert!(
            u64::from(self.credit) >= lacking.min(MAX_CREDIT / 2),
            "a reader waits for a message and the peer has no credit for all of it: {self:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_window_goes_negative_and_comes_back() {
        let mut window = SendWindow::new(100);
        window.consume(80);
        assert_eq!(window.adjust(-50), Ok(()));
        assert_eq!(window.available(), 0);
        assert_eq!(window.adjust(31), Ok(()));
        assert_eq!(window.available(), 1);
    }

    #[test]
    fn a_send_window_beyond_the_maximum_is_an_overflow() {
        let mut window = SendWindow::new(MAX_WINDOW);
        assert_eq!(window.adjust(1), Err(Overflow));
        window.consume(1);
        assert_eq!(window.adjust(1), Ok(()));
    }

    #[test]
    fn the_connection_window_is_returned_on_receipt_by_the_quarter() {
        let mut window = ConnectionWindow::new(1_000);
        assert_eq!(window.receive(249), Ok(None));
        assert_eq!(window.receive(1), Ok(Some(250)));
        assert_eq!(window.receive(1_000), Ok(Some(1_000)));
        assert!(window.receive(1_001).is_err());
    }

    #[test]
    fn raising_the_connection_window_returns_the_difference() {
        let mut window = ConnectionWindow::new(1_000);
        assert_eq!(window.raise(1_000), None);
        assert_eq!(window.raise(3_000), Some(2_000));
        assert_eq!(window.raise(2_000), None);
    }

    /// The reader has taken the content up to `taken` and needs it up to `needed`. Returns the
    /// increment to send.
    fn read(window: &mut StreamWindow, taken: u64, needed: u64) -> Option<u32> {
        window.read(Reading { taken, needed });
        let increment = window.grant();
        window.check();
        increment
    }

    #[test]
    fn a_stream_window_is_returned_on_read_by_the_quarter() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(window.receive(1_000, 0), Ok(()));
        assert!(window.receive(1, 0).is_err());
        assert_eq!(read(&mut window, 249, 0), None);
        assert_eq!(read(&mut window, 250, 0), Some(250));
        assert_eq!(window.receive(250, 0), Ok(()));
        assert!(window.receive(1, 0).is_err());
    }

    #[test]
    fn reading_more_than_was_received_returns_only_what_was() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(window.receive(300, 0), Ok(()));
        assert_eq!(read(&mut window, 5_000, 0), Some(300));
        assert_eq!(read(&mut window, 5_000, 0), None);
    }

    #[test]
    fn padding_is_returned_without_being_read() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(window.receive(0, 249), Ok(()));
        assert_eq!(window.grant(), None);
        assert_eq!(window.receive(0, 1), Ok(()));
        assert_eq!(window.grant(), Some(250));
    }

    #[test]
    fn a_needed_message_gets_credit_for_all_of_it_and_a_window_beyond() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(window.receive(5, 0), Ok(()));
        assert_eq!(read(&mut window, 5, 10_005), Some(10_005));
        assert_eq!(read(&mut window, 5, 10_005), None, "the same again");
        assert_eq!(window.receive(10_000, 0), Ok(()));
        // The next message may begin before this one is taken.
        assert_eq!(window.receive(1_000, 0), Ok(()));
        assert!(window.receive(1, 0).is_err());
        assert_eq!(read(&mut window, 10_005, 0), None);
        assert_eq!(read(&mut window, 11_005, 0), Some(1_000));
    }

    #[test]
    fn a_needed_message_gets_credit_though_the_message_before_it_is_not_taken_yet() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(read(&mut window, 0, 5_000), Some(5_000));
        assert_eq!(window.receive(5_000, 0), Ok(()));
        // The next one has begun to arrive when the first is taken and the next is asked for; the
        // report of both is late.
        assert_eq!(window.receive(1_000, 0), Ok(()));
        assert_eq!(read(&mut window, 5_000, 10_000), Some(5_000));
        assert_eq!(window.receive(4_000, 0), Ok(()));
    }

    #[test]
    fn a_message_that_the_window_covers_gets_no_frame_of_its_own() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(read(&mut window, 0, 249), None);
        assert_eq!(window.receive(249, 0), Ok(()));
        assert_eq!(read(&mut window, 249, 498), Some(498));
    }

    #[test]
    fn a_window_grows_by_what_the_peer_is_told_in_settings() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(window.receive(1_000, 0), Ok(()));
        window.raise(3_000);
        assert_eq!(window.receive(2_000, 0), Ok(()));
        assert!(window.receive(1, 0).is_err());
        assert_eq!(read(&mut window, 3_000, 0), Some(3_000));
    }

    #[test]
    fn a_needed_message_never_makes_a_window_overflow() {
        let mut window = StreamWindow::new(1_000);
        let most = MAX_CREDIT as u32;
        assert_eq!(read(&mut window, 0, u64::MAX / 2), Some(most - 1_000));
        assert_eq!(read(&mut window, 0, u64::MAX / 2), None);
        assert_eq!(window.receive(most / 2, 0), Ok(()));
        assert_eq!(window.grant(), Some(most / 2));
        window.raise(64 << 20);
        window.check();
    }

    /// Any order of arrivals, reads and reports leaves a waiting reader with credit: the reader's
    /// reports are applied late, and the peer sends all that it may.
    #[test]
    fn no_order_of_events_leaves_a_waiting_reader_without_credit() {
        for seed in 0..2_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let size = random.u32(1..100);
            let mut window = StreamWindow::new(size);
            let mut reader = Reading::default();
            for _ in 0..200 {
                match random.u8(..4) {
                    0 => {
                        let octets = random.u32(..=window.credit);
                        let padding = random.u32(..=octets);
                        assert_eq!(window.receive(octets - padding, padding), Ok(()));
                    }
                    1 => reader.taken = random.u64(reader.taken..=window.received),
                    2 => reader.needed = reader.taken + random.u64(..1_000),
                    _ => window.read(reader),
                }
                window.grant();
                window.check();
            }
        }
    }
}
