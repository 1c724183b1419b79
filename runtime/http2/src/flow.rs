//! The flow-control windows (RFC 9113 sections 5.2 and 6.9).
//!
//! A send window shrinks when octets are sent. It grows with the peer's WINDOW_UPDATEs and changes
//! with its SETTINGS_INITIAL_WINDOW_SIZE, which can make it negative. There are two kinds of
//! receive windows. The credit of the connection's window is returned on receipt: it limits the
//! octets in flight. The credit of a stream's window is returned when the application has read the
//! octets: it limits the memory that is held.

use super::error::{ConnectionError, ErrorCode, Fault};

/// The default size of every window, in octets (RFC 9113 section 6.9.2).
pub(crate) const DEFAULT_WINDOW: u32 = 65_535;

/// The maximum size of a window, in octets (RFC 9113 section 6.9.1).
pub(crate) const MAX_WINDOW: u32 = (1 << 31) - 1;

/// The maximum credit of a stream, in octets. It is below the maximum size of a window, so that a
/// change of the initial size does not cause an overflow.
const MAX_CREDIT: u64 = MAX_WINDOW as u64 - (64 << 20);

/// A window that the peer grants us. It can be negative (RFC 9113 section 6.9.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct SendWindow(i64);

/// The error for a window above 2^31-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl SendWindow {
    /// Creates a window with this size in octets.
    #[inline]
    pub(super) const fn new(size: u32) -> Self {
        Self(size as i64)
    }

    /// Returns the number of octets that may be sent now.
    #[inline]
    pub(super) fn available(self) -> usize {
        self.0.max(0) as usize
    }

    /// Returns the size, which is negative if the peer has reduced it below the octets in flight.
    pub(super) fn size(self) -> i64 {
        self.0
    }

    /// Shrinks the window by sent octets, which must not exceed the available ones.
    #[inline]
    pub(super) fn consume(&mut self, octets: usize) {
        self.0 -= octets as i64;
    }

    /// Applies a WINDOW_UPDATE (positive) or a change of the initial size (either sign).
    pub(super) fn adjust(&mut self, by: i64) -> Result<(), Overflow> {
        let size = self.0 + by;
        if size > i64::from(MAX_WINDOW) {
            return Err(Overflow);
        }
        self.0 = size;
        Ok(())
    }
}

/// The connection's receive window.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionWindow {
    /// The size, in octets.
    limit: u32,
    /// Octets received since the last WINDOW_UPDATE.
    unreturned: u32,
}

impl ConnectionWindow {
    /// Creates a window with this size in octets.
    pub(super) const fn new(limit: u32) -> Self {
        Self {
            limit,
            unreturned: 0,
        }
    }

    /// Returns the number of octets that the peer may send now.
    pub(super) fn available(self) -> u32 {
        self.limit - self.unreturned
    }

    /// Counts received flow-controlled octets. Returns the increment of a WINDOW_UPDATE to send once
    /// a quarter of the window is used.
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

    /// Raises the size. Returns the increment of a WINDOW_UPDATE to send, or `None` if the new size
    /// is not larger.
    pub(super) fn raise(&mut self, limit: u32) -> Option<u32> {
        let increment = limit.checked_sub(self.limit).filter(|&by| by > 0)?;
        self.limit = limit;
        Some(increment)
    }
}

/// The position of the application in the content of a received stream.
///
/// Positions are in octets from the beginning of the content. They are absolute, so an update that
/// is applied late or twice does no harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The end of the content that the application has taken.
    pub taken: u64,
    /// The end of the content that the application needs before it takes more, usually the end of
    /// the next message. A value up to `taken` means that any content is useful.
    pub needed: u64,
}

/// A stream's receive window, and the position of its reader.
///
/// The peer may send up to the window's size beyond the position that the reader has taken or
/// needs, whichever is later. The invariant is: **while the reader waits, the peer has credit.** If
/// the reader waits for a message, the peer has credit for the whole message. If the reader waits
/// for any content, it has taken everything, and the peer has at least three quarters of the
/// window.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamWindow {
    size: u32,
    /// The number of octets that the peer may still send.
    credit: u32,
    /// The end of the received content.
    received: u64,
    reading: Reading,
}

impl StreamWindow {
    /// Creates a window with this size in octets.
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

    /// Counts received octets of content and padding. Fails if they exceed the credit.
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

    /// Sets the reader's position. The position never moves back.
    #[inline]
    pub(super) fn read(&mut self, reading: Reading) {
        let taken = reading.taken.min(self.received);
        self.reading.taken = self.reading.taken.max(taken);
        self.reading.needed = self.reading.needed.max(reading.needed);
    }

    /// Moves the reader's position forward.
    #[inline]
    pub(super) fn read_more(&mut self, octets: u64) {
        self.read(Reading {
            taken: self.reading.taken.saturating_add(octets),
            needed: 0,
        });
    }

    /// Grants the missing credit. Returns the increment of a WINDOW_UPDATE to send, or `None` if it
    /// is less than a quarter of the window.
    #[inline]
    pub(super) fn grant(&mut self) -> Option<u32> {
        let due = self.due();
        if due == 0 || due < self.size / 4 {
            return None;
        }
        self.credit += due;
        Some(due)
    }

    /// Returns the missing credit.
    #[inline]
    fn due(&self) -> u32 {
        let end = self.reading.taken.max(self.reading.needed) + u64::from(self.size);
        let full = end.saturating_sub(self.received).min(MAX_CREDIT);
        // The subtraction saturates because padding and the maximum credit can make it negative.
        full.saturating_sub(u64::from(self.credit)) as u32
    }

    /// Raises the size, together with a SETTINGS_INITIAL_WINDOW_SIZE that the caller sends.
    pub(super) fn raise(&mut self, size: u32) {
        let more = size.saturating_sub(self.size);
        self.size += more;
        // This does not overflow: the maximum credit is below the maximum window by more than that.
        self.credit = self.credit.saturating_add(more);
    }

    /// Checks the invariant, after every event in tests and fuzzing.
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
    fn a_send_window_can_become_negative_and_positive_again() {
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
    fn the_connection_window_is_returned_on_receipt_in_quarters() {
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

    /// Sets the reader's position. Returns the increment to send.
    fn read(window: &mut StreamWindow, taken: u64, needed: u64) -> Option<u32> {
        window.read(Reading { taken, needed });
        let increment = window.grant();
        window.check();
        increment
    }

    #[test]
    fn a_stream_window_is_returned_on_read_in_quarters() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(window.receive(1_000, 0), Ok(()));
        assert!(window.receive(1, 0).is_err());
        assert_eq!(read(&mut window, 249, 0), None);
        assert_eq!(read(&mut window, 250, 0), Some(250));
        assert_eq!(window.receive(250, 0), Ok(()));
        assert!(window.receive(1, 0).is_err());
    }

    #[test]
    fn reading_more_than_was_received_returns_only_the_received_octets() {
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
    fn a_needed_message_gets_credit_for_its_length_and_a_window_beyond() {
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
    fn a_needed_message_gets_credit_while_the_previous_message_is_not_taken() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(read(&mut window, 0, 5_000), Some(5_000));
        assert_eq!(window.receive(5_000, 0), Ok(()));
        // The second message has begun to arrive before the reader's position is reported.
        assert_eq!(window.receive(1_000, 0), Ok(()));
        assert_eq!(read(&mut window, 5_000, 10_000), Some(5_000));
        assert_eq!(window.receive(4_000, 0), Ok(()));
    }

    #[test]
    fn a_message_within_the_window_causes_no_window_update() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(read(&mut window, 0, 249), None);
        assert_eq!(window.receive(249, 0), Ok(()));
        assert_eq!(read(&mut window, 249, 498), Some(498));
    }

    #[test]
    fn a_window_grows_with_our_initial_window_size() {
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

    /// Checks random orders of arrivals, reads and late reports of the reader's position. The peer
    /// sends as much as its credit allows.
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
