//! The options of a connection, and their defaults.

use std::time::Duration;

use super::budget::BudgetConfig;
use super::flow::{DEFAULT_WINDOW, MAX_WINDOW};
use super::frame::MAX_STREAM_ID;
use super::hpack::DEFAULT_TABLE_SIZE;

/// The smallest SETTINGS_MAX_FRAME_SIZE, and the default (RFC 9113 section 6.5.2).
pub(super) const MIN_MAX_FRAME_SIZE: u32 = 16_384;

/// The largest SETTINGS_MAX_FRAME_SIZE.
pub(super) const MAX_MAX_FRAME_SIZE: u32 = (1 << 24) - 1;

/// The options of a connection.
///
/// The defaults are those of other gRPC implementations. Values outside the protocol's range are
/// changed to the nearest valid value.
#[derive(Clone, Debug)]
pub struct Config {
    /// The receive window of a stream, in octets. Default: 65,535, which is also the minimum. The
    /// maximum is 2^31-1.
    ///
    /// It is announced as SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 section 6.9.2). It limits the DATA
    /// that a stream may receive before the application reads it. In the worst case this much
    /// memory is held for every stream.
    pub stream_window: u32,

    /// The receive window of the connection, in octets. Default: 65,535, which is also the minimum.
    /// The maximum is 2^31-1.
    ///
    /// The connection returns this credit on receipt. The window therefore limits the octets in
    /// flight, not the memory that is held.
    pub connection_window: u32,

    /// Enables the estimation of the bandwidth-delay product. Default: `true`.
    ///
    /// The estimator grows both windows up to 16 MiB, because 65,535 octets per round trip are too
    /// few for a fast path with a long delay. With `false` both windows keep their configured size.
    pub bdp_estimation: bool,

    /// The maximum number of concurrent streams of the peer. Default: `None`, no limit.
    ///
    /// It is announced as SETTINGS_MAX_CONCURRENT_STREAMS. Excess streams are refused with
    /// REFUSED_STREAM. It has no effect on a client, because a server opens no streams.
    pub max_concurrent_streams: Option<u32>,

    /// The maximum payload of a received frame, in octets. Default: 16,384, which is also the
    /// minimum. The maximum is 2^24-1.
    ///
    /// It is announced as SETTINGS_MAX_FRAME_SIZE. A frame is handled once all of it has arrived,
    /// so the owner's input buffer must be able to hold a whole frame.
    pub max_frame_size: u32,

    /// The maximum payload of a sent frame, in octets. Default: 16,384. The peer's
    /// SETTINGS_MAX_FRAME_SIZE also applies.
    ///
    /// Longer frames delay other streams more and save almost nothing.
    pub max_send_frame_size: usize,

    /// The maximum size of a received header list, in octets including 32 for each field (RFC 9113
    /// section 6.5.2). Default: `None`, which means 16 MiB without an announcement.
    ///
    /// A configured value is announced as SETTINGS_MAX_HEADER_LIST_SIZE. The decoder holds at most
    /// one such list and one such block at a time.
    pub max_header_list_size: Option<u32>,

    /// The maximum number of fields in a received header list. Default: 4,096.
    ///
    /// The default is several times the most fields seen in any use of gRPC. The limit exists
    /// because a field of one octet on the wire takes far more memory when decoded.
    pub max_header_fields: usize,

    /// The size of the decoder's dynamic table, in octets including 32 for each entry. Default:
    /// 4,096, the default of the protocol.
    ///
    /// Another value is announced as SETTINGS_HEADER_TABLE_SIZE.
    pub header_table_size: u32,

    /// The number of streams that a client may open before the server's SETTINGS arrive. Default:
    /// 100, as in other gRPC clients.
    ///
    /// Without this limit a server may refuse the first burst of streams on a connection.
    pub initial_max_send_streams: u32,

    /// The last stream id that a client uses. Default: 1,610,612,735, three quarters of the range.
    ///
    /// The remaining quarter leaves time to establish the next connection.
    pub last_local_stream_id: u32,

    /// The number of octets that may wait in the output before DATA is queued by stream instead.
    /// Default: 262,144.
    ///
    /// A larger value means fewer writes, but a longer delay for control frames and for other
    /// streams. With a quarter of the default, messages of 1 MiB were a sixth slower.
    pub output_batch: usize,

    /// The time for which a graceful drain waits for the acknowledgement of its PING. Default: 5
    /// seconds.
    pub drain_timeout: Duration,

    /// The limits for hostile peers.
    pub budgets: BudgetConfig,
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
    /// Returns the enforced limit of a header list, in octets, announced or not.
    #[inline]
    pub(super) fn header_list_limit(&self) -> usize {
        self.max_header_list_size
            .map_or(16 << 20, |size| size as usize)
    }

    /// Moves every value into the range of the protocol.
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
    fn values_out_of_range_become_the_nearest_valid_value() {
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
