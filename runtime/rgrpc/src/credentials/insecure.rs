//! Credentials without security.
//!
//! Called on the task of the attempt to connect and on that of an accepted connection.

use std::error::Error;

use super::{
    ClientHandshake, ClientHandshakeInfo, HandshakeResult, Secured, ServerHandshake,
    ServerHandshakeInfo,
};
use crate::io::{AuthInfo, BoxedIo, INSECURE, Peer};

/// The handshake of plain text, for both sides. It does nothing.
#[derive(Debug)]
pub(super) struct Insecure;

impl ClientHandshake for Insecure {
    fn protocol(&self) -> &'static str {
        INSECURE
    }

    /// Accepts any host, because none is verified.
    fn check_host(&self, _: &str, _: &Peer) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }

    async fn handshake(&self, io: BoxedIo, _: ClientHandshakeInfo<'_>) -> HandshakeResult {
        Ok(Secured::new(io, AuthInfo::insecure()))
    }
}

impl ServerHandshake for Insecure {
    fn protocol(&self) -> &'static str {
        INSECURE
    }

    async fn handshake(&self, io: BoxedIo, _: ServerHandshakeInfo<'_>) -> HandshakeResult {
        Ok(Secured::new(io, AuthInfo::insecure()))
    }
}
