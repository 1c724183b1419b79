//! The error of building a channel.
//!
//! Made by the builder from a wrong option, and returned to the user on the user's task, before any
//! IO.

use std::error::Error;
use std::fmt;

use crate::error_text::debug_is_text;
use crate::resolver::TargetError;
use crate::service_config::ServiceConfigError;
use crate::transport::Transport;

/// The error of building a channel.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The target cannot be parsed.
    Target(TargetError),
    /// The authority cannot be sent.
    Authority {
        /// The authority, as set or as it follows from the target.
        authority: String,
        /// The problem.
        problem: String,
    },
    /// The credentials are to find another server than the one that the authority names.
    ServerName {
        /// The authority, as set.
        authority: String,
        /// The server name of the credentials.
        server_name: String,
    },
    /// The user agent has bytes other than printable ASCII.
    UserAgent(String),
    /// The default service config is invalid.
    ServiceConfig(ServiceConfigError),
    /// A field of the [`BackoffConfig`](crate::BackoffConfig) makes no sense: which, and what was expected.
    Backoff(String),
    /// The default call options cannot be defaults, or have metadata that cannot be sent.
    DefaultCallOptions(String),
    /// These per-RPC credentials need transport security, which the channel's credentials do not
    /// provide.
    PerRpcCredentials(String),
    /// A compressor has this name, which cannot be sent.
    Compressor(String),
    /// This transport has no keepalive.
    Keepalive(Transport),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => error.fmt(f),
            Self::Authority { authority, problem } => write!(
                f,
                "the authority {authority:?} cannot be sent: {problem}; the option is authority"
            ),
            Self::ServerName {
                authority,
                server_name,
            } => write!(
                f,
                "the authority {authority:?} is not the server name {server_name:?} of the \
                 credentials; the options are authority and server_name"
            ),
            Self::UserAgent(user_agent) => write!(
                f,
                "the user agent {user_agent:?} has bytes other than printable ASCII; \
                 the option is user_agent"
            ),
            Self::ServiceConfig(error) => write!(
                f,
                "the service config is invalid: {error}; the option is default_service_config"
            ),
            Self::Backoff(problem) => write!(f, "{problem}; the option is connect_backoff"),
            Self::DefaultCallOptions(problem) => {
                write!(f, "{problem}; the option is default_call_options")
            }
            Self::PerRpcCredentials(name) => write!(
                f,
                "the per-RPC credentials {name} are for secure connections alone, and the channel's \
                 credentials are insecure(); the option is per_rpc_credentials"
            ),
            Self::Compressor(name) => write!(
                f,
                "the name {name:?} of a compressor cannot be sent; the option is compressor"
            ),
            Self::Keepalive(transport) => write!(
                f,
                "the transport {transport:?} has no keepalive, which the transport Native has; the \
                 options are keepalive and transport"
            ),
        }
    }
}

debug_is_text!(BuildError);

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Target(error) => Some(error),
            Self::ServiceConfig(error) => Some(error),
            Self::Authority { .. }
            | Self::ServerName { .. }
            | Self::UserAgent(_)
            | Self::Backoff(_)
            | Self::DefaultCallOptions(_)
            | Self::PerRpcCredentials(_)
            | Self::Compressor(_)
            | Self::Keepalive(_) => None,
        }
    }
}
