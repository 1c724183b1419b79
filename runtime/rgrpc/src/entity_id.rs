//! The ids of channels, subchannels, servers and sockets: one sequence for the process, as channelz
//! has it.
//!
//! Called when one of them is created, on any task.
//!
//! Source: grpc-go `internal/channelz`, `IDGen`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Returns the next id: 1 for the first.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
