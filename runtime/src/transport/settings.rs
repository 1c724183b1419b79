use std::time::Duration;

use super::Transport;

/// A server's settings for its connections.
#[derive(Clone, Debug)]
pub(crate) struct ServerSettings {
    /// From accepting to the end of the HTTP/2 preface.
    pub(crate) handshake_timeout: Duration,
    pub(crate) max_concurrent_streams: Option<u32>,
    pub(crate) transport: Transport,
}
