//! Which of rgrpc's engines and server modes a program uses: the one place that knows which are
//! built in.

use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use rgrpc::{ClientConn, Server, Transport, credentials};

/// The engines that the tables compare.
pub const ENGINES: &[Engine] = &[Engine::Native, Engine::H2];

/// What carries rgrpc's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The engine of its own.
    Native,
    /// The h2 crate.
    H2,
}

/// The engine of a server or a client.
#[derive(Args, Clone, Copy, Debug)]
pub struct EngineFlags {
    /// What carries the streams.
    #[arg(long, value_enum, default_value_t = Engine::Native)]
    pub engine: Engine,
}

impl EngineFlags {
    /// A server on this engine, that runs on the caller's runtime or on threads of its own.
    #[must_use]
    pub fn server(self, workers: Option<NonZeroUsize>) -> Server {
        let server = Server::new().transport(self.engine.transport());
        match workers {
            Some(workers) => server.workers(workers),
            None => server,
        }
    }

    /// A channel to a port of this machine that runs on this engine.
    ///
    /// # Errors
    /// The channel cannot be made.
    pub fn client_conn(self, port: u16) -> Result<ClientConn> {
        ClientConn::builder(format!("dns:///127.0.0.1:{port}"), credentials::insecure())
            .transport(self.engine.transport())
            .build()
            .context("making a channel")
    }
}

impl Engine {
    /// Its name on command lines and in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::H2 => "h2",
        }
    }

    const fn transport(self) -> Transport {
        match self {
            Self::Native => Transport::Native,
            Self::H2 => Transport::H2,
        }
    }
}
