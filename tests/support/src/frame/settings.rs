//! SETTINGS (RFC 9113 section 6.5).

use std::fmt;

use bytes::{Buf, BufMut, BytesMut};

use super::{Malformation, RawFrame, WireFrame, flag, kind};

/// The identifiers of RFC 9113 section 6.5.2.
#[allow(missing_docs)] // The names are the RFC's.
pub mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 0x1;
    pub const ENABLE_PUSH: u16 = 0x2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub const MAX_FRAME_SIZE: u16 = 0x5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 0x6;
}

/// A SETTINGS frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// ACK.
    pub ack: bool,
    /// Identifiers and values in wire order; duplicates and unknown identifiers kept.
    pub entries: Vec<(u16, u32)>,
}

/// An empty SETTINGS frame.
pub fn settings() -> Settings {
    Settings {
        ack: false,
        entries: Vec::new(),
    }
}

/// The acknowledgement of a SETTINGS frame.
pub fn settings_ack() -> Settings {
    Settings {
        ack: true,
        entries: Vec::new(),
    }
}

impl Settings {
    /// Appends an entry, known or not, in range or not.
    pub fn entry(mut self, id: u16, value: u32) -> Self {
        self.entries.push((id, value));
        self
    }

    /// Appends SETTINGS_HEADER_TABLE_SIZE, in octets.
    pub fn header_table_size(self, octets: u32) -> Self {
        self.entry(setting::HEADER_TABLE_SIZE, octets)
    }

    /// Appends SETTINGS_ENABLE_PUSH.
    pub fn enable_push(self, enabled: bool) -> Self {
        self.entry(setting::ENABLE_PUSH, enabled.into())
    }

    /// Appends SETTINGS_MAX_CONCURRENT_STREAMS.
    pub fn max_concurrent_streams(self, streams: u32) -> Self {
        self.entry(setting::MAX_CONCURRENT_STREAMS, streams)
    }

    /// Appends SETTINGS_INITIAL_WINDOW_SIZE, in octets.
    pub fn initial_window_size(self, octets: u32) -> Self {
        self.entry(setting::INITIAL_WINDOW_SIZE, octets)
    }

    /// Appends SETTINGS_MAX_FRAME_SIZE, in octets.
    pub fn max_frame_size(self, octets: u32) -> Self {
        self.entry(setting::MAX_FRAME_SIZE, octets)
    }

    /// Appends SETTINGS_MAX_HEADER_LIST_SIZE, in octets.
    pub fn max_header_list_size(self, octets: u32) -> Self {
        self.entry(setting::MAX_HEADER_LIST_SIZE, octets)
    }

    /// The value of an entry; the last one counts.
    pub fn get(&self, id: u16) -> Option<u32> {
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.0 == id)
            .map(|entry| entry.1)
    }

    pub(crate) fn parse(raw: &RawFrame) -> Result<Self, Malformation> {
        raw.on_connection()?;
        if !raw.payload.len().is_multiple_of(6) {
            return Err(Malformation::new("length is no multiple of six"));
        }
        let ack = raw.has(flag::ACK);
        if ack && !raw.payload.is_empty() {
            return Err(Malformation::new("ACK with a payload"));
        }
        let entries = raw
            .payload
            .chunks_exact(6)
            .map(|mut entry| (entry.get_u16(), entry.get_u32()));
        Ok(Self {
            ack,
            entries: entries.collect(),
        })
    }
}

impl WireFrame for Settings {
    fn to_raw(&self) -> Vec<RawFrame> {
        let mut payload = BytesMut::with_capacity(6 * self.entries.len());
        for &(id, value) in &self.entries {
            payload.put_u16(id);
            payload.put_u32(value);
        }
        vec![RawFrame::new(
            kind::SETTINGS,
            flag::when(self.ack, flag::ACK),
            0,
            payload,
        )]
    }
}

/// `INITIAL_WINDOW_SIZE=65535 0xff=1`
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, &(id, value)) in self.entries.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            match id {
                setting::HEADER_TABLE_SIZE => write!(f, "HEADER_TABLE_SIZE={value}")?,
                setting::ENABLE_PUSH => write!(f, "ENABLE_PUSH={value}")?,
                setting::MAX_CONCURRENT_STREAMS => write!(f, "MAX_CONCURRENT_STREAMS={value}")?,
                setting::INITIAL_WINDOW_SIZE => write!(f, "INITIAL_WINDOW_SIZE={value}")?,
                setting::MAX_FRAME_SIZE => write!(f, "MAX_FRAME_SIZE={value}")?,
                setting::MAX_HEADER_LIST_SIZE => write!(f, "MAX_HEADER_LIST_SIZE={value}")?,
                _ => write!(f, "{id:#x}={value}")?,
            }
        }
        Ok(())
    }
}
