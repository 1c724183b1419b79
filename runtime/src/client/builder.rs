use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::ClientConn;
use super::channel::Channel;
use super::conn::Settings;
use crate::credentials::ChannelCredentials;
use crate::io::{Dial, SystemDialer};
use crate::resolver::{Resolver, Target, TargetError};

/// This implementation, as `user-agent` names it.
const USER_AGENT: &str = concat!("grpc-rust-rgrpc/", env!("CARGO_PKG_VERSION"));

/// The options of a channel that is to be made.
#[must_use = "the channel is made by `build`"]
pub struct ClientConnBuilder {
    target: String,
    credentials: ChannelCredentials,
    authority: Option<String>,
    user_agent: Option<String>,
    dialer: Arc<dyn Dial>,
}

impl ClientConn {
    /// A channel to `target` with default options. Does no IO.
    ///
    /// # Errors
    /// The target cannot be parsed.
    pub fn new(
        target: impl Into<String>,
        credentials: ChannelCredentials,
    ) -> Result<Self, BuildError> {
        Self::builder(target, credentials).build()
    }

    /// A channel to `target` whose options are to be set.
    pub fn builder(
        target: impl Into<String>,
        credentials: ChannelCredentials,
    ) -> ClientConnBuilder {
        ClientConnBuilder::new(target.into(), credentials)
    }
}

impl ClientConnBuilder {
    pub(super) fn new(target: String, credentials: ChannelCredentials) -> Self {
        Self {
            target,
            credentials,
            authority: None,
            user_agent: None,
            dialer: Arc::new(SystemDialer),
        }
    }

    /// The `:authority` of requests. Default: the target's endpoint; `localhost` for unix sockets.
    ///
    /// Source: grpc-go `WithAuthority`.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// What goes before this implementation's name in `user-agent`. Default: nothing.
    ///
    /// Source: grpc-go `WithUserAgent`.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// What makes the connections. Default: the operating system, by [`SystemDialer`]. Use the
    /// scheme `passthrough` when the dialer is to have the endpoint as it is.
    ///
    /// Source: grpc-go `WithContextDialer`.
    pub fn dialer(mut self, dialer: impl Dial) -> Self {
        self.dialer = Arc::new(dialer);
        self
    }

    /// Makes the channel. Does no IO.
    ///
    /// # Errors
    /// The target cannot be parsed, or an option cannot be sent.
    pub fn build(self) -> Result<ClientConn, BuildError> {
        let target = Target::parse(&self.target).map_err(BuildError::Target)?;
        let authority = match self.authority {
            Some(authority) => authority,
            None => target.authority().to_owned(),
        };
        if let Err(error) = authority.parse::<http::uri::Authority>() {
            return Err(BuildError::Authority {
                authority,
                problem: error.to_string(),
            });
        }
        let settings = Settings {
            authority,
            user_agent: user_agent(self.user_agent)?,
            scheme: self.credentials.scheme(),
            target: self.target,
        };
        let dialer = self.dialer;
        Ok(ClientConn::from_parts(settings, |cell, closed| Channel {
            resolver: Resolver::new(&target),
            target,
            dialer,
            cell,
            closed,
        }))
    }
}

fn user_agent(prefix: Option<String>) -> Result<Bytes, BuildError> {
    let Some(prefix) = prefix else {
        return Ok(Bytes::from_static(USER_AGENT.as_bytes()));
    };
    if prefix.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        Ok(format!("{prefix} {USER_AGENT}").into())
    } else {
        Err(BuildError::UserAgent(prefix))
    }
}

impl fmt::Debug for ClientConnBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConnBuilder")
            .field("target", &self.target)
            .field("credentials", &self.credentials)
            .field("authority", &self.authority)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}

/// Why a channel could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The target cannot be parsed.
    Target(TargetError),
    /// The authority cannot be sent.
    Authority {
        /// The authority, as set or as it follows from the target.
        authority: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The user agent has bytes other than printable ASCII.
    UserAgent(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => error.fmt(f),
            Self::Authority { authority, problem } => write!(
                f,
                "the authority {authority:?} cannot be sent: {problem}; the option is authority"
            ),
            Self::UserAgent(user_agent) => write!(
                f,
                "the user agent {user_agent:?} has bytes other than printable ASCII; \
                 the option is user_agent"
            ),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Target(error) => Some(error),
            Self::Authority { .. } | Self::UserAgent(_) => None,
        }
    }
}
