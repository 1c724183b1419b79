//! Runs random streams over real sockets until the time is up, or a stream stalls or goes wrong.
//!
//! ```text
//! stream-soak [--seconds=60] [--engine=native|h2] [--tls] [--workers=N] [--threads=N]
//!             [--connections=N] [--streams=N] [--seed=N]
//! ```
//!
//! Server and client have a runtime each, of `--threads` threads; with `--workers` the server serves
//! on that many workers instead. Each of `--streams` tasks makes one call after another.

#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::env;
use std::error::Error;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rgrpc::credentials::{self, ChannelCredentials, ClientTls, ServerTls};
use rgrpc::{ClientConn, Server, Transport};
use rgrpc_soak::{Plan, Profile, SoakService, register_soak, run_call};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const CA: &[u8] = include_bytes!("../../../interop/certs/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../../interop/certs/server1.pem");
const KEY: &[u8] = include_bytes!("../../../interop/certs/server1.key");

/// A name in the server's certificate.
const SERVER_NAME: &str = "foo.test.google.fr";

/// The time after which a call is slow. A plan's pauses add up to a second or two, and its messages to
/// some tens of megabytes.
const SLOW: Duration = Duration::from_secs(60);

/// The further time after which a slow call counts as stalled. No call begins meanwhile, so that a call
/// which merely had too little of a busy machine ends soon.
const STALLED: Duration = Duration::from_secs(60);

type AnyError = Box<dyn Error + Send + Sync>;

struct Options {
    seconds: u64,
    engine: Transport,
    tls: bool,
    workers: usize,
    threads: usize,
    connections: usize,
    streams: usize,
    seed: u64,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, AnyError> {
        let mut options = Self {
            seconds: 60,
            engine: Transport::Native,
            tls: false,
            workers: 0,
            threads: 2,
            connections: 2,
            streams: 16,
            seed: 0,
        };
        for argument in arguments {
            let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
            match name {
                "--seconds" => options.seconds = number(name, value)?,
                "--engine" => {
                    options.engine = match value {
                        "native" => Transport::Native,
                        "h2" => Transport::H2,
                        _ => return Err(format!("--engine={value}: native or h2").into()),
                    }
                }
                "--tls" => options.tls = true,
                "--workers" => options.workers = number(name, value)?,
                "--threads" => options.threads = number(name, value)?,
                "--connections" => options.connections = number(name, value)?,
                "--streams" => options.streams = number(name, value)?,
                "--seed" => options.seed = number(name, value)?,
                _ => return Err(format!("unknown option {argument}").into()),
            }
        }
        if options.threads == 0 || options.connections == 0 {
            return Err("--threads and --connections must be at least 1".into());
        }
        Ok(options)
    }

    fn runtime(&self) -> Result<Runtime, AnyError> {
        let mut builder = if self.threads == 1 {
            Builder::new_current_thread()
        } else {
            Builder::new_multi_thread()
        };
        Ok(builder.worker_threads(self.threads).enable_all().build()?)
    }

    fn server(&self) -> Result<Server, AnyError> {
        let mut server = Server::new()
            .transport(self.engine)
            .max_receive_message_size(Profile::LARGE.max_message);
        if let Some(workers) = NonZeroUsize::new(self.workers) {
            server = server.workers(workers);
        }
        if self.tls {
            server = server.credentials(ServerTls::new(CERTIFICATE, KEY).build()?);
        }
        register_soak(&mut server, SoakService::new(Profile::LARGE))?;
        Ok(server)
    }

    fn credentials(&self) -> Result<ChannelCredentials, AnyError> {
        if self.tls {
            Ok(ClientTls::new().ca_certificates(CA).build()?)
        } else {
            Ok(credentials::insecure())
        }
    }

    fn channel(&self, port: u16) -> Result<ClientConn, AnyError> {
        let target = format!("ipv4:127.0.0.1:{port}");
        let mut options = rgrpc::CallOptions::default();
        options.set_max_receive_message_size(Profile::LARGE.max_message);
        let mut builder = ClientConn::builder(target, self.credentials()?)
            .transport(self.engine)
            .default_call_options(options);
        if self.tls {
            builder = builder.authority(SERVER_NAME);
        }
        Ok(builder.build()?)
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, AnyError> {
    let parsed = value.parse();
    parsed.map_err(|_| format!("{name}={value}: a number is expected").into())
}

#[derive(Default)]
struct Count {
    calls: AtomicU64,
    bytes: AtomicU64,
    /// Calls that were slow and ended.
    slow: AtomicU64,
}

fn main() -> Result<(), AnyError> {
    let options = Options::parse(env::args().skip(1))?;
    let serving = options.runtime()?;
    let listener = serving.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let port = listener.local_addr()?.port();
    let server = options.server()?;
    // A current-thread runtime runs only while it is driven.
    std::thread::spawn(move || serving.block_on(server.serve_listener(listener)));

    let client = options.runtime()?;
    let count = Arc::new(Count::default());
    let outcome = client.block_on(run(&options, port, &count));
    println!(
        "{} calls, {} of them slow, {} MiB in both directions",
        count.calls.load(Ordering::Relaxed),
        count.slow.load(Ordering::Relaxed),
        count.bytes.load(Ordering::Relaxed) >> 20
    );
    outcome
}

async fn run(options: &Options, port: u16, count: &Arc<Count>) -> Result<(), AnyError> {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut channels = Vec::new();
    for _ in 0..options.connections {
        channels.push(options.channel(port)?);
    }
    let mut seeds = fastrand::Rng::with_seed(options.seed);
    // Held for writing while a slow call has the connections to itself.
    let turn = Arc::new(RwLock::new(()));
    let mut tasks = JoinSet::new();
    for index in 0..options.streams {
        let conn = channels[index % channels.len()].clone();
        tasks.spawn(make_calls(
            conn,
            Profile::LARGE,
            seeds.fork(),
            end,
            Arc::clone(&turn),
            Arc::clone(count),
        ));
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome??;
    }
    Ok(())
}

/// Makes one call after another until the time is up.
async fn make_calls(
    conn: ClientConn,
    profile: Profile,
    mut seeds: fastrand::Rng,
    end: Instant,
    turn: Arc<RwLock<()>>,
    count: Arc<Count>,
) -> Result<(), String> {
    while Instant::now() < end {
        drop(turn.read().await);
        let plan = Plan::new(seeds.u64(..), profile);
        let text = format!("{plan:?}");
        let bytes = plan.bytes() as u64;
        let mut call = pin!(run_call(&conn, plan));
        let outcome = match timeout(SLOW, &mut call).await {
            Ok(outcome) => Some(outcome),
            Err(_) => {
                count.slow.fetch_add(1, Ordering::Relaxed);
                let alone = async {
                    let _turn = turn.write().await;
                    sleep(STALLED).await;
                };
                tokio::select! {
                    outcome = call => Some(outcome),
                    () = alone => None,
                }
            }
        };
        match outcome {
            Some(Ok(())) => {}
            Some(Err(problem)) => return Err(format!("{problem}: {text}")),
            None => return Err(format!("stalled: {text}")),
        }
        count.calls.fetch_add(1, Ordering::Relaxed);
        count.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    Ok(())
}
