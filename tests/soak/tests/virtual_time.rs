//! Random streams in virtual time, over in-memory connections that split reads and writes at random.
//!
//! A failure names its seed; `RGRPC_SEED=<seed>` runs that seed alone, and `RGRPC_SEEDS=<count>` runs
//! more of them.

use std::env;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rgrpc::io::{Address, Connected, Dial, DialFuture, Listener, Peer};
use rgrpc::{ClientConn, Server, Transport, credentials};
use rgrpc_soak::{Plan, Profile, SoakService, register_soak, run_call};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The number of seeds of a test.
const SEEDS: u64 = 60;

/// The time after which a call counts as stalled: far more than the pauses of its plan.
const STALLED: Duration = Duration::from_secs(3_600);

#[test]
fn no_stream_of_the_native_engine_stalls() {
    for_each_seed(Transport::Native);
}

#[test]
fn no_stream_of_the_h2_engine_stalls() {
    for_each_seed(Transport::H2);
}

fn for_each_seed(transport: Transport) {
    for seed in seeds() {
        let runtime = runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let outcome = runtime.block_on(run(seed, transport));
        if let Err(problem) = outcome {
            panic!("{transport:?}, RGRPC_SEED={seed}: {problem}");
        }
    }
}

fn seeds() -> Range<u64> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    match number("RGRPC_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RGRPC_SEEDS").unwrap_or(SEEDS),
    }
}

/// Runs a few calls at a time on one connection.
async fn run(seed: u64, transport: Transport) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let profile = Profile::SMALL;
    let (sender, receiver) = mpsc::channel(1);
    let mut server = Server::new().transport(transport);
    register_soak(&mut server, SoakService::new(profile)).map_err(|error| error.to_string())?;
    let serving = tokio::spawn(server.serve_listener(ChoppyListener(receiver)));
    let dialer = ChoppyDialer {
        sender,
        capacity: random.usize(100..200_000),
        seed: random.u64(..),
    };
    let conn = ClientConn::builder("passthrough:///soak", credentials::insecure())
        .dialer(dialer)
        .transport(transport)
        .build()
        .map_err(|error| error.to_string())?;
    let mut calls = JoinSet::new();
    for _ in 0..random.usize(1..5) {
        let plan = Plan::new(random.u64(..), profile);
        let conn = conn.clone();
        calls.spawn(async move {
            let text = format!("{plan:?}");
            match timeout(STALLED, run_call(&conn, plan)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(problem)) => Err(format!("{problem}: {text}")),
                Err(_) => Err(format!("stalled: {text}")),
            }
        });
    }
    while let Some(call) = calls.join_next().await {
        call.map_err(|error| error.to_string())??;
    }
    serving.abort();
    Ok(())
}

/// Dials connections whose reads and writes are split at random.
struct ChoppyDialer {
    sender: mpsc::Sender<ChoppyIo>,
    capacity: usize,
    seed: u64,
}

impl Dial for ChoppyDialer {
    fn dial(&self, _: Address) -> DialFuture {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let (ours, theirs) = duplex(self.capacity);
        let ours = ChoppyIo::new(ours, random.fork());
        let theirs = ChoppyIo::new(theirs, random);
        let sender = self.sender.clone();
        Box::pin(async move {
            let sent = sender.send(theirs).await;
            sent.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(connected(ours))
        })
    }
}

struct ChoppyListener(mpsc::Receiver<ChoppyIo>);

impl Listener for ChoppyListener {
    async fn accept(&mut self) -> io::Result<Option<Connected>> {
        Ok(self.0.recv().await.map(connected))
    }

    fn local_address(&self) -> Address {
        Address::Pipe
    }
}

fn connected(io: ChoppyIo) -> Connected {
    Connected::new(Box::new(io), Peer::new(Address::Pipe, Address::Pipe))
}

/// A connection that reads and writes as much at a time as its random numbers say, and is not ready
/// now and then.
struct ChoppyIo {
    io: DuplexStream,
    random: fastrand::Rng,
    /// The most that a read or a write takes, for some time.
    chunk: usize,
}

impl ChoppyIo {
    fn new(io: DuplexStream, random: fastrand::Rng) -> Self {
        Self {
            io,
            random,
            chunk: 16_384,
        }
    }

    /// The most that the next read or write takes; `None` if it is not ready.
    fn next_chunk(&mut self, cx: &mut Context<'_>) -> Option<usize> {
        if self.random.u8(..8) == 0 {
            cx.waker().wake_by_ref();
            return None;
        }
        if self.random.u8(..16) == 0 {
            // Small chunks come with small numbers of bytes: they take as long as large ones.
            self.chunk = [9, 300, 16_384, 16_393, 65_536, 300_000][self.random.usize(..6)];
        }
        Some(1 + self.random.usize(..self.chunk))
    }
}

impl AsyncRead for ChoppyIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(most) = self.next_chunk(cx) else {
            return Poll::Pending;
        };
        let mut chunk = vec![0; most.min(buffer.remaining())];
        let mut chunk = ReadBuf::new(&mut chunk);
        let read = Pin::new(&mut self.io).poll_read(cx, &mut chunk);
        buffer.put_slice(chunk.filled());
        read
    }
}

impl AsyncWrite for ChoppyIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(most) = self.next_chunk(cx) else {
            return Poll::Pending;
        };
        let most = most.min(octets.len());
        Pin::new(&mut self.io).poll_write(cx, &octets[..most])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
