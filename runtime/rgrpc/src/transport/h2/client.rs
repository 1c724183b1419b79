//! The client's side of a connection over `h2`: the transport that a channel holds, and the
//! connection's task. The channel's attempt to connect makes the transport; calls open streams on it from
//! any task.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use h2::client::{self, Connection, SendRequest};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::client_stream::H2ClientStream;
use super::connection_info::ConnectionInfo;
use super::fields;
use super::frame_tap::{FrameTap, Observer, OnGoAway};
use super::piece::Piece;
use super::sender::Sender;
use super::{
    CONNECTION_WINDOW, MAX_HEADER_LIST, MAX_PENDING_RESETS, MAX_REMEMBERED_RESETS,
    MAX_STREAM_ERRORS, RESET_MEMORY, SMALL_FRAMES_BUDGET, STREAM_WINDOW,
};
use crate::extensions::Extensions;
use crate::io::{BoxedIo, Connected, Peer};
use crate::side::Side;
use crate::task::{Lost, watched};
use crate::transport::statistics::{ConnectionStats, CountedStream};
use crate::transport::{
    ClientSettings, ClientTransport, ClientTransportStream, ConnectionSnapshot, DisconnectReason,
    DrainReason, OpenError, OpenRequest, PrefaceError, Report, TransportEvent, request_too_large,
};

/// The last stream id to use before the connection is replaced: three quarters of them, as in
/// grpc-go, so that the replacement is ready before the ids run out.
const LAST_STREAM_ID: u32 = (1 << 31) / 4 * 3 - 1;

/// A client's connection over `h2`.
pub(super) struct H2ClientTransport {
    sender: SendRequest<Piece>,
    extensions: Extensions,
    connection: Arc<ConnectionInfo>,
    close: Arc<Notify>,
    report: Report,
    stats: Arc<ConnectionStats>,
}

/// Creates the client transport of a connection. Ready when the server's SETTINGS have arrived.
///
/// The caller limits the time. A dropped future closes the connection.
pub(crate) async fn connect(
    connected: Connected,
    settings: ClientSettings,
    report: Report,
) -> Result<Arc<dyn ClientTransport>, PrefaceError> {
    let registry = &settings.connections;
    let peer = Arc::new(connected.peer);
    let registration = registry.register(Side::Client, Arc::clone(&peer));
    let stats = Arc::clone(registration.stats());
    let info = Arc::new(ConnectionInfo::new(peer));
    let (settings_sender, settings_came) = oneshot::channel();
    let tap = FrameTap::new(
        connected.io,
        Observer {
            settings: Some(settings_sender),
            goaway: report_goaway(Arc::clone(&info), Arc::clone(&report), Arc::clone(&stats)),
            info: Arc::clone(&info),
        },
    );
    let (sender, connection) = client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_concurrent_reset_streams(MAX_REMEMBERED_RESETS)
        .reset_stream_duration(RESET_MEMORY)
        .max_local_error_reset_streams(Some(MAX_STREAM_ERRORS))
        .data_frame_budget(SMALL_FRAMES_BUDGET)
        // The limit until the server's SETTINGS arrive. No stream is opened before.
        .initial_max_send_streams(100)
        .enable_push(false)
        .handshake(tap)
        .await
        .map_err(|error| PrefaceError(info.disconnect(info.reason(&error))))?;

    let close = Arc::new(Notify::new());
    let transport = Arc::new(H2ClientTransport {
        sender: sender.clone(),
        extensions: connected.extensions,
        connection: Arc::clone(&info),
        close: Arc::clone(&close),
        report: Arc::clone(&report),
        stats,
    });
    let driver = Driver {
        connection,
        info: Arc::clone(&info),
        close,
        streams: MaxStreams {
            sender,
            reported: 0,
            report: Arc::clone(&report),
        },
    };
    let (failed_sender, failed) = oneshot::channel();
    let ended_info = Arc::clone(&info);
    let run = async move {
        let _registered = registration;
        driver.run().await
    };
    tokio::spawn(watched(run, move |ended| {
        let end = ended_info.disconnect(ended.unwrap_or_else(DisconnectReason::from));
        // There is no receiver any more once the transport exists.
        let _ = failed_sender.send(end.clone());
        let served = ended_info.has_served();
        report(TransportEvent::Closed { end, served });
    }));
    if settings_came.await.is_err() {
        let gone = |_| info.disconnect(DisconnectReason::RuntimeShutDown);
        return Err(PrefaceError(failed.await.unwrap_or_else(gone)));
    }
    Ok(transport)
}

/// Tells streams and the owner of the connection about a GOAWAY.
fn report_goaway(
    info: Arc<ConnectionInfo>,
    report: Report,
    stats: Arc<ConnectionStats>,
) -> OnGoAway {
    Box::new(move |goaway, last_stream| {
        info.set_goaway(goaway.clone());
        stats.set_goaway(goaway.clone());
        let reason = DrainReason::GoAway(goaway);
        let served = info.serves_up_to(last_stream);
        report(TransportEvent::Draining { reason, served });
    })
}

/// The connection's task.
struct Driver {
    connection: Connection<FrameTap<BoxedIo>, Piece>,
    info: Arc<ConnectionInfo>,
    close: Arc<Notify>,
    streams: MaxStreams,
}

/// Reports when the server allows more streams than before.
struct MaxStreams {
    sender: SendRequest<Piece>,
    reported: usize,
    report: Report,
}

impl MaxStreams {
    fn look(&mut self) {
        let max = self.sender.current_max_send_streams();
        if std::mem::replace(&mut self.reported, max) < max {
            (self.report)(TransportEvent::MoreStreams);
        }
    }
}

impl Drop for H2ClientTransport {
    fn drop(&mut self) {
        self.close.notify_one();
    }
}

impl Driver {
    /// Runs until the connection is gone. The output is the reason.
    async fn run(self) -> DisconnectReason {
        let Self {
            connection,
            info,
            close,
            mut streams,
        } = self;
        let mut connection = pin!(connection);
        // Dropped before the connection, which tells the streams that it is gone, but not the
        // reason.
        let noted = NotedLoss(&info);
        let mut closed = pin!(close.notified());
        let ended = poll_fn(|cx| {
            if closed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            let ended = connection.as_mut().poll(cx).map(Some);
            streams.look();
            ended
        })
        .await;
        std::mem::forget(noted);
        match ended {
            Some(Ok(())) => DisconnectReason::ClosedByPeer,
            Some(Err(error)) => info.reason(&error),
            None => DisconnectReason::ClosedLocally,
        }
    }
}

/// Records the reason of the end of the connection's task, if the task is dropped.
struct NotedLoss<'a>(&'a ConnectionInfo);

impl Drop for NotedLoss<'_> {
    fn drop(&mut self) {
        self.0.set_loss(Lost::now());
    }
}

impl ClientTransport for H2ClientTransport {
    fn open(&self, request: OpenRequest<'_>) -> Result<Arc<dyn ClientTransportStream>, OpenError> {
        let head = fields::request(&request).map_err(OpenError::Invalid)?;
        let size = || fields::request_size(&head);
        if let Some((size, limit)) = self.connection.header_list.exceeded_by(size) {
            return Err(OpenError::Invalid(request_too_large(size, limit)));
        }
        // `h2` allows each clone one stream that waits for the peer's limit. With a clone for each
        // call any number of calls can wait, in the order of their arrival.
        let mut opener = self.sender.clone();
        // The head was checked when it was made, so an error means that the connection is gone or
        // takes no more streams.
        let Ok((response, stream)) = opener.send_request(head, false) else {
            return Err(OpenError::Gone(request.only_message));
        };
        self.connection.set_opened();
        if u32::from(stream.stream_id()) > LAST_STREAM_ID {
            (self.report)(TransportEvent::Draining {
                reason: DrainReason::StreamIdsUsedUp,
                served: true,
            });
        }
        let mut sender = Sender::new(stream, Side::Client, None);
        let half_closed = request.only_message.is_some();
        if let Some(message) = request.only_message {
            // An error means that the stream has been reset. The receiving half gets the status.
            let _ = sender.send(message, true);
        }
        Ok(Arc::new(H2ClientStream::new(
            response,
            sender,
            half_closed,
            opener,
            Arc::clone(&self.connection),
            CountedStream::begin(&self.stats),
        )))
    }

    fn peer(&self) -> &Arc<Peer> {
        self.connection.peer()
    }

    fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    fn max_concurrent_streams(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// Returns 0: `h2` does not show the number.
    fn waiting_streams(&self) -> usize {
        0
    }

    fn is_gone(&self) -> bool {
        // A clone without a stream never waits. It reports only the error that ended the
        // connection.
        let mut sender = self.sender.clone();
        let ready = sender.poll_ready(&mut Context::from_waker(Waker::noop()));
        matches!(ready, Poll::Ready(Err(_)))
    }

    fn silence(&self) -> Duration {
        self.connection.last_received.silence(Instant::now())
    }

    fn statistics(&self) -> ConnectionSnapshot {
        self.stats.snapshot()
    }

    fn close(&self) {
        self.close.notify_one();
    }
}
