//! The client's side of a connection in the native engine.
//!
//! The channel's attempt to connect makes the transport by [`connect`]; calls open streams on it from
//! any task. The connection's task, [`Task`], owns the socket and the core.

mod request_head;
mod stream;
mod task;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use self::request_head::RequestFields;
use self::stream::{ClientPost, ClientSend, ClientShared, NativeClientStream};
use self::task::Task;
use crate::extensions::Extensions;
use crate::io::{Connected, Peer};
use crate::side::Side;
use crate::task::watched;
use crate::transport::statistics::ConnectionStats;
use crate::transport::{
    ClientSettings, ClientTransport, ClientTransportStream, ConnectionSnapshot, Disconnect,
    DisconnectReason, OpenError, OpenRequest, PrefaceError, Report, TransportEvent,
};

/// Creates the client transport of a connection. Ready when the server's SETTINGS have arrived.
///
/// The caller limits the time. A dropped future closes the connection.
pub(crate) async fn connect(
    connected: Connected,
    settings: ClientSettings,
    report: Report,
) -> Result<Arc<dyn ClientTransport>, PrefaceError> {
    let peer = Arc::new(connected.peer);
    let shared = Arc::new(ClientShared::new());
    let registration = settings
        .connections
        .register(Side::Client, Arc::clone(&peer));
    let (settings_sender, settings_came) = oneshot::channel();
    let (failed_sender, failed) = oneshot::channel();
    let transport = Arc::new(NativeClientTransport {
        peer: Arc::clone(&peer),
        extensions: connected.extensions,
        shared: Arc::clone(&shared),
        close: Arc::new(Notify::new()),
        stats: Arc::clone(registration.stats()),
    });
    // Boxed, because a future reserves space for it in each of its states.
    let task = Box::new(Task::new(
        connected.io,
        registration,
        Arc::clone(&peer),
        shared,
        settings,
        settings_sender,
        Arc::clone(&report),
    ));
    let run = task.run(Arc::clone(&transport.close));
    let peer_of_task = Arc::clone(&peer);
    tokio::spawn(watched(run, move |ended| {
        // A lost task tells nothing about the server.
        let lost = |lost| (Disconnect::new(peer_of_task, lost, None), true);
        let (end, served) = ended.unwrap_or_else(lost);
        // There is no receiver any more once the transport exists.
        let _ = failed_sender.send(end.clone());
        report(TransportEvent::Closed { end, served });
    }));
    if settings_came.await.is_err() {
        let gone = |_| Disconnect::new(peer, DisconnectReason::RuntimeShutDown, None);
        return Err(PrefaceError(failed.await.unwrap_or_else(gone)));
    }
    Ok(transport)
}

/// A client's connection.
struct NativeClientTransport {
    peer: Arc<Peer>,
    extensions: Extensions,
    shared: Arc<ClientShared>,
    close: Arc<Notify>,
    stats: Arc<ConnectionStats>,
}

impl ClientTransport for NativeClientTransport {
    fn open(&self, request: OpenRequest<'_>) -> Result<Arc<dyn ClientTransportStream>, OpenError> {
        if self.is_gone() {
            return Err(OpenError::Gone(request.only_message));
        }
        let head = RequestFields::new(&request).map_err(OpenError::Invalid)?;
        let half_closed = request.only_message.is_some();
        let stream = NativeClientStream::new(Arc::clone(&self.shared), half_closed);
        let what = ClientSend::Open(head, request.only_message);
        let post = ClientPost {
            stream: Arc::clone(&stream),
            what,
        };
        match self.shared.outbox.post(post) {
            Ok(()) => Ok(stream),
            Err(ClientPost {
                what: ClientSend::Open(_, message),
                ..
            }) => Err(OpenError::Gone(message)),
            Err(_) => Err(OpenError::Gone(None)),
        }
    }

    fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    fn max_concurrent_streams(&self) -> usize {
        self.shared.quota.max()
    }

    fn waiting_streams(&self) -> usize {
        self.shared.quota.waiting()
    }

    fn is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::Acquire)
    }

    fn silence(&self) -> Duration {
        self.shared.last_received.silence(Instant::now())
    }

    fn statistics(&self) -> ConnectionSnapshot {
        self.stats.snapshot()
    }

    fn close(&self) {
        self.close.notify_one();
    }
}

impl Drop for NativeClientTransport {
    fn drop(&mut self) {
        self.close.notify_one();
    }
}
