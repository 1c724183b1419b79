//! The interop server: its flags, where it listens, what it has.
//!
//! Called by the program `interop-server`.
//!
//! Source: grpc-go `interop/server/server.go`.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rgrpc::Server;
use tokio::net::TcpListener;

use crate::engine::engine;
use crate::flags::{self, Command, Flag, FlagError, set};
use crate::proto::register_test_service;
use crate::service::TestService;
use crate::tls;

/// The options that the flags set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The port to listen on; with 0 the system chooses one.
    pub port: u16,
    /// The TLS options of the connections.
    pub tls: tls::ServerOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 10_000,
            tls: tls::ServerOptions::default(),
        }
    }
}

const ABOUT: &str = "Serves grpc.testing.TestService for gRPC's interop clients.";

const NO_ALTS: &str = "rgrpc has no ALTS credentials";

const FLAGS: &[Flag<Options>] = &[
    Flag::value("port", "the port to listen on (10000)", |options, text| {
        set(&mut options.port, text)
    }),
    Flag::switch("use_tls", "use TLS (false)", |options, on| {
        options.tls.use_tls = on;
    }),
    Flag::value(
        "tls_cert_file",
        "the certificate, as PEM (one of this program's own)",
        |options, text| set(&mut options.tls.cert_file, text),
    ),
    Flag::value(
        "tls_key_file",
        "the certificate's key, as PEM (one of this program's own)",
        |options, text| set(&mut options.tls.key_file, text),
    ),
    Flag::switch_not_supported("use_alts", NO_ALTS),
    Flag::value_not_supported("alts_handshaker_service_address", NO_ALTS),
];

impl Options {
    /// Reads a command line without the program's name.
    ///
    /// # Errors
    /// The problem.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command<Self>, FlagError> {
        flags::parse(ABOUT, FLAGS, arguments)
    }
}

/// Listens on a port of all addresses of the machine, as grpc-go's server does.
///
/// # Errors
/// The port cannot be had.
pub async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        // Without IPv6 on the machine, IPv4 is all there is.
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await
        }
        listener => listener,
    }
}

/// A server that has the test service.
///
/// # Errors
/// The service could not be registered, a file of the flags cannot be used, or the environment names
/// no engine.
pub fn server(tls: &tls::ServerOptions) -> Result<Server, Box<dyn Error + Send + Sync>> {
    let mut server = Server::new()
        .transport(engine()?)
        .credentials(tls.credentials()?);
    register_test_service(&mut server, TestService)?;
    Ok(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        match Options::parse(line.split_whitespace().map(str::to_owned)) {
            Ok(Command::Run(options)) => Ok(options),
            Ok(Command::Help(text)) => Err(text),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn without_flags_the_server_is_grpc_gos_default() {
        let options = parse("").expect("well-formed");
        assert_eq!(options.port, 10_000);
        assert_eq!(options.tls, tls::ServerOptions::default());
    }

    #[test]
    fn the_flags_of_tls_are_read() {
        let options = parse("--use_tls --tls_cert_file=c --tls_key_file=k");
        let want = tls::ServerOptions {
            use_tls: true,
            cert_file: "c".to_owned(),
            key_file: "k".to_owned(),
        };
        assert_eq!(options.expect("well-formed").tls, want);
    }
}
