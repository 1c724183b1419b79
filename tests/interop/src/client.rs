//! The interop client: its flags, and running the case that they name.
//!
//! Called by the program `interop-client`.
//!
//! Source: grpc-go `interop/client/client.go`.

use std::error::Error;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::time::Duration;

use rgrpc::{BuildError, CallOptions, ClientConn};

use crate::additional_metadata::{AdditionalMetadata, WithMetadata};
use crate::case::{Case, compressed};
use crate::compression::{CountedGzip, GZIP};
use crate::engine::engine;
use crate::flags::{self, Command, Flag, FlagError, set};
use crate::proto::TestServiceClient;
use crate::{soak, tls};

/// The options that the flags set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The server's host name or address.
    pub server_host: String,
    /// The server's port; with 0 the host is the whole target.
    pub server_port: u16,
    /// The case to run.
    pub test_case: TestCase,
    /// True if requests are compressed by gzip.
    pub gzip: bool,
    /// The metadata of every call.
    pub additional_metadata: AdditionalMetadata,
    /// The options of the two soak cases.
    pub soak: soak::Options,
    /// The TLS options of the channels.
    pub tls: tls::ClientOptions,
}

/// A test case, by its name in `--test_case`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TestCase {
    /// A case that needs nothing but a channel.
    Case(Case),
    /// A case that looks at which responses of unary calls are compressed.
    ServerCompressedUnary,
    /// A case that looks at which responses of a stream are compressed.
    ServerCompressedStreaming,
    /// A soak of one channel.
    RpcSoak,
    /// A soak with a channel for each call.
    ChannelSoak,
}

impl Default for Options {
    /// The defaults of grpc-go's client.
    fn default() -> Self {
        Self {
            server_host: "localhost".to_owned(),
            server_port: 10_000,
            test_case: TestCase::Case(Case::LargeUnary),
            gzip: false,
            additional_metadata: AdditionalMetadata::default(),
            soak: soak::Options::default(),
            tls: tls::ClientOptions::default(),
        }
    }
}

const ABOUT: &str = "Runs one of gRPC's interop cases against a server, and fails if it fails.";

const NO_ALTS: &str = "rgrpc has no ALTS credentials";
const NO_CLOUD: &str = "rgrpc has no credentials of Google's cloud";
const NO_SERVICE_CONFIG: &str = "rgrpc has no service config";

const FLAGS: &[Flag<Options>] = &[
    Flag::value(
        "server_host",
        "the server's host name or address (localhost)",
        |options, text| set(&mut options.server_host, text),
    ),
    Flag::value(
        "server_port",
        "the server's port (10000); with 0 the host is the whole target",
        |options, text| set(&mut options.server_port, text),
    ),
    Flag::value(
        "test_case",
        "the case to run (large_unary)",
        |options, text| set(&mut options.test_case, text),
    ),
    Flag::value(
        "compression",
        "what compresses what is sent: gzip, which responses must then be compressed by, too (none)",
        |options, text| match text {
            GZIP => {
                options.gzip = true;
                Ok(())
            }
            _ => Err(format!("it is {GZIP} or nothing")),
        },
    ),
    Flag::value(
        "additional_metadata",
        "what every call carries, as key:value;key:value",
        |options, text| set(&mut options.additional_metadata, text),
    ),
    Flag::value(
        "soak_iterations",
        "the number of calls of a soak (10)",
        |options, text| set(&mut options.soak.iterations, text),
    ),
    Flag::value(
        "soak_max_failures",
        "how many calls of a soak may fail (0)",
        |options, text| set(&mut options.soak.max_failures, text),
    ),
    Flag::value(
        "soak_per_iteration_max_acceptable_latency_ms",
        "a call of a soak that takes longer has failed (1000)",
        |options, text| set_milliseconds(&mut options.soak.max_latency, text),
    ),
    Flag::value(
        "soak_overall_timeout_seconds",
        "when a soak must be done (10)",
        |options, text| {
            let mut seconds = 0;
            set(&mut seconds, text)?;
            options.soak.overall_timeout = Duration::from_secs(seconds);
            Ok(())
        },
    ),
    Flag::value(
        "soak_min_time_ms_between_rpcs",
        "the shortest time from one call of a soak to the next (0)",
        |options, text| set_milliseconds(&mut options.soak.min_time_between_calls, text),
    ),
    Flag::value(
        "soak_request_size",
        "the size of a request's payload in a soak (271828)",
        |options, text| set(&mut options.soak.request_size, text),
    ),
    Flag::value(
        "soak_response_size",
        "the size of a response's payload in a soak (314159)",
        |options, text| set(&mut options.soak.response_size, text),
    ),
    Flag::value(
        "soak_num_threads",
        "how many calls of a soak go on at a time (1)",
        |options, text| set(&mut options.soak.workers, text),
    ),
    Flag::switch("use_tls", "use TLS (false)", |options, on| {
        options.tls.use_tls = on;
    }),
    Flag::switch(
        "use_test_ca",
        "trust a CA for tests, not the platform's (false)",
        |options, on| options.tls.use_test_ca = on,
    ),
    Flag::value(
        "ca_file",
        "the CA for tests, as PEM (one of this program's own)",
        |options, text| set(&mut options.tls.ca_file, text),
    ),
    Flag::value(
        "server_host_override",
        "the name that the server's certificate must have (the host of the target)",
        |options, text| set(&mut options.tls.server_host_override, text),
    ),
    Flag::value_not_supported("service_config_json", NO_SERVICE_CONFIG),
    Flag::switch_not_supported("use_alts", NO_ALTS),
    Flag::value_not_supported("alts_handshaker_service_address", NO_ALTS),
    Flag::value_not_supported("custom_credentials_type", NO_CLOUD),
    Flag::value_not_supported("service_account_key_file", NO_CLOUD),
    Flag::value_not_supported("oauth_scope", NO_CLOUD),
    Flag::value_not_supported("default_service_account", NO_CLOUD),
    Flag::value_not_supported("google_c2p_universe_domain", NO_CLOUD),
];

fn set_milliseconds(slot: &mut Duration, text: &str) -> Result<(), String> {
    let mut milliseconds = 0;
    set(&mut milliseconds, text)?;
    *slot = Duration::from_millis(milliseconds);
    Ok(())
}

impl Options {
    /// Reads a command line without the program's name.
    ///
    /// # Errors
    /// The problem.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command<Self>, FlagError> {
        let command = flags::parse(ABOUT, FLAGS, arguments)?;
        Ok(match command {
            Command::Help(text) => Command::Help(format!("{text}\nCases: {}\n", TestCase::names())),
            run @ Command::Run(_) => run,
        })
    }

    /// The target of the channel.
    fn target(&self) -> String {
        let Self {
            server_host: host,
            server_port: port,
            ..
        } = self;
        if *port == 0 {
            host.clone()
        } else if host.parse::<Ipv6Addr>().is_ok() {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

/// Runs the case, and says how it went.
///
/// # Errors
/// The channel could not be made, or why the case failed.
pub async fn run(options: Options) -> Result<String, Box<dyn Error + Send + Sync>> {
    let target = options.target();
    let credentials = options.tls.credentials()?;
    let engine = engine()?;
    let gzip = CountedGzip::default();
    let of_channels = gzip.clone();
    let new_channel = move || {
        let mut builder = ClientConn::builder(&*target, credentials.clone()).transport(engine);
        if options.gzip {
            let mut defaults = CallOptions::new();
            defaults.set_compressor(GZIP);
            builder = builder.default_call_options(defaults);
        }
        let channel = builder.compressor(of_channels.clone()).build()?;
        let metadata = options.additional_metadata.clone();
        Ok::<_, BuildError>(WithMetadata::new(channel, metadata))
    };
    let channel = new_channel()?;
    let outcome = match options.test_case {
        TestCase::Case(case) => {
            case.run(&channel).await?;
            if options.gzip && case.has_large_responses() && gzip.decompressed() == 0 {
                return Err(format!("{case}: no response was compressed").into());
            }
            "passed".to_owned()
        }
        TestCase::ServerCompressedUnary => {
            let client = TestServiceClient::new(channel);
            compressed::server_compressed_unary(&client, &gzip).await?;
            "passed".to_owned()
        }
        TestCase::ServerCompressedStreaming => {
            let client = TestServiceClient::new(channel);
            compressed::server_compressed_streaming(&client, &gzip).await?;
            "passed".to_owned()
        }
        TestCase::RpcSoak => {
            let same_channel = move || Ok(channel.clone());
            soak::run(&options.soak, same_channel).await?.to_string()
        }
        TestCase::ChannelSoak => soak::run(&options.soak, new_channel).await?.to_string(),
    };
    Ok(format!("{}: {outcome}", options.test_case))
}

impl TestCase {
    fn all() -> impl Iterator<Item = Self> {
        Case::ALL.into_iter().map(Self::Case).chain([
            Self::ServerCompressedUnary,
            Self::ServerCompressedStreaming,
            Self::RpcSoak,
            Self::ChannelSoak,
        ])
    }

    fn names() -> String {
        Self::all()
            .map(|case| case.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl fmt::Display for TestCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Case(case) => case.fmt(f),
            Self::ServerCompressedUnary => f.write_str("server_compressed_unary"),
            Self::ServerCompressedStreaming => f.write_str("server_compressed_streaming"),
            Self::RpcSoak => f.write_str("rpc_soak"),
            Self::ChannelSoak => f.write_str("channel_soak"),
        }
    }
}

impl FromStr for TestCase {
    type Err = UnknownTestCase;

    fn from_str(name: &str) -> Result<Self, UnknownTestCase> {
        Self::all()
            .find(|case| case.to_string() == name)
            .ok_or(UnknownTestCase)
    }
}

/// There is no case of this name; its text lists those that there are.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownTestCase;

impl fmt::Display for UnknownTestCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no such case; the cases are {}", TestCase::names())
    }
}

impl Error for UnknownTestCase {}

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
    fn every_case_is_found_by_its_name() {
        for case in TestCase::all() {
            assert_eq!(case.to_string().parse(), Ok(case));
        }
    }

    #[test]
    fn an_unknown_case_is_an_error_that_lists_the_known_ones() {
        let error = parse("--test_case=large_unray").unwrap_err();
        assert!(error.contains("--test_case=large_unray"), "{error}");
        assert!(error.contains(" large_unary "), "{error}");
        assert!(error.ends_with(" channel_soak"), "{error}");
    }

    #[test]
    fn the_flags_of_the_soak_have_their_units() {
        let options = parse(
            "--soak_iterations=1 --soak_max_failures=2 --soak_overall_timeout_seconds=3 \
             --soak_per_iteration_max_acceptable_latency_ms=4 --soak_min_time_ms_between_rpcs=5 \
             --soak_request_size=6 --soak_response_size=7 --soak_num_threads=8",
        )
        .expect("well-formed");
        let want = soak::Options {
            iterations: 1,
            max_failures: 2,
            overall_timeout: Duration::from_secs(3),
            max_latency: Duration::from_millis(4),
            min_time_between_calls: Duration::from_millis(5),
            request_size: 6,
            response_size: 7,
            workers: 8,
        };
        assert_eq!(options.soak, want);
    }

    #[test]
    fn the_target_is_host_and_port_or_the_host_alone() {
        for (line, target) in [
            ("", "localhost:10000"),
            ("--server_host=127.0.0.1 --server_port=1", "127.0.0.1:1"),
            ("--server_host=::1 --server_port=1", "[::1]:1"),
            ("--server_host=unix:/tmp/s --server_port=0", "unix:/tmp/s"),
        ] {
            assert_eq!(parse(line).expect("well-formed").target(), target);
        }
    }

    #[test]
    fn the_flags_of_tls_are_read() {
        let options = parse("--use_tls --use_test_ca --ca_file=f --server_host_override=h");
        let want = tls::ClientOptions {
            use_tls: true,
            use_test_ca: true,
            ca_file: "f".to_owned(),
            server_host_override: "h".to_owned(),
        };
        assert_eq!(options.expect("well-formed").tls, want);
    }

    #[test]
    fn features_that_rgrpc_lacks_are_refused() {
        for flag in [
            "service_config_json={}",
            "use_alts",
            "custom_credentials_type=google_default_credentials",
        ] {
            let error = parse(&format!("--{flag}")).unwrap_err();
            assert!(error.contains("is not supported: rgrpc has no"), "{error}");
        }
    }
}
