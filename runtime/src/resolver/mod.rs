//! From a channel's target to addresses.
//!
//! A [`Target`] is parsed when the channel is made; a [`Resolver`] turns it into addresses, on the
//! channel's task, each time it is to connect.

mod dns;
mod target;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::io::Address;
use crate::status::Status;

pub use target::TargetError;
pub(crate) use target::{Endpoint, Target};

/// Finds the addresses of a target.
#[derive(Debug)]
pub(crate) enum Resolver {
    /// The addresses stand in the target.
    Fixed(Vec<Address>),
    /// The system's resolver is asked each time.
    Dns { host: String, port: u16 },
}

impl Resolver {
    /// The resolver for a target.
    pub(crate) fn new(target: &Target) -> Self {
        match target.endpoint() {
            Endpoint::Passthrough(name) => Self::Fixed(vec![Address::Name(name.clone())]),
            Endpoint::Unix(path) => Self::Fixed(vec![Address::Unix(Some(PathBuf::from(path)))]),
            Endpoint::Ip(addresses) => {
                Self::Fixed(addresses.iter().copied().map(Address::Tcp).collect())
            }
            Endpoint::Dns { host, port } => match host.parse() {
                Ok(ip) => Self::Fixed(vec![Address::Tcp(SocketAddr::new(ip, *port))]),
                Err(_) => Self::Dns {
                    host: host.clone(),
                    port: *port,
                },
            },
        }
    }

    /// The addresses now; never an empty list.
    pub(crate) async fn resolve(&self) -> Result<Vec<Address>, Status> {
        match self {
            Self::Fixed(addresses) => Ok(addresses.clone()),
            Self::Dns { host, port } => dns::lookup(host, *port).await,
        }
    }
}
