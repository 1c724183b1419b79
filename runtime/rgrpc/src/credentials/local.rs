//! Credentials for connections within one machine.
//!
//! Called on the task of the attempt to connect and on that of an accepted connection.

use std::error::Error;

use super::{
    ClientHandshake, ClientHandshakeInfo, HandshakeResult, Secured, ServerHandshake,
    ServerHandshakeInfo,
};
use crate::io::{Address, AuthInfo, BoxedIo, Peer, SecurityLevel};

const LOCAL: &str = "local";

/// The handshake of connections within one machine, for both sides. It exchanges nothing, and
/// refuses connections to other machines.
///
/// Source: grpc-go's package `credentials/local`.
#[derive(Debug)]
pub(super) struct Local;

impl ClientHandshake for Local {
    fn protocol(&self) -> &'static str {
        LOCAL
    }

    fn check_host(&self, _: &str, _: &Peer) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }

    async fn handshake(&self, io: BoxedIo, info: ClientHandshakeInfo<'_>) -> HandshakeResult {
        secured(io, info.peer())
    }
}

impl ServerHandshake for Local {
    fn protocol(&self) -> &'static str {
        LOCAL
    }

    async fn handshake(&self, io: BoxedIo, info: ServerHandshakeInfo<'_>) -> HandshakeResult {
        secured(io, info.peer())
    }
}

fn secured(io: BoxedIo, peer: &Peer) -> HandshakeResult {
    match security_level(&peer.remote) {
        Some(level) => Ok(Secured::new(io, AuthInfo::new(LOCAL, level))),
        None => Err(format!(
            "{} is not an address of this machine; the option is credentials",
            peer.remote
        )
        .into()),
    }
}

/// Returns the security level of connections to an address, or `None` if it is not local.
fn security_level(remote: &Address) -> Option<SecurityLevel> {
    match remote {
        // Any user of the machine can listen there.
        Address::Tcp(address) if address.ip().to_canonical().is_loopback() => {
            Some(SecurityLevel::NoSecurity)
        }
        Address::Unix(_) | Address::UnixAbstract(_) | Address::Pipe => {
            Some(SecurityLevel::PrivacyAndIntegrity)
        }
        Address::Tcp(_) | Address::Name(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_connections_have_the_level_of_their_kind_and_others_are_refused() {
        let tcp = |address: &str| Address::Tcp(address.parse().expect(address));
        for (remote, level) in [
            (tcp("127.0.0.1:1"), Some(SecurityLevel::NoSecurity)),
            (tcp("127.9.9.9:1"), Some(SecurityLevel::NoSecurity)),
            (tcp("[::1]:1"), Some(SecurityLevel::NoSecurity)),
            (tcp("[::ffff:127.0.0.1]:1"), Some(SecurityLevel::NoSecurity)),
            (tcp("10.0.0.1:1"), None),
            (tcp("0.0.0.0:1"), None),
            (tcp("[2001:db8::1]:1"), None),
            (Address::Name("localhost:1".to_owned()), None),
            (
                Address::Unix(None),
                Some(SecurityLevel::PrivacyAndIntegrity),
            ),
            (
                Address::UnixAbstract("a".to_owned()),
                Some(SecurityLevel::PrivacyAndIntegrity),
            ),
            (Address::Pipe, Some(SecurityLevel::PrivacyAndIntegrity)),
        ] {
            assert_eq!(security_level(&remote), level, "{remote}");
        }
    }
}
