//! A TCP proxy on loopback that misbehaves on command.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::listener::{Accepted, CountingListener};

/// The maximum size of one read, in octets.
const CHUNK: usize = 16 * 1024;

/// One of the two directions of a proxied connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// A way to cut a connection, towards both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// FIN: both ends read an orderly end.
    Fin,
    /// RST: both ends see their connection reset.
    Reset,
}

/// Stands between a client and a server and passes octets on, until the test stops it.
///
/// Its settings hold for the connections it has and for those to come. Dropping it drops its
/// listener and its connections. It must be made on a tokio runtime, where it runs.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    accepted: Accepted,
    to_server: watch::Sender<Faults>,
    to_client: watch::Sender<Faults>,
    accepting: AbortHandle,
}

/// The faults of one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    stalled: bool,
    delay: Duration,
    cut: Option<(u64, Cut)>,
}

impl FaultProxy {
    /// Listens on a free port and passes connections on to `upstream`.
    ///
    /// # Errors
    ///
    /// The error of binding.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = CountingListener::bind().await?;
        let (to_server, to_client) = (watch::Sender::default(), watch::Sender::default());
        let (address, accepted) = (listener.address(), listener.accepted());
        let accept = accept_all(
            listener,
            upstream,
            to_server.subscribe(),
            to_client.subscribe(),
        );
        let accepting = tokio::spawn(accept).abort_handle();
        Ok(Self {
            address,
            accepted,
            to_server,
            to_client,
            accepting,
        })
    }

    /// The address for clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of accepted connections.
    pub fn accepted(&self) -> Accepted {
        self.accepted.clone()
    }

    /// Passes nothing on in one direction and reads nothing, so that the sender's writes block once
    /// the kernel's buffers are full.
    pub fn stall(&self, direction: Direction) {
        self.faults(direction)
            .send_modify(|faults| faults.stalled = true);
    }

    /// Ends a stall.
    pub fn resume(&self, direction: Direction) {
        self.faults(direction)
            .send_modify(|faults| faults.stalled = false);
    }

    /// Holds every chunk of one direction back for so long before it is passed on.
    pub fn delay(&self, direction: Direction, delay: Duration) {
        self.faults(direction)
            .send_modify(|faults| faults.delay = delay);
    }

    /// Cuts each connection once exactly this many octets, counted from its beginning, have been
    /// passed on in one direction; at once if it is past that already.
    pub fn cut_after(&self, direction: Direction, octets: u64, cut: Cut) {
        self.faults(direction)
            .send_modify(|faults| faults.cut = Some((octets, cut)));
    }

    /// Passes new connections on without cutting them again.
    pub fn heal(&self) {
        for faults in [&self.to_server, &self.to_client] {
            faults.send_modify(|faults| faults.cut = None);
        }
    }

    fn faults(&self, direction: Direction) -> &watch::Sender<Faults> {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept_all(
    listener: CountingListener,
    upstream: SocketAddr,
    to_server: watch::Receiver<Faults>,
    to_client: watch::Receiver<Faults>,
) {
    let mut connections = JoinSet::new();
    while let Ok(client) = listener.accept().await {
        connections.spawn(connection(
            client,
            upstream,
            to_server.clone(),
            to_client.clone(),
        ));
        // Forget those that are over.
        while connections.try_join_next().is_some() {}
    }
}

/// Passes one connection on until it ends or is cut. A broken end, or an upstream that is not
/// there, reaches the other end as a reset.
async fn connection(
    mut client: TcpStream,
    upstream: SocketAddr,
    to_server: watch::Receiver<Faults>,
    to_client: watch::Receiver<Faults>,
) -> io::Result<()> {
    let mut server = match TcpStream::connect(upstream).await {
        Ok(server) => server,
        Err(_) => return client.set_zero_linger(),
    };
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let end = pump_both(&mut client, &mut server, to_server, to_client).await;
    match end.unwrap_or(Some(Cut::Reset)) {
        None => Ok(()),
        Some(Cut::Reset) => {
            client.set_zero_linger()?;
            server.set_zero_linger()
        }
        Some(Cut::Fin) => {
            client.shutdown().await?;
            server.shutdown().await?;
            // Closing with octets unread would send RST, so read what still comes.
            tokio::try_join!(discard(client), discard(server))?;
            Ok(())
        }
    }
}

/// Runs both directions: the first cut ends both, an orderly end only its own.
async fn pump_both(
    client: &mut TcpStream,
    server: &mut TcpStream,
    to_server: watch::Receiver<Faults>,
    to_client: watch::Receiver<Faults>,
) -> io::Result<Option<Cut>> {
    let (from_client, into_client) = client.split();
    let (from_server, into_server) = server.split();
    let mut up = std::pin::pin!(pump(from_client, into_server, to_server));
    let mut down = std::pin::pin!(pump(from_server, into_client, to_client));
    tokio::select! {
        end = &mut up => match end? {
            Some(cut) => Ok(Some(cut)),
            None => down.await,
        },
        end = &mut down => match end? {
            Some(cut) => Ok(Some(cut)),
            None => up.await,
        },
    }
}

/// Passes one direction on until its orderly end (`None`) or a cut. Whatever it waits for, a change
/// of the faults comes first; both kinds of step lose nothing when they are dropped for it.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut faults: watch::Receiver<Faults>,
) -> io::Result<Option<Cut>> {
    let mut pending = BytesMut::new();
    let mut due = Instant::now();
    let mut passed: u64 = 0;
    loop {
        let now = *faults.borrow_and_update();
        let room = match now.cut {
            Some((octets, cut)) if octets <= passed => return Ok(Some(cut)),
            Some((octets, _)) => usize::try_from(octets - passed).unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        let step = async {
            if pending.is_empty() {
                pending.reserve(CHUNK);
                let read = from.read_buf(&mut pending).await?;
                due = Instant::now() + now.delay;
                return Ok(if read == 0 { Step::End } else { Step::Read });
            }
            tokio::time::sleep_until(due).await;
            let written = to.write(&pending[..pending.len().min(room)]).await?;
            pending.advance(written);
            Ok(Step::Written(written as u64))
        };
        let step = tokio::select! {
            biased;
            change = faults.changed() => match change {
                Ok(()) => continue,
                // The proxy is being dropped, and this task with it.
                Err(_) => return Ok(None),
            },
            step = step, if !now.stalled => step,
        };
        match step {
            Ok(Step::Read) => {}
            Ok(Step::Written(octets)) => passed += octets,
            Ok(Step::End) => {
                to.shutdown().await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The result of one turn of a pump.
enum Step {
    Read,
    Written(u64),
    End,
}

async fn discard(mut stream: TcpStream) -> io::Result<()> {
    tokio::io::copy(&mut stream, &mut tokio::io::sink())
        .await
        .map(drop)
}
