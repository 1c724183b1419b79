//! Which engine the tests run on.

use rgrpc::Transport;

/// Whether connections are those of the native engine: for what an engine may decide by itself, and
/// of which the native one promises more. `RGRPC_TRANSPORT` chooses, for the whole run.
pub fn native() -> bool {
    Transport::default() == Transport::Native
}
