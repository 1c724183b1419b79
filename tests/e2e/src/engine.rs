//! The engine under test.

use rgrpc::Transport;

/// Returns whether the tests run on the native engine, for behaviour that engines may choose and
/// that the native one specifies. `RGRPC_TRANSPORT` sets the engine of the whole run.
pub fn native() -> bool {
    Transport::default() == Transport::Native
}
