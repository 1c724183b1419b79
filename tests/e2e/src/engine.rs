//! The engine under test, and the servers and channels that use it.
//!
//! The environment variable `RGRPC_TRANSPORT` (`native` or `h2`; default `native`) sets the engine
//! of a whole run. A test that is about one engine sets the option `transport` itself.

use std::env;
use std::sync::OnceLock;

use rgrpc::credentials::ChannelCredentials;
use rgrpc::{BuildError, ClientConn, ClientConnBuilder, Server, Transport};

/// Creates a server on the engine under test.
#[allow(clippy::disallowed_methods, reason = "it sets the engine")]
pub fn new_server() -> Server {
    Server::new().transport(engine())
}

/// Creates the builder of a channel on the engine under test.
#[allow(clippy::disallowed_methods, reason = "it sets the engine")]
pub fn channel_builder(
    target: impl Into<String>,
    credentials: ChannelCredentials,
) -> ClientConnBuilder {
    ClientConn::builder(target, credentials).transport(engine())
}

/// Creates a channel on the engine under test.
///
/// # Errors
/// The channel cannot be built.
pub fn new_channel(
    target: impl Into<String>,
    credentials: ChannelCredentials,
) -> Result<ClientConn, BuildError> {
    channel_builder(target, credentials).build()
}

/// Returns whether the engine under test is the native one, for behaviour that engines may choose
/// and that the native one specifies.
pub fn native() -> bool {
    engine() == Transport::Native
}

/// Returns the engine under test.
///
/// # Panics
/// If `RGRPC_TRANSPORT` names no engine.
pub fn engine() -> Transport {
    static ENGINE: OnceLock<Transport> = OnceLock::new();
    *ENGINE.get_or_init(|| match env::var_os("RGRPC_TRANSPORT") {
        None => Transport::default(),
        Some(name) if name == "native" => Transport::Native,
        Some(name) if name == "h2" => Transport::H2,
        Some(name) => panic!("RGRPC_TRANSPORT is {name:?}, and not native or h2"),
    })
}
