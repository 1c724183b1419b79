//! The keepalive program: a server with the parameters of keepalive, and clients that show what
//! becomes of their calls.
//!
//! `tests/interop/go/keepalive` is the same on grpc-go, with the same flags and the same lines;
//! `tests/interop/keepalive` crosses them.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rgrpc::keepalive::{ClientParameters, EnforcementPolicy, ServerParameters};
use rgrpc::{ClientConn, RecvStream, Request, Response, SendStream, Server, Status, credentials};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::flags::{Command, Flag, FlagError, parse};
use crate::proto::{
    self, Empty, ResponseParameters, SimpleRequest, SimpleResponse, StreamingOutputCallRequest,
    StreamingOutputCallResponse, TestServiceClient,
};
use crate::service::TestService;

const ABOUT: &str = "The keepalive program on rgrpc: server, workers, hang or download.";

type AnyError = Box<dyn Error + Send + Sync>;

/// The flags.
#[derive(Clone, Debug)]
pub struct Options {
    time: Option<Duration>,
    timeout: Option<Duration>,
    permit_without_stream: bool,
    min_time: Option<Duration>,
    max_age: Option<Duration>,
    grace: Option<Duration>,
    servers: String,
    workers: NonZeroUsize,
    every: Duration,
    deadline: Duration,
    run_for: Duration,
    messages: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time: None,
            timeout: None,
            permit_without_stream: false,
            min_time: None,
            max_age: None,
            grace: None,
            servers: String::new(),
            workers: NonZeroUsize::MIN,
            every: Duration::from_millis(10),
            deadline: Duration::from_secs(3),
            run_for: Duration::from_secs(10),
            messages: 1_000,
        }
    }
}

const FLAGS: &[Flag<Options>] = &[
    Flag::value("time", "Seconds of silence before a PING.", |o, v| {
        o.time = Some(seconds(v)?);
        Ok(())
    }),
    Flag::value("timeout", "Seconds to wait for its answer.", |o, v| {
        o.timeout = Some(seconds(v)?);
        Ok(())
    }),
    Flag::switch(
        "permit_without_stream",
        "PINGs, or their permission, without calls.",
        |o, v| o.permit_without_stream = v,
    ),
    Flag::value("min_time", "The policy's seconds between PINGs.", |o, v| {
        o.min_time = Some(seconds(v)?);
        Ok(())
    }),
    Flag::value("max_age", "A connection's seconds.", |o, v| {
        o.max_age = Some(seconds(v)?);
        Ok(())
    }),
    Flag::value("grace", "The seconds that its calls get then.", |o, v| {
        o.grace = Some(seconds(v)?);
        Ok(())
    }),
    Flag::value(
        "servers",
        "The addresses of servers, comma-separated.",
        |o, v| {
            o.servers = v.to_owned();
            Ok(())
        },
    ),
    Flag::value("workers", "Workers that call at the same time.", |o, v| {
        o.workers = number(v)?;
        Ok(())
    }),
    Flag::value(
        "every",
        "A worker's seconds from one call to the next.",
        |o, v| {
            o.every = seconds(v)?;
            Ok(())
        },
    ),
    Flag::value("deadline", "A call's seconds.", |o, v| {
        o.deadline = seconds(v)?;
        Ok(())
    }),
    Flag::value("run_for", "Seconds of calls.", |o, v| {
        o.run_for = seconds(v)?;
        Ok(())
    }),
    Flag::value("messages", "Messages of 64 KiB to download.", |o, v| {
        o.messages = number(v)?;
        Ok(())
    }),
];

fn seconds(value: &str) -> Result<Duration, String> {
    let seconds = value.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| "not such a number".to_owned())
}

impl Options {
    /// Parses the arguments after the command.
    ///
    /// # Errors
    /// A flag is unknown, or its value is wrong.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command<Self>, FlagError> {
        parse(ABOUT, FLAGS, arguments)
    }
}

/// Runs one of the commands `server`, `workers`, `hang` and `download`.
///
/// # Errors
/// The command is unknown, or what it does fails.
pub async fn run(command: &str, options: Options) -> Result<(), AnyError> {
    match command {
        "server" => serve(options).await,
        "workers" => workers(options).await,
        "hang" => hang(options).await,
        "download" => download(options).await,
        other => Err(format!("there is no command {other:?}").into()),
    }
}

/// The interop service, which tells when a stream of `FullDuplexCall` ends.
struct Service;

impl proto::TestService for Service {
    async fn empty_call(&self, request: Request<Empty>) -> Result<Response<Empty>, Status> {
        TestService.empty_call(request).await
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        TestService.unary_call(request).await
    }

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
        responses: SendStream<StreamingOutputCallResponse>,
    ) -> Result<(), Status> {
        TestService.streaming_output_call(request, responses).await
    }

    async fn full_duplex_call(
        &self,
        _: Request<RecvStream<StreamingOutputCallRequest>>,
        _: SendStream<StreamingOutputCallResponse>,
    ) -> Result<(), Status> {
        let _told = TellsItsEnd(Instant::now());
        std::future::pending().await
    }
}

struct TellsItsEnd(Instant);

impl Drop for TellsItsEnd {
    fn drop(&mut self) {
        println!("stream ended after {:.1} s", self.0.elapsed().as_secs_f64());
    }
}

async fn serve(options: Options) -> Result<(), AnyError> {
    let parameters = ServerParameters::default();
    let policy = EnforcementPolicy::default();
    let mut server = Server::new()
        .keepalive(ServerParameters {
            max_connection_age: options.max_age,
            max_connection_age_grace: options.grace,
            time: options.time.unwrap_or(parameters.time),
            timeout: options.timeout.unwrap_or(parameters.timeout),
            ..parameters
        })
        .keepalive_enforcement(EnforcementPolicy {
            min_time: options.min_time.unwrap_or(policy.min_time),
            permit_without_stream: options.permit_without_stream,
        });
    proto::register_test_service(&mut server, Service)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    server.serve_listener(listener).await?;
    Ok(())
}

/// A channel to all servers, by `round_robin`, that is connected.
async fn connect(options: &Options) -> Result<ClientConn, AnyError> {
    let keepalive = options.time.map(|time| {
        let parameters = ClientParameters::new(time);
        ClientParameters {
            timeout: options.timeout.unwrap_or(parameters.timeout),
            permit_without_stream: options.permit_without_stream,
            ..parameters
        }
    });
    let target = format!("ipv4:{}", options.servers);
    let conn = ClientConn::builder(target, credentials::insecure())
        .default_service_config(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#)
        .keepalive(keepalive)
        .build()?;
    conn.wait_ready(Instant::now() + Duration::from_secs(20))
        .await?;
    // The other servers are there soon.
    sleep(Duration::from_secs(1)).await;
    Ok(conn)
}

/// Makes a call every so often on each worker; one that takes longer takes the place of others.
async fn workers(options: Options) -> Result<(), AnyError> {
    let client = TestServiceClient::new(connect(&options).await?);
    println!("started");
    let completed = Arc::new(AtomicUsize::new(0));
    let failed = Arc::new(AtomicUsize::new(0));
    let end = Instant::now() + options.run_for;
    let mut group = JoinSet::new();
    for _ in 0..options.workers.get() {
        let (client, options) = (client.clone(), options.clone());
        let (completed, failed) = (Arc::clone(&completed), Arc::clone(&failed));
        group.spawn(async move {
            let mut ticks = interval(options.every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            while ticks.tick().await < end {
                let call = client.empty_call(Empty {}).timeout(options.deadline);
                let count = match call.await {
                    _ if Instant::now() >= end => continue,
                    Ok(_) => &completed,
                    Err(_) => &failed,
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(worker) = group.join_next().await {
        worker?;
    }
    let (completed, failed) = (
        completed.load(Ordering::Relaxed),
        failed.load(Ordering::Relaxed),
    );
    println!("completed {completed} failed {failed}");
    Ok(())
}

/// Opens a stream on which nothing is sent, and says how it ends.
async fn hang(options: Options) -> Result<(), AnyError> {
    let client = TestServiceClient::new(connect(&options).await?);
    let (_requests, mut responses) = client.full_duplex_call().await?;
    println!("started");
    let began = Instant::now();
    let ended = responses.recv().await;
    let after = began.elapsed().as_secs_f64();
    match ended {
        Ok(_) => println!("ended after {after:.1} s: OK"),
        Err(status) => {
            let (code, message) = (status.code(), status.message());
            println!("ended after {after:.1} s: {code:?}: {message}");
        }
    }
    Ok(())
}

/// Receives many messages on one stream.
async fn download(options: Options) -> Result<(), AnyError> {
    let client = TestServiceClient::new(connect(&options).await?);
    let size = ResponseParameters {
        size: 64 << 10,
        ..ResponseParameters::default()
    };
    let request = StreamingOutputCallRequest {
        response_parameters: vec![size; options.messages],
        ..StreamingOutputCallRequest::default()
    };
    let mut responses = client.streaming_output_call(request).await?;
    println!("started");
    let mut received = 0;
    while responses.recv().await?.is_some() {
        received += 1;
    }
    println!("downloaded {received}");
    Ok(())
}
