//! The errors of registering services and of serving.

use std::error::Error;
use std::fmt;
use std::io;

use crate::error_text::debug_is_text;
use crate::task::outside_of_a_runtime;
use crate::transport::Transport;

/// The error of a service that cannot be registered.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// A service of this name is registered already.
    Duplicate(&'static str),
    /// The server has begun to serve; services are registered before.
    Serving(&'static str),
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(service) => {
                write!(f, "the service {service:?} is registered already")
            }
            Self::Serving(service) => write!(
                f,
                "the service {service:?} was registered after the server began to serve: \
                 register all services first"
            ),
        }
    }
}

impl Error for RegisterError {}

debug_is_text!(RegisterError, ServeError);

/// The error of a server that does not serve.
#[non_exhaustive]
pub enum ServeError {
    /// The address or path could not be bound.
    Bind(io::Error),
    /// A thread of the option [`workers`](super::Server::workers) could not be started.
    Worker(io::Error),
    /// A compressor of the option [`compressor`](super::Server::compressor) has this name, which
    /// cannot be sent.
    Compressor(String),
    /// This transport has no keepalive.
    Keepalive(Transport),
    /// The server has no tokio runtime to serve on.
    OutsideRuntime,
    /// The server had been stopped before.
    Stopped,
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => write!(f, "the server cannot listen: {error}"),
            Self::Worker(error) => {
                write!(
                    f,
                    "a worker of the server's option workers cannot start: {error}"
                )
            }
            Self::Compressor(name) => write!(
                f,
                "the name {name:?} of a compressor cannot be sent; the option is compressor"
            ),
            Self::Keepalive(transport) => write!(
                f,
                "the transport {transport:?} has no keepalive, which the transport Native has; the \
                 options are keepalive, keepalive_enforcement and transport"
            ),
            Self::OutsideRuntime => f.write_str(&outside_of_a_runtime("a server was to serve")),
            Self::Stopped => f.write_str("the server has been stopped"),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Bind(error) | Self::Worker(error) => Some(error),
            Self::Compressor(_) | Self::Keepalive(_) | Self::OutsideRuntime | Self::Stopped => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_main_returns_is_printed_as_its_text() {
        let busy = ServeError::Bind(io::Error::new(io::ErrorKind::AddrInUse, "address in use"));
        assert_eq!(
            format!("{busy:?}"),
            "the server cannot listen: address in use"
        );
        for error in [
            RegisterError::Duplicate("pkg.Svc"),
            RegisterError::Serving("pkg.Svc"),
        ] {
            assert_eq!(format!("{error:?}"), error.to_string());
        }
    }
}
