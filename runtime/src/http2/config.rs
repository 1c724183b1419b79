//! What a connection can be told, and what it does when told nothing.

use std::time::Duration;

use super::budget::BudgetConfig;
use super::flow::{DEFAULT_WINDOW, MAX_WINDOW};
use super::frame::MAX_STREAM_ID;
use super::hpack::DEFAULT_TABLE_SIZE;

/// The smallest SETTINGS_MAX_FRAME_SIZE, and the default (RFC 9113 section 6.5.2).
pub(super) const MIN_MAX_FRAME_SIZE: u32 = 16_384;

/// The largest SETTINGS_MAX_FRAME_SIZE.
pub(super) const MAX_MAX_FRAME_SIZE: u32 = (1 << 24) - 1;

/// The options of a connection. The defaults are those of gRPC implementations elsewhere, so that a
/// connection behaves as its peer expects.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// How many octets of DATA a stream may receive ahead of the application: announced as
    /// SETTINGS_INITIAL_WINDOW_SIZE. In octets, 65,535 by default; less is raised to that, more
    /// than 2^31-1 lowered. In the worst case this much memory is held for every stream.
    pub(crate) stream_window: u32,

    /// How many octets of DATA the connection may receive before it returns credit. In octets,
    /// 65,535 by default and at least. Credit is returned on receipt, so this bounds what is in
    /// flight and not what is held.
    pub(crate) connection_window: u32,

    /// Measure the bandwidth-delay product and grow both windows with it, up to 16 MiB. On by
    /// default: 65,535 octets a round trip starve a fast long path. Turn it off to hold the windows
    /// at what is configured.
    pub(crate) bdp_estimation: bool,

    /// How many streams the peer may have open at a time: announced as
    /// SETTINGS_MAX_CONCURRENT_STREAMS; one more is refused. No limit by default. Nothing on a
    /// client, whose peer opens none.
    pub(crate) max_concurrent_streams: Option<u32>,

    /// The longest frame payload to receive: announced as SETTINGS_MAX_FRAME_SIZE. In octets,
    /// 16,384 by default and at least. A frame is handled when it is there whole, so the caller's
    /// buffer has to hold one.
    pub(crate) max_frame_size: u32,

    /// The longest frame payload to send, if the peer allows as much. In octets, 16,384 by default:
    /// a longer frame would keep other streams waiting longer and save next to nothing.
    pub(crate) max_send_frame_size: usize,

    /// The largest header list to receive: announced as SETTINGS_MAX_HEADER_LIST_SIZE if set. In
    /// octets with 32 for each field; 16 MiB, not announced, by default. Every stream can make the
    /// decoder hold one such list, and one such block, at a time.
    pub(crate) max_header_list_size: Option<u32>,

    /// The most fields in a header list to receive: 4,096 by default, several times what any use of
    /// gRPC has been seen to need. A field of an octet on the wire costs far more in memory.
    pub(crate) max_header_fields: usize,

    /// The size of the decoder's dynamic table: announced as SETTINGS_HEADER_TABLE_SIZE. In octets
    /// with 32 for each entry; 4,096 by default, the protocol's own.
    pub(crate) header_table_size: u32,

    /// How many streams a client takes to be allowed before the server has said: 100 by default, as
    /// gRPC clients do. Without a limit the first burst on a connection would be refused.
    pub(crate) initial_max_send_streams: u32,

    /// The last stream id that a client uses: 1,610,612,735 by default, three quarters of all, so
    /// that the successor of the connection has time to be made.
    pub(crate) last_local_stream_id: u32,

    /// How many octets may wait in the output before frames are queued by stream instead. 262,144
    /// by default: with a quarter of that, messages of a mebibyte were a sixth slower. More means
    /// fewer writes, and a longer wait for a control frame and for every other stream.
    pub(crate) output_batch: usize,

    /// How long a graceful drain waits for the acknowledgement that every request in flight has
    /// arrived: 5 seconds by default.
    pub(crate) drain_timeout: Duration,

    /// The bounds on what a peer may do to excess.
    pub(crate) budgets: BudgetConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            stream_window: DEFAULT_WINDOW,
            connection_window: DEFAULT_WINDOW,
            bdp_estimation: true,
            max_concurrent_streams: None,
            max_frame_size: MIN_MAX_FRAME_SIZE,
            max_send_frame_size: MIN_MAX_FRAME_SIZE as usize,
            max_header_list_size: None,
            max_header_fields: 4_096,
            header_table_size: DEFAULT_TABLE_SIZE as u32,
            initial_max_send_streams: 100,
            last_local_stream_id: MAX_STREAM_ID / 4 * 3 + 2,
            output_batch: 262_144,
            drain_timeout: Duration::from_secs(5),
            budgets: BudgetConfig::default(),
        }
    }
}

impl Config {
    /// The header list limit that is enforced, announced or not.
    pub(super) fn header_list_limit(&self) -> usize {
        self.max_header_list_size
            .map_or(16 << 20, |size| size as usize)
    }

    /// The configuration with every value in the range that the protocol gives it.
    pub(super) fn in_range(mut self) -> Self {
        self.stream_window = self.stream_window.clamp(DEFAULT_WINDOW, MAX_WINDOW);
        self.connection_window = self.connection_window.clamp(DEFAULT_WINDOW, MAX_WINDOW);
        self.max_frame_size = self
            .max_frame_size
            .clamp(MIN_MAX_FRAME_SIZE, MAX_MAX_FRAME_SIZE);
        self.max_send_frame_size = self
            .max_send_frame_size
            .clamp(1, MAX_MAX_FRAME_SIZE as usize);
        self.last_local_stream_id = self.last_local_stream_id.min(MAX_STREAM_ID);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stream_id_is_three_quarters_of_all() {
        assert_eq!(Config::default().last_local_stream_id, 1_610_612_735);
    }

    #[test]
    fn values_out_of_range_are_brought_into_it() {
        let config = Config {
            stream_window: 1,
            connection_window: u32::MAX,
            max_frame_size: 1,
            max_send_frame_size: 0,
            ..Config::default()
        }
        .in_range();
        assert_eq!(config.stream_window, 65_535);
        assert_eq!(config.connection_window, MAX_WINDOW);
        assert_eq!(config.max_frame_size, 16_384);
        assert_eq!(config.max_send_frame_size, 1);
    }
}
