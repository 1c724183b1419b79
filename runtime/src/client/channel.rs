use std::collections::HashMap;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::backoff::{Backoff, ConnectParams};
use super::idleness::{Idleness, Verdict};
use super::picker::{Picker, PickerCell};
use crate::credentials::ChannelCredentials;
use crate::io::{Address, Dial};
use crate::resolver::{Resolver, Target};
use crate::status::Status;
use crate::transport::{ClientTransport, Report, Transport, TransportEvent};

/// A channel's task: owns the resolver, the backoff and the connections, and publishes a
/// [`Picker`] for every change. Which state follows which is drawn at
/// [`ConnectivityState`](super::ConnectivityState).
///
/// It ends, from every state, when the channel is closed or its last handle is dropped.
pub(super) struct Channel {
    pub(super) target: Target,
    pub(super) resolver: Resolver,
    pub(super) dialer: Arc<dyn Dial>,
    pub(super) credentials: ChannelCredentials,
    /// The authority without its port: whom a server has to prove to be.
    pub(super) host: String,
    pub(super) transport: Transport,
    pub(super) connect_params: ConnectParams,
    /// After how long without calls it goes idle; `None`: never.
    pub(super) idle_timeout: Option<Duration>,
    pub(super) cell: Arc<PickerCell>,
    /// True, or its sender gone, when the channel is to end.
    pub(super) closed: watch::Receiver<bool>,
}

/// The connections that a channel has made and that are not gone yet. At most one takes new calls;
/// the others end with their calls.
struct Connections {
    open: HashMap<u64, Arc<dyn ClientTransport>>,
    next_id: u64,
    sender: mpsc::UnboundedSender<(u64, TransportEvent)>,
    events: mpsc::UnboundedReceiver<(u64, TransportEvent)>,
}

impl Channel {
    pub(super) async fn run(mut self) {
        let mut connections = Connections::new();
        let mut closed = self.closed.clone();
        {
            let live = self.live(&mut connections);
            let closed = async { drop(closed.wait_for(|closed| *closed).await) };
            first_of(live, closed).await;
        }
        self.cell.close();
        self.cell.publish(Picker::idle());
        connections.close();
    }

    /// Connects when a connection is wanted, again and again; never ready.
    async fn live(&mut self, connections: &mut Connections) {
        loop {
            self.wait_until_wanted(connections).await;
            let connected = self.stay_connected(connections);
            if let Winner::Second = first_of(connected, self.go_idle_without_calls()).await {
                tracing::debug!(target = %self.target, "idle: there were no calls for long");
                connections.close();
            }
        }
    }

    /// Connects, and is idle again when the connection takes no more calls.
    async fn stay_connected(&self, connections: &mut Connections) {
        let (id, transport) = self.connect(connections).await;
        self.cell.publish(Picker::Ready(transport));
        connections.wait_until_gone(id).await;
        self.cell.publish(Picker::idle());
    }

    /// Ready when there have been no calls for the idle timeout, and the channel is idle. The
    /// connections, which have no calls then, are still to be closed.
    async fn go_idle_without_calls(&self) {
        let Some(timeout) = self.idle_timeout else {
            return pending().await;
        };
        let calls = self.cell.calls();
        let idleness = Idleness::new(timeout, Instant::now());
        loop {
            match idleness.verdict(Instant::now(), calls.activity()) {
                Verdict::AskAgainIn(wait) => sleep(wait).await,
                Verdict::Idle => {
                    if calls.if_none(|| self.cell.publish(Picker::idle())) {
                        return;
                    }
                }
            }
        }
    }

    async fn wait_until_wanted(&self, connections: &mut Connections) {
        let picker = self.cell.load();
        if let Picker::Idle(wanted) = &*picker {
            first_of(wanted.notified(), connections.drain()).await;
        }
    }

    /// Tries until there is a connection.
    async fn connect(&self, connections: &mut Connections) -> (u64, Arc<dyn ClientTransport>) {
        let mut backoff = Backoff::new(self.connect_params);
        let mut resets = self.cell.backoff_resets();
        // Once it has failed, the channel says so until it succeeds (gRFC A62): calls that do not
        // want to wait fail at once instead of waiting for every further attempt.
        self.cell.publish(Picker::Connecting);
        let mut attempt = 0_u64;
        loop {
            attempt += 1;
            let problem = match self.attempt(&backoff, connections).await {
                Ok(connected) => return connected,
                Err(problem) => problem,
            };
            if resets.has_changed().unwrap_or(false) {
                resets.mark_unchanged();
                backoff.reset();
            }
            let delay = backoff.failed(fastrand::f64());
            self.cell
                .publish(Picker::TransientFailure(Status::unavailable(format!(
                    "cannot connect to {}: {problem} (attempt {attempt}, next in {:.1} s)",
                    self.target,
                    delay.as_secs_f64()
                ))));
            let waited = async {
                first_of(sleep(delay), connections.drain()).await;
            };
            // Not an error: the sender is in the cell.
            let reset = async { drop(resets.changed().await) };
            if let Winner::Second = first_of(waited, reset).await {
                backoff.reset();
            }
        }
    }

    /// One attempt: all addresses in turn, within one time limit.
    async fn attempt(
        &self,
        backoff: &Backoff,
        connections: &mut Connections,
    ) -> Result<(u64, Arc<dyn ClientTransport>), String> {
        let limit = backoff.connect_timeout();
        let addresses = self
            .resolver
            .resolve()
            .await
            .map_err(|status| status.message().to_owned())?;
        let count = addresses.len();
        let mut last = String::new();
        let attempt = async {
            for address in addresses {
                last = format!("{address} did not answer");
                match self.connect_to(address.clone(), connections).await {
                    Ok(connected) => return Ok(connected),
                    Err(problem) => last = format!("{address}: {problem}"),
                }
            }
            Err(())
        };
        let outcome = timeout(limit, attempt).await;
        match outcome {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(())) => Err(with_count(last, count)),
            Err(_) => Err(with_count(
                format!("{last} within {} s", in_hundredths(limit)),
                count,
            )),
        }
    }

    async fn connect_to(
        &self,
        address: Address,
        connections: &mut Connections,
    ) -> Result<(u64, Arc<dyn ClientTransport>), String> {
        let dialed = self
            .dialer
            .dial(address)
            .await
            .map_err(|error| error.to_string())?;
        let secured = self
            .credentials
            .handshake(dialed, &self.host)
            .await
            .map_err(|error| error.to_string())?;
        let (id, report) = connections.reporter();
        let transport = self
            .transport
            .connect(secured, report)
            .await
            .map_err(|problem| problem + self.credentials.if_unanswered())?;
        connections.open.insert(id, Arc::clone(&transport));
        Ok((id, transport))
    }
}

/// Seconds, with as many digits as they need and two after the point at most.
fn in_hundredths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100.0).round() / 100.0
}

fn with_count(problem: String, addresses: usize) -> String {
    match addresses {
        1 => problem,
        _ => format!("{problem}; last of {addresses} addresses"),
    }
}

impl Connections {
    fn new() -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        Self {
            open: HashMap::new(),
            next_id: 0,
            sender,
            events,
        }
    }

    /// Closes all.
    fn close(&self) {
        for transport in self.open.values() {
            transport.close();
        }
    }

    /// An id for a new connection, and how it reports.
    fn reporter(&mut self) -> (u64, Report) {
        let id = self.next_id;
        self.next_id += 1;
        let sender = self.sender.clone();
        let report: Report = Arc::new(move |event| {
            // The channel is gone.
            let _ = sender.send((id, event));
        });
        (id, report)
    }

    /// Takes in the next event; returns the id of the connection that it is about.
    async fn next_event(&mut self) -> u64 {
        loop {
            // Never `None`: a sender is kept here.
            if let Some((id, event)) = self.events.recv().await {
                match event {
                    TransportEvent::GoAway { reason } => {
                        tracing::debug!(reason, "the server takes no more calls here");
                    }
                    TransportEvent::Closed { reason } => {
                        tracing::debug!(reason, "connection closed");
                        self.open.remove(&id);
                    }
                }
                return id;
            }
        }
    }

    /// Keeps the books; never ready.
    async fn drain(&mut self) {
        loop {
            self.next_event().await;
        }
    }

    /// Waits until a connection takes no more calls, which any of its events says.
    async fn wait_until_gone(&mut self, id: u64) {
        while self.next_event().await != id {}
    }
}

/// Which of two futures was ready first.
enum Winner {
    First,
    Second,
}

/// Waits until either is ready.
async fn first_of(first: impl Future<Output = ()>, second: impl Future<Output = ()>) -> Winner {
    let mut first = pin!(first);
    let mut second = pin!(second);
    poll_fn(|cx| {
        if first.as_mut().poll(cx).is_ready() {
            Poll::Ready(Winner::First)
        } else if second.as_mut().poll(cx).is_ready() {
            Poll::Ready(Winner::Second)
        } else {
            Poll::Pending
        }
    })
    .await
}
