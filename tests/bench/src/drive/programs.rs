//! The programs that are compared, as the tables name them.

use crate::engine::ENGINES;

/// A server or a client with its flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) file: &'static str,
    pub(super) arguments: Vec<&'static str>,
    pub(super) profile: Profile,
}

/// The profile that a program was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// The release profile of this workspace: one codegen unit for each crate, thin LTO.
    Tuned,
    /// The release profile of a project that sets none.
    CargoDefault,
}

/// The programs that ratios are relative to.
pub(super) const TONIC: &str = "tonic";
pub(super) const FLOOR: &str = "floor";
pub(super) const SOCKET: &str = "bare socket";

impl Program {
    fn new(name: impl Into<String>, file: &'static str, arguments: &[&'static str]) -> Self {
        Self {
            name: name.into(),
            file,
            arguments: arguments.to_vec(),
            profile: Profile::Tuned,
        }
    }

    /// As it comes out of another profile.
    pub(super) fn built_with(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// With further flags.
    pub(super) fn with(mut self, arguments: &[&'static str]) -> Self {
        self.arguments.extend_from_slice(arguments);
        self
    }
}

/// rgrpc's servers: each engine, on the same runtime as tonic's, and on a worker.
pub(super) fn rgrpc_servers() -> Vec<Program> {
    let mut servers = Vec::new();
    for engine in ENGINES {
        let name = format!("rgrpc, {}", engine.name());
        let server = Program::new(name, "bench-server", &["--engine", engine.name()]);
        let mut on_worker = server.clone().with(&["--workers", "1"]);
        on_worker.name += ", a worker";
        servers.push(on_worker);
        servers.push(server);
    }
    servers
}

/// rgrpc's clients.
pub(super) fn rgrpc_clients() -> Vec<Program> {
    ENGINES
        .iter()
        .map(|engine| {
            let name = format!("rgrpc, {}", engine.name());
            Program::new(name, "bench-client", &["--engine", engine.name()])
        })
        .collect()
}

/// Its multi-thread runtime with one thread.
pub(super) fn tonic_server() -> Program {
    Program::new(TONIC, "bench-server-tonic", &[])
}

pub(super) fn tonic_client() -> Program {
    Program::new(TONIC, "bench-client-tonic", &[])
}

pub(super) fn floor_server() -> Program {
    Program::new(FLOOR, "bench-floor", &[])
}

pub(super) fn floor_client() -> Program {
    Program::new(FLOOR, "bench-floor-client", &[])
}

pub(super) fn socket_server() -> Program {
    Program::new(SOCKET, "bench-echo-server", &[])
}

pub(super) fn socket_client() -> Program {
    Program::new(SOCKET, "bench-echo-client", &[])
}

/// All servers that the unary and stream tables compare.
pub(super) fn servers() -> Vec<Program> {
    let mut servers = rgrpc_servers();
    servers.push(tonic_server());
    servers.push(Program::new(
        "tonic, current-thread runtime",
        "bench-server-tonic",
        &["--threads", "0"],
    ));
    servers.push(floor_server());
    servers
}

/// All clients that the unary and stream tables compare.
pub(super) fn clients() -> Vec<Program> {
    let mut clients = rgrpc_clients();
    clients.push(tonic_client());
    clients.push(Program::new(
        "tonic, current-thread runtime",
        "bench-client-tonic",
        &["--threads", "0"],
    ));
    clients.push(floor_client());
    clients
}

/// A server and a client of the same implementation.
pub(super) fn pairs() -> Vec<(Program, Program)> {
    let clients = rgrpc_clients();
    let mut pairs: Vec<_> = rgrpc_servers()
        .into_iter()
        .filter_map(|server| {
            let client = clients
                .iter()
                .find(|client| server.arguments.starts_with(&client.arguments))?;
            Some((server, client.clone()))
        })
        .collect();
    pairs.push((tonic_server(), tonic_client()));
    pairs
}
