//! SETTINGS (RFC 9113 section 6.5). [`settings`](crate::settings) applies the parameters.

use super::{Head, Kind, flag};
use crate::error::{ConnectionError, ErrorCode};

/// The length of one parameter, in octets.
const SETTING_LEN: usize = 6;

/// One parameter of a SETTINGS frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The parameter's identifier. The constants of this type are the known ones.
    pub id: u16,
    /// The parameter's value.
    pub value: u32,
}

impl Setting {
    /// SETTINGS_HEADER_TABLE_SIZE, in octets.
    pub const HEADER_TABLE_SIZE: u16 = 0x1;
    /// SETTINGS_ENABLE_PUSH, 0 or 1.
    pub const ENABLE_PUSH: u16 = 0x2;
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    /// SETTINGS_INITIAL_WINDOW_SIZE, in octets.
    pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
    /// SETTINGS_MAX_FRAME_SIZE, in octets.
    pub const MAX_FRAME_SIZE: u16 = 0x5;
    /// SETTINGS_MAX_HEADER_LIST_SIZE, in octets including 32 for each field.
    pub const MAX_HEADER_LIST_SIZE: u16 = 0x6;
}

/// A SETTINGS frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsFrame<'a> {
    /// An acknowledgement.
    Ack,
    /// The encoded parameters, 6 octets each.
    Parameters(&'a [u8]),
}

impl<'a> SettingsFrame<'a> {
    /// Parses a SETTINGS frame. Fails on a stream other than 0 and on an invalid length.
    pub fn parse(head: Head, payload: &'a [u8]) -> Result<Self, ConnectionError> {
        head.on_connection("SETTINGS on a stream")?;
        let reason = match head.has(flag::ACK) {
            true if payload.is_empty() => return Ok(Self::Ack),
            true => "SETTINGS acknowledgement with a payload",
            false if payload.len().is_multiple_of(SETTING_LEN) => {
                return Ok(Self::Parameters(payload));
            }
            false => "SETTINGS with a length that is not a multiple of 6 octets",
        };
        Err(ConnectionError {
            code: ErrorCode::FRAME_SIZE_ERROR,
            reason,
        })
    }

    /// Returns an iterator over the parameters, in order.
    pub fn parameters(self) -> impl Iterator<Item = Setting> + 'a {
        let octets = match self {
            Self::Ack => &[],
            Self::Parameters(octets) => octets,
        };
        octets
            .as_chunks::<SETTING_LEN>()
            .0
            .iter()
            .map(|&[i0, i1, v0, v1, v2, v3]| Setting {
                id: u16::from_be_bytes([i0, i1]),
                value: u32::from_be_bytes([v0, v1, v2, v3]),
            })
    }

    /// Appends a SETTINGS frame with these parameters.
    pub fn write(parameters: &[Setting], out: &mut Vec<u8>) {
        Head::new(Kind::Settings, 0, 0, parameters.len() * SETTING_LEN).write(out);
        for setting in parameters {
            out.extend_from_slice(&setting.id.to_be_bytes());
            out.extend_from_slice(&setting.value.to_be_bytes());
        }
    }

    /// Appends an acknowledgement.
    pub fn write_ack(out: &mut Vec<u8>) {
        Head::new(Kind::Settings, flag::ACK, 0, 0).write(out);
    }
}
