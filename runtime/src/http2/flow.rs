//! The flow-control windows (RFC 9113 sections 5.2 and 6.9).
//!
//! A window that we may send into shrinks by what is sent, and grows by the peer's WINDOW_UPDATEs and
//! by changes of its SETTINGS_INITIAL_WINDOW_SIZE, which can make it negative. The windows that we
//! grant come in two kinds. The connection's is returned on receipt: it bounds what is in flight. A
//! stream's is returned when the application has read: it bounds what is held.

use super::error::{ConnectionError, ErrorCode, Fault};

/// The size of every window until something says otherwise.
pub(crate) const DEFAULT_WINDOW: u32 = 65_535;

/// The largest size of a window.
pub(crate) const MAX_WINDOW: u32 = (1 << 31) - 1;

/// What credit ahead may bring a stream's window to: below the maximum, so that a change of the
/// initial size does not make it overflow.
const MAX_AHEAD: u32 = MAX_WINDOW - (64 << 20);

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

/// The window that we grant the peer on a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamWindow {
    limit: u32,
    /// Octets received that the application has not read.
    unread: u32,
    /// Octets read that no WINDOW_UPDATE has returned.
    unreturned: u32,
    /// Credit given ahead for a large message: so much less is returned when that is read.
    extra: u32,
}

impl StreamWindow {
    /// A window of this size.
    #[inline]
    pub(super) const fn new(limit: u32) -> Self {
        Self {
            limit,
            unread: 0,
            unreturned: 0,
            extra: 0,
        }
    }

    /// Flow-controlled octets were received.
    #[inline]
    pub(super) fn receive(&mut self, octets: u32) -> Result<(), Fault> {
        if octets > self.sender_has() {
            return Err(Fault::stream(
                ErrorCode::FLOW_CONTROL_ERROR,
                "more DATA than the stream's window",
            ));
        }
        self.unread += octets;
        Ok(())
    }

    /// The application has read octets. Returns the increment to send, if it is time: when a quarter
    /// of the window is read.
    #[inline]
    pub(super) fn read(&mut self, octets: u32) -> Option<u32> {
        let octets = octets.min(self.unread);
        self.unread -= octets;
        let ahead = octets.min(self.extra);
        self.extra -= ahead;
        self.unreturned += octets - ahead;
        if self.unreturned < self.limit / 4 || self.unreturned == 0 {
            return None;
        }
        Some(std::mem::take(&mut self.unreturned))
    }

    /// The application waits for a message of which `octets` are still to be read. Returns the
    /// increment to send at once, if the peer could not send all of it otherwise: the whole message,
    /// since there may be padding and other messages before it.
    pub(super) fn expect(&mut self, octets: u32) -> Option<u32> {
        let octets = octets.min(MAX_WINDOW);
        let untransmitted = octets.saturating_sub(self.unread);
        if untransmitted <= self.sender_has() {
            return None;
        }
        // What was given before and is not yet read stays given.
        let increment = octets.min(MAX_AHEAD.saturating_sub(self.limit.saturating_add(self.extra)));
        self.extra += increment;
        Some(increment).filter(|&increment| increment > 0)
    }

    /// Raises the size, as the SETTINGS_INITIAL_WINDOW_SIZE that the peer was told of does.
    pub(super) fn raise(&mut self, limit: u32) {
        self.limit = self.limit.max(limit);
    }

    /// What the peer may still send.
    #[inline]
    fn sender_has(&self) -> u32 {
        self.limit
            .saturating_add(self.extra)
            .saturating_sub(self.unread + self.unreturned)
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

    #[test]
    fn a_stream_window_is_returned_on_read_by_the_quarter() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(window.receive(1_000), Ok(()));
        assert!(window.receive(1).is_err());
        assert_eq!(window.read(249), None);
        assert_eq!(window.read(1), Some(250));
        assert_eq!(window.receive(250), Ok(()));
        assert!(window.receive(1).is_err());
    }

    #[test]
    fn reading_more_than_was_received_returns_only_what_was() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(window.receive(300), Ok(()));
        assert_eq!(window.read(5_000), Some(300));
        assert_eq!(window.read(5_000), None);
    }

    #[test]
    fn a_large_message_gets_extra_credit_that_later_updates_lack() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(window.receive(5), Ok(()));
        assert_eq!(window.read(5), None);
        assert_eq!(window.expect(10_000), Some(10_000));
        // The peer has 1,000 - 5 + 10,000.
        assert_eq!(window.receive(10_000), Ok(()));
        assert_eq!(window.read(10_000), None);
        assert_eq!(window.receive(995), Ok(()));
        assert!(window.receive(1).is_err());
        assert_eq!(window.read(995), Some(1_000));
    }

    #[test]
    fn a_message_that_fits_gets_no_extra_credit() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(window.receive(600), Ok(()));
        assert_eq!(window.expect(1_000), None);
        assert_eq!(window.expect(1_001), Some(1_001));
    }

    #[test]
    fn extra_credit_never_makes_a_window_overflow() {
        let mut window = StreamWindow::new(1_000);
        assert_eq!(window.expect(u32::MAX), Some(MAX_AHEAD - 1_000));
        assert_eq!(window.expect(u32::MAX), None);
        assert_eq!(window.receive(MAX_AHEAD), Ok(()));
        assert!(window.receive(1).is_err());
    }
}
