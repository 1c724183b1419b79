//! The schemes `unix` and `unix-abstract`: unix sockets of this machine.
//!
//! Called by the channel's builder, and by the channel's task when it leaves idle mode.
//!
//! Source: `doc/naming.md` of the gRPC documents; grpc-go `internal/resolver/unix`.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use super::{
    Resolver, ResolverBuilder, ResolverError, ResolverOptions, ResolverState, StaticResolver,
    Target,
};
use crate::io::Address;

/// Builds the resolvers of `unix:path` and `unix:///absolute/path`.
pub(super) struct UnixResolverBuilder;

/// Builds the resolvers of `unix-abstract:name`: a socket in Linux's abstract namespace, which is
/// not a file.
pub(super) struct UnixAbstractResolverBuilder;

impl ResolverBuilder for UnixResolverBuilder {
    fn scheme(&self) -> &'static str {
        "unix"
    }

    fn build(
        &self,
        target: &Target,
        _: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, ResolverError> {
        let path = socket_name(target, "path")?;
        Ok(only(Address::Unix(Some(PathBuf::from(path)))))
    }

    fn authority(&self, _: &Target) -> String {
        "localhost".to_owned()
    }
}

impl ResolverBuilder for UnixAbstractResolverBuilder {
    fn scheme(&self) -> &'static str {
        "unix-abstract"
    }

    fn build(
        &self,
        target: &Target,
        _: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, ResolverError> {
        let name = socket_name(target, "name")?;
        Ok(only(Address::UnixAbstract(name.to_owned())))
    }

    fn authority(&self, _: &Target) -> String {
        "localhost".to_owned()
    }
}

fn only(address: Address) -> Box<dyn Resolver> {
    Box::new(StaticResolver::of_state(ResolverState::of_addresses([
        address,
    ])))
}

/// The whole path of a target: the name of its socket. `what` is its term in errors.
fn socket_name<'a>(target: &'a Target, what: &'static str) -> Result<&'a str, ResolverError> {
    let error = if !target.authority().is_empty() {
        SocketNameError::Host {
            scheme: target.scheme().to_owned(),
            host: target.authority().to_owned(),
            what,
        }
    } else if target.path().is_empty() {
        SocketNameError::Empty { what }
    } else {
        return Ok(target.path());
    };
    Err(ResolverError::invalid_target(error))
}

/// The error of a target that names no unix socket.
#[derive(Debug)]
enum SocketNameError {
    /// A host stands before the name.
    Host {
        scheme: String,
        host: String,
        what: &'static str,
    },
    Empty {
        what: &'static str,
    },
}

impl fmt::Display for SocketNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { scheme, host, what } => write!(
                f,
                "a unix socket has no host, but {host:?} stands before the {what}: use \
                 {scheme}:{what} or {scheme}:///{what}"
            ),
            Self::Empty { what } => write!(f, "the {what} of the unix socket is empty"),
        }
    }
}

impl Error for SocketNameError {}
