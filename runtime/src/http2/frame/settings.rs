//! SETTINGS (RFC 9113 section 6.5). What the parameters mean is in
//! [`settings`](crate::http2::settings).

use super::{Head, Kind, flag};
use crate::http2::error::{ConnectionError, ErrorCode};

/// The octets of one parameter.
const SETTING_LEN: usize = 6;

/// One parameter of a SETTINGS frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Which parameter.
    pub(crate) id: u16,
    /// Its value.
    pub(crate) value: u32,
}

impl Setting {
    /// SETTINGS_HEADER_TABLE_SIZE.
    pub(crate) const HEADER_TABLE_SIZE: u16 = 0x1;
    /// SETTINGS_ENABLE_PUSH.
    pub(crate) const ENABLE_PUSH: u16 = 0x2;
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    /// SETTINGS_INITIAL_WINDOW_SIZE.
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;
    /// SETTINGS_MAX_FRAME_SIZE.
    pub(crate) const MAX_FRAME_SIZE: u16 = 0x5;
    /// SETTINGS_MAX_HEADER_LIST_SIZE.
    pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
}

/// A SETTINGS frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SettingsFrame<'a> {
    /// The peer applied ours.
    Ack,
    /// The peer's parameters, in order: a whole number of them.
    Parameters(&'a [u8]),
}

impl<'a> SettingsFrame<'a> {
    /// Reads a SETTINGS frame.
    pub(crate) fn parse(head: Head, payload: &'a [u8]) -> Result<Self, ConnectionError> {
        head.on_connection("SETTINGS on a stream")?;
        let reason = match head.has(flag::ACK) {
            true if payload.is_empty() => return Ok(Self::Ack),
            true => "SETTINGS acknowledgement with a payload",
            false if payload.len().is_multiple_of(SETTING_LEN) => {
                return Ok(Self::Parameters(payload));
            }
            false => "SETTINGS not of a multiple of 6 octets",
        };
        Err(ConnectionError {
            code: ErrorCode::FRAME_SIZE_ERROR,
            reason,
        })
    }

    /// The parameters, in order.
    pub(crate) fn parameters(self) -> impl Iterator<Item = Setting> + 'a {
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
    pub(crate) fn write(parameters: &[Setting], out: &mut Vec<u8>) {
        Head::new(Kind::Settings, 0, 0, parameters.len() * SETTING_LEN).write(out);
        for setting in parameters {
            out.extend_from_slice(&setting.id.to_be_bytes());
            out.extend_from_slice(&setting.value.to_be_bytes());
        }
    }

    /// Appends an acknowledgement.
    pub(crate) fn write_ack(out: &mut Vec<u8>) {
        Head::new(Kind::Settings, flag::ACK, 0, 0).write(out);
    }
}
