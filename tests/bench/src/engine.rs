//! The engine and the server mode of a program of rgrpc: the only place that knows the built-in
//! ones.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};
use rgrpc::{Server, Transport};

/// The engines that the tables compare.
pub const ENGINES: &[Engine] = &[Engine::Native, Engine::H2];

/// An engine of rgrpc.
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
    /// The engine of the streams.
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

    /// The engine as an option of rgrpc.
    pub(crate) const fn transport(self) -> Transport {
        match self {
            Self::Native => Transport::Native,
            Self::H2 => Transport::H2,
        }
    }
}
