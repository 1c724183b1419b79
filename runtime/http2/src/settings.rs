//! The settings of both ends (RFC 9113 section 6.5.2).

use super::config::{Config, MAX_MAX_FRAME_SIZE, MIN_MAX_FRAME_SIZE};
use super::error::{ConnectionError, ErrorCode};
use super::flow::{DEFAULT_WINDOW, MAX_WINDOW};
use super::frame::Setting;
use super::hpack::DEFAULT_TABLE_SIZE;
use super::role::Role;

/// The settings of the peer. Until the peer announces a setting, the protocol's default applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// The size of the peer's HPACK decoding table, in octets. Default: 4,096.
    pub header_table_size: u32,
    /// The maximum number of streams that we may have open. Default: `None`, no limit; on a client,
    /// [`initial_max_send_streams`](crate::Config::initial_max_send_streams) until the peer's first
    /// SETTINGS.
    pub max_concurrent_streams: Option<u32>,
    /// The send window of a new stream, in octets. Default: 65,535.
    pub initial_window_size: u32,
    /// The maximum payload of a frame that the peer accepts, in octets. Default: 16,384.
    pub max_frame_size: u32,
    /// The maximum size of a header list that the peer accepts, in octets including 32 for each
    /// field. Default: `None`, no limit.
    pub max_header_list_size: Option<u32>,
}

impl PeerSettings {
    /// Creates the settings that apply until the peer's first SETTINGS.
    pub(super) const fn initial(max_concurrent_streams: Option<u32>) -> Self {
        Self {
            header_table_size: DEFAULT_TABLE_SIZE as u32,
            max_concurrent_streams,
            initial_window_size: DEFAULT_WINDOW,
            max_frame_size: MIN_MAX_FRAME_SIZE,
            max_header_list_size: None,
        }
    }

    /// Applies one parameter of a SETTINGS frame. `role` is our role, not the peer's.
    pub(super) fn apply(&mut self, setting: Setting, role: Role) -> Result<(), ConnectionError> {
        let value = setting.value;
        let error = |code, reason| Err(ConnectionError { code, reason });
        match setting.id {
            Setting::HEADER_TABLE_SIZE => self.header_table_size = value,
            // Section 6.5.2: a server may only announce 0; a client may announce 0 or 1.
            Setting::ENABLE_PUSH if value > 1 || (value == 1 && role == Role::Client) => {
                return error(ErrorCode::PROTOCOL_ERROR, "ENABLE_PUSH out of range");
            }
            Setting::MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = Some(value),
            Setting::INITIAL_WINDOW_SIZE if value > MAX_WINDOW => {
                return error(
                    ErrorCode::FLOW_CONTROL_ERROR,
                    "INITIAL_WINDOW_SIZE out of range",
                );
            }
            Setting::INITIAL_WINDOW_SIZE => self.initial_window_size = value,
            Setting::MAX_FRAME_SIZE
                if !(MIN_MAX_FRAME_SIZE..=MAX_MAX_FRAME_SIZE).contains(&value) =>
            {
                return error(ErrorCode::PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range");
            }
            Setting::MAX_FRAME_SIZE => self.max_frame_size = value,
            Setting::MAX_HEADER_LIST_SIZE => self.max_header_list_size = Some(value),
            // We never push, so ENABLE_PUSH has no effect. Unknown settings must be ignored.
            _ => {}
        }
        Ok(())
    }
}

/// Returns the parameters of our first SETTINGS: those that differ from the protocol's defaults.
pub(super) fn announced(config: &Config, role: Role) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut announce = |id, value| settings.push(Setting { id, value });
    if config.header_table_size != DEFAULT_TABLE_SIZE as u32 {
        announce(Setting::HEADER_TABLE_SIZE, config.header_table_size);
    }
    match (role, config.max_concurrent_streams) {
        (Role::Client, _) => announce(Setting::ENABLE_PUSH, 0),
        (Role::Server, Some(limit)) => announce(Setting::MAX_CONCURRENT_STREAMS, limit),
        (Role::Server, None) => {}
    }
    if config.stream_window != DEFAULT_WINDOW {
        announce(Setting::INITIAL_WINDOW_SIZE, config.stream_window);
    }
    if config.max_frame_size != MIN_MAX_FRAME_SIZE {
        announce(Setting::MAX_FRAME_SIZE, config.max_frame_size);
    }
    if let Some(limit) = config.max_header_list_size {
        announce(Setting::MAX_HEADER_LIST_SIZE, limit);
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(id: u16, value: u32, role: Role) -> Result<PeerSettings, ErrorCode> {
        let mut settings = PeerSettings::initial(None);
        match settings.apply(Setting { id, value }, role) {
            Ok(()) => Ok(settings),
            Err(error) => Err(error.code),
        }
    }

    #[test]
    fn values_out_of_range_are_errors_with_the_code_of_the_rfc() {
        use ErrorCode as Code;
        let table = [
            (Setting::ENABLE_PUSH, 2, Code::PROTOCOL_ERROR),
            (
                Setting::INITIAL_WINDOW_SIZE,
                1 << 31,
                Code::FLOW_CONTROL_ERROR,
            ),
            (Setting::MAX_FRAME_SIZE, 16_383, Code::PROTOCOL_ERROR),
            (Setting::MAX_FRAME_SIZE, 1 << 24, Code::PROTOCOL_ERROR),
        ];
        for (id, value, code) in table {
            assert_eq!(apply(id, value, Role::Server), Err(code), "{id} {value}");
        }
    }

    #[test]
    fn enable_push_is_an_error_from_a_server_and_valid_from_a_client() {
        assert!(apply(Setting::ENABLE_PUSH, 1, Role::Client).is_err());
        assert!(apply(Setting::ENABLE_PUSH, 0, Role::Client).is_ok());
        assert!(apply(Setting::ENABLE_PUSH, 1, Role::Server).is_ok());
    }

    #[test]
    fn unknown_settings_change_nothing() {
        assert_eq!(
            apply(0xf0f0, 7, Role::Server),
            Ok(PeerSettings::initial(None))
        );
    }

    #[test]
    fn only_values_that_differ_from_the_protocols_defaults_are_announced() {
        let config = Config::default();
        assert_eq!(announced(&config, Role::Server), []);
        let push_off = Setting {
            id: Setting::ENABLE_PUSH,
            value: 0,
        };
        assert_eq!(announced(&config, Role::Client), [push_off]);
        let config = Config {
            header_table_size: 0,
            max_concurrent_streams: Some(10),
            stream_window: 1 << 20,
            max_frame_size: 1 << 20,
            max_header_list_size: Some(8_192),
            ..config
        };
        let ids: Vec<_> = announced(&config, Role::Server)
            .iter()
            .map(|s| s.id)
            .collect();
        assert_eq!(ids, [1, 3, 4, 5, 6]);
    }
}
