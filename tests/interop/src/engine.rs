//! The engine of the programs, which the environment variable `RGRPC_TRANSPORT` sets: `native` (the
//! default) or `h2`. Scripts run the same cases on both.

use std::env;

use rgrpc::Transport;

/// Returns the engine that the environment names.
///
/// # Errors
/// `RGRPC_TRANSPORT` names no engine.
pub fn engine() -> Result<Transport, String> {
    match env::var_os("RGRPC_TRANSPORT") {
        None => Ok(Transport::default()),
        Some(name) if name == "native" => Ok(Transport::Native),
        Some(name) if name == "h2" => Ok(Transport::H2),
        Some(name) => Err(format!(
            "the environment variable RGRPC_TRANSPORT is {name:?}, and not native or h2"
        )),
    }
}
