//! The SETTINGS of the floor, and what it reads of the peer's. RFC 9113, section 6.5.

use anyhow::{Result, ensure};

use super::frame;

const HEADER_TABLE_SIZE: u16 = 0x1;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;

/// The window of each stream and of the connection that peers get: they never wait for it.
const WINDOW: u32 = 0x7fff_ffff;
/// The connection's window before anyone has enlarged it.
const DEFAULT_WINDOW: u32 = 65_535;

/// The minimum header table size of a peer: the floor's header blocks refer to their table entries.
const HEADER_TABLE_NEEDED: u32 = 512;

/// The limits that the peer sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerSettings {
    /// The window of a new stream.
    pub(crate) initial_window: i64,
    /// The maximum number of open streams.
    pub(crate) max_concurrent_streams: u32,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            initial_window: DEFAULT_WINDOW.into(),
            max_concurrent_streams: u32::MAX,
        }
    }
}

impl PeerSettings {
    /// Applies a SETTINGS frame's payload.
    pub(crate) fn apply(&mut self, payload: &[u8]) -> Result<()> {
        let (settings, []) = payload.as_chunks::<6>() else {
            anyhow::bail!("SETTINGS of {} bytes", payload.len());
        };
        for &[i0, i1, v0, v1, v2, v3] in settings {
            let value = u32::from_be_bytes([v0, v1, v2, v3]);
            match u16::from_be_bytes([i0, i1]) {
                INITIAL_WINDOW_SIZE => self.initial_window = value.into(),
                MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = value,
                HEADER_TABLE_SIZE => ensure!(
                    value >= HEADER_TABLE_NEEDED,
                    "the peer's header table of {value} bytes is too small for the floor's headers"
                ),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes SETTINGS, and enlarges the connection's window.
pub(crate) fn write_own(out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(6);
    payload.extend_from_slice(&INITIAL_WINDOW_SIZE.to_be_bytes());
    payload.extend_from_slice(&WINDOW.to_be_bytes());
    frame::write(out, frame::SETTINGS, 0, 0, &payload);
    frame::write_window_update(out, 0, WINDOW - DEFAULT_WINDOW);
}

/// The connection's window as the peer uses it up.
#[derive(Debug, Default)]
pub(crate) struct ReceiveWindow {
    used: u32,
}

impl ReceiveWindow {
    /// Counts a DATA frame, and gives the window back when half of it is used.
    pub(crate) fn receive(&mut self, len: usize, out: &mut Vec<u8>) {
        // A frame is at most 16 KiB, and half of the window far from its whole.
        self.used += u32::try_from(len).unwrap_or_default();
        if self.used > WINDOW / 2 {
            frame::write_window_update(out, 0, self.used);
            self.used = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(id: u16, value: u32) -> Vec<u8> {
        [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()
    }

    #[test]
    fn the_settings_that_matter_are_read_and_others_skipped() {
        let payload = [
            setting(INITIAL_WINDOW_SIZE, 7),
            setting(0x99, 1),
            setting(MAX_CONCURRENT_STREAMS, 8),
            setting(HEADER_TABLE_SIZE, 4_096),
        ]
        .concat();
        let mut settings = PeerSettings::default();
        settings.apply(&payload).unwrap();
        let want = PeerSettings {
            initial_window: 7,
            max_concurrent_streams: 8,
        };
        assert_eq!(settings, want);
    }

    #[test]
    fn settings_that_the_floor_cannot_keep_to_are_errors() {
        for payload in [setting(HEADER_TABLE_SIZE, 0), vec![0; 5]] {
            assert!(PeerSettings::default().apply(&payload).is_err());
        }
    }

    #[test]
    fn the_window_is_given_back_when_half_of_it_is_used() {
        let mut window = ReceiveWindow::default();
        let mut out = Vec::new();
        let frames = WINDOW / 2 / 16_384 + 1;
        for _ in 0..frames - 1 {
            window.receive(16_384, &mut out);
        }
        assert!(out.is_empty());
        window.receive(16_384, &mut out);
        let increment = frame::window_update(&out[frame::HEAD..]).unwrap();
        assert_eq!(increment, i64::from(frames) * 16_384);
    }
}
