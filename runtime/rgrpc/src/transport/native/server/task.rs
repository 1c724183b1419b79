//! The task of a server's connection: it owns the socket and the core, takes turns (`turn.rs`), hands
//! requests to the dispatcher, polls new calls, and sends what calls post. The server runs it, on a
//! task of its own or on that of a worker.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use rgrpc_http2::{Config, Connection, ErrorCode, Event, HeadKind, StreamKey};
use tokio::time::Instant;

use super::connection_end::ConnectionEnd;
use super::keepalive::Keepalive;
use super::response::Response;
use super::stream::{NativeServerStream, ServerLink, ServerPost, ServerSend, ServerShared};
use crate::io::Connected;
use crate::side::Side;
use crate::task::Lost;
use crate::transport::native::fields::{ReadRequest, read_request};
use crate::transport::native::link::{End, Link};
use crate::transport::native::outbox::Outbox;
use crate::transport::native::socket::Socket;
use crate::transport::native::turn::{ConnectionTask, Turn};
use crate::transport::{
    CallEnd, ConnectionHandle, ConnectionPhase, DisconnectReason, Dispatch, GoAway,
    HeadWithTimeout, ReceivedCall, RefusalLog, RequestHead, ResetCode, ServerPhase, ServerSettings,
    StreamFailure, run_call,
};

/// A request whose head has arrived, and nothing after it.
struct Opened {
    key: StreamKey,
    head: HeadWithTimeout<Arc<RequestHead>>,
}

/// The client's preface, which ends with its SETTINGS.
#[derive(Clone, Copy, Debug)]
enum Preface {
    /// They come until then. `None`: without a limit.
    Awaited {
        until: Option<Instant>,
    },
    Received,
}

impl Preface {
    fn is_awaited(self) -> bool {
        matches!(self, Self::Awaited { .. })
    }

    /// The time limit of the SETTINGS.
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Awaited { until } => until,
            Self::Received => None,
        }
    }
}

/// A connection's task.
pub(super) struct Task<D: Dispatch> {
    dispatch: Arc<D>,
    shared: Arc<ServerShared>,
    link: ServerLink,
    /// Posts that were taken from the outbox and are not done.
    posts: Vec<ServerPost>,
    /// The last request, until it is known whether it arrived whole.
    opened: Option<Opened>,
    /// Calls that began in this turn and were not polled.
    calls: Vec<(StreamKey, D::Call)>,
    /// New calls are spawned, not polled.
    spawn_handlers: bool,
    /// The number of messages and new calls of the last read that went to calls on other tasks,
    /// less the posts of these calls since.
    unanswered: usize,
    keepalive: Keepalive,
    preface: Preface,
    /// The log of connections whose client sends no SETTINGS.
    refusals: Arc<RefusalLog>,
    /// The server stops gracefully.
    draining: bool,
    /// The streams have been told of the connection's end.
    is_over: bool,
}

impl<D: Dispatch> Task<D> {
    pub(super) fn new(
        connected: Connected,
        connection: ConnectionHandle,
        settings: &ServerSettings,
        dispatch: Arc<D>,
    ) -> Self {
        let now = Instant::now();
        let connections = &settings.connections;
        let peer = connection.shared_peer();
        let registration = connections.register(Side::Server, Arc::clone(peer));
        let config = Config {
            max_concurrent_streams: settings.max_concurrent_streams,
            ..Config::default()
        };
        let keepalive = Keepalive::new(settings, now);
        if let Some(at) = keepalive.max_age_at() {
            registration.stats().set_max_age(at);
        }
        Self {
            dispatch,
            shared: Arc::new(ServerShared {
                outbox: Outbox::new(),
                peer: Arc::clone(peer),
                connection,
                memory: settings.memory.clone(),
                max_header_list: AtomicU32::new(u32::MAX),
            }),
            link: Link::new(
                Connection::server(config, read_request),
                Socket::new(connected.io),
                registration,
            ),
            posts: Vec::new(),
            opened: None,
            calls: Vec::new(),
            spawn_handlers: settings.spawn_handlers,
            unanswered: 0,
            keepalive,
            preface: Preface::Awaited {
                until: now.checked_add(settings.handshake_timeout),
            },
            refusals: Arc::clone(&settings.refusals),
            draining: false,
            is_over: false,
        }
    }

    /// Serves until the connection is over.
    pub(super) async fn run(mut self: Box<Self>, mut phase: ConnectionPhase) {
        loop {
            let woken = {
                let mut next_phase = pin!(phase.next());
                poll_fn(|cx| {
                    if let Poll::Ready(phase) = next_phase.as_mut().poll(cx) {
                        return Poll::Ready(Ok(phase));
                    }
                    self.poll(cx).map(Err)
                })
                .await
            };
            // The last steps are boxed, so that a connection does not reserve space for them.
            match woken {
                Ok(ServerPhase::Running) => {}
                Ok(ServerPhase::Draining) => self.drain(),
                Ok(ServerPhase::Stopped) => return Box::pin(self.stop()).await,
                Err(end) => return Box::pin(self.end(*end)).await,
            }
        }
    }

    fn handle(&mut self, event: Event<ReadRequest>, now: Instant, cx: &mut Context<'_>) {
        match event {
            Event::Headers {
                key,
                kind: HeadKind::Request,
                head,
                end_stream,
                ..
            } => match head {
                Ok(head) if end_stream => {
                    self.begin_whole(Opened { key, head }, Bytes::new(), now, cx);
                }
                Ok(head) => self.opened = Some(Opened { key, head }),
                Err(rejection) => self.response(key).reject(&rejection),
            },
            // Trailers of a request mean only its end.
            Event::Headers { key, .. } => self.receive(key, Bytes::new(), true),
            Event::Data {
                key,
                data,
                end_stream,
            } => self.receive(key, data, end_stream),
            Event::Reset { key, code } => {
                let (by, code) = (Side::Client, ResetCode(code.0));
                self.close_stream(key, &StreamFailure::Reset { by, code });
            }
            Event::StreamError { key, code, reason } => {
                let (by, code) = (Side::Client, ResetCode(code.0));
                self.close_stream(key, &StreamFailure::Protocol { by, code, reason });
            }
            Event::SendReady { key } => {
                let queued = self.link.core.queued(key);
                if let Some(stream) = self.link.core.value_mut(key) {
                    stream.set_queued(queued);
                }
            }
            Event::PeerSettings => {
                self.preface = Preface::Received;
                let max = self.link.core.peer_settings().max_header_list_size;
                let max = max.unwrap_or(u32::MAX);
                self.shared.max_header_list.store(max, Ordering::Relaxed);
            }
            Event::GoAway { code, debug, .. } => {
                self.link.received_goaway(GoAway::new(code.0, debug));
            }
            Event::Refused { .. }
            | Event::Opened { .. }
            | Event::Ping { .. }
            | Event::Pong { .. }
            | Event::SettingsAcked => {}
        }
    }

    /// Begins the call of a request that has not ended.
    fn begin(&mut self, opened: Option<Opened>, now: Instant) {
        if let Some(opened) = opened {
            let key = opened.key;
            let call = self.dispatch(opened, None, now);
            self.calls.push((key, call));
        }
    }

    /// Begins the call of a request that has arrived whole, and polls it before the next event. So
    /// the call's memory is freed while it is still in the processor's cache, and the next call
    /// uses it again.
    fn begin_whole(&mut self, opened: Opened, content: Bytes, now: Instant, cx: &mut Context<'_>) {
        let key = opened.key;
        let call = self.dispatch(opened, Some(content), now);
        self.poll_call(key, call, cx);
    }

    /// Starts the call of a request, and creates its stream.
    #[inline]
    fn dispatch(&mut self, opened: Opened, content: Option<Bytes>, now: Instant) -> D::Call {
        let Opened { key, head } = opened;
        let (shared, core) = (&self.shared, &mut self.link.core);
        let is_whole = content.is_some();
        let received = ReceivedCall {
            head,
            at: now,
            connection: &shared.connection,
            content,
        };
        self.dispatch.dispatch(received, |call| {
            let stream = Arc::new(NativeServerStream::new(key, Arc::clone(shared), call));
            if !is_whole {
                stream.expect_more();
            }
            core.set_value(key, Arc::clone(&stream));
            stream
        })
    }

    fn receive(&mut self, key: StreamKey, data: Bytes, end_stream: bool) {
        let direct_data = self.link.take_direct_data();
        if direct_data.is_none() {
            self.link.count_messages(key, &data);
        }
        match self.link.core.value_mut(key) {
            Some(stream) => {
                self.unanswered += 1;
                let reading = match direct_data {
                    Some(message) => stream.return_buffer(message, end_stream),
                    None => stream.receive(data, end_stream),
                };
                if let Some(reading) = reading {
                    self.link.core.read(key, reading);
                }
            }
            // The request was refused, or the call has ended.
            None => self.link.core.discard(key),
        }
    }

    fn close_stream(&mut self, key: StreamKey, failure: &StreamFailure) {
        if let Some(stream) = self.link.core.take_value(key) {
            stream.close(failure.to_status(), failure.cancel_reason());
        }
    }

    /// Polls the calls that have begun and were not polled yet.
    fn poll_calls(&mut self, cx: &mut Context<'_>) {
        let mut calls = std::mem::take(&mut self.calls);
        for (key, call) in calls.drain(..) {
            self.poll_call(key, call, cx);
        }
        self.calls = calls;
    }

    /// Polls a new call once, which completes most unary calls. A call that is not ready gets a
    /// task of its own.
    fn poll_call(&mut self, key: StreamKey, mut call: D::Call, cx: &mut Context<'_>) {
        if !self.spawn_handlers
            && let Poll::Ready(end) = Pin::new(&mut call).poll(cx)
        {
            if !end.is_whole_response() {
                self.do_posts();
            }
            return self.end_call(key, end);
        }
        self.unanswered += 1;
        tokio::spawn(run_call(call, Arc::clone(&self.dispatch)));
    }

    fn response(&mut self, key: StreamKey) -> Response<'_> {
        Response {
            link: &mut self.link,
            peer: &self.shared.peer,
            key,
        }
    }

    fn end_call(&mut self, key: StreamKey, end: CallEnd) {
        let stream = self.link.core.value_mut(key);
        // The core may drop the stream below.
        let stream = stream.filter(|stream| stream.has_state()).cloned();
        self.response(key).end(end);
        if let Some(stream) = stream {
            stream.call_ended();
            // The rest of the request has no reader, so it is discarded. A client that sends all of
            // it before it reads the response must make progress, though the rest of the response
            // may wait for it.
            self.link.core.take_value(key);
            self.link.core.discard(key);
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        self.link.drain("graceful_stop", Instant::now());
    }

    /// Ends the connection and its calls.
    async fn stop(mut self: Box<Self>) {
        self.link.core.goaway(ErrorCode::NO_ERROR, b"stop");
        self.close_streams(&StreamFailure::ServerStopped);
        self.dispatch.ended(DisconnectReason::ClosedLocally);
        self.link.write_once().await;
    }

    /// Ends the connection's streams, tells the client, and closes the socket.
    async fn end(mut self: Box<Self>, reason: DisconnectReason) {
        let before_preface = self.preface.is_awaited();
        if before_preface && matches!(reason, DisconnectReason::ClosedLocally) {
            // No data of the client can be lost, so there is no reason to linger.
            return self.stop().await;
        }
        let end = ConnectionEnd::new(reason, before_preface, self.link.unread());
        end.log(&self.refusals, &self.shared.peer.remote);
        if let Some((code, debug)) = end.goaway() {
            self.link.core.goaway(code, debug);
        }
        let lingers = end.lingers();
        self.close_streams(&end.failure());
        self.dispatch.ended(end.into_reason());
        if lingers {
            self.link.linger().await;
        } else {
            self.link.write_once().await;
        }
    }

    fn close_streams(&mut self, failure: &StreamFailure) {
        let (status, reason) = (failure.to_status(), failure.cancel_reason());
        self.is_over = true;
        self.shared.outbox.close();
        for (_, stream) in self.link.core.values_mut() {
            stream.close(status.clone(), reason);
        }
    }
}

impl<D: Dispatch> ConnectionTask for Task<D> {
    type Stream = Arc<NativeServerStream>;
    type Head = ReadRequest;
    type Post = ServerPost;

    fn link(&mut self) -> &mut ServerLink {
        &mut self.link
    }

    fn outbox(&self) -> &Outbox<ServerPost> {
        &self.shared.outbox
    }

    fn posts(&mut self) -> &mut Vec<ServerPost> {
        &mut self.posts
    }

    fn send(&mut self, ServerPost { key, what }: ServerPost) {
        match what {
            ServerSend::Head(header) => self.response(key).head(&header),
            ServerSend::Messages => self.response(key).messages(),
            ServerSend::End(end) => self.end_call(key, end),
            ServerSend::Reset(code) => self.link.core.reset(key, ErrorCode(code.0)),
            ServerSend::Reading => {
                if let Some(stream) = self.link.core.value_mut(key) {
                    let reading = stream.take_reading();
                    self.link.core.read(key, reading);
                }
            }
        }
    }

    fn has_new_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    #[inline]
    fn work(&mut self, turn: &Turn, cx: &mut Context<'_>) -> Result<bool, End> {
        self.unanswered = self.unanswered.saturating_sub(turn.posted);
        if turn.read {
            self.unanswered = 0;
            self.keepalive.received(turn.now);
        }
        self.handle_events(turn.now, cx)?;
        self.poll_calls(cx);
        self.do_posts();
        // Calls on other tasks have begun to answer, and more of them will soon.
        let more_to_come = turn.posted > 0 && self.unanswered > 0 && !turn.read;
        Ok(!(more_to_come && self.link.waits_for_more(cx)))
    }

    fn handle_events(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, End> {
        while let Some(event) = self.link.next_event(now)? {
            match (self.opened.take(), event) {
                (
                    Some(opened),
                    Event::Data {
                        key,
                        data,
                        end_stream: true,
                    },
                ) if opened.key == key => {
                    self.link.count_messages(key, &data);
                    self.begin_whole(opened, data, now, cx);
                }
                (opened, Event::Ping { .. }) => {
                    self.begin(opened, now);
                    self.keepalive.pinged(&self.link, now)?;
                }
                (opened, event) => {
                    self.begin(opened, now);
                    self.handle(event, now, cx);
                }
            }
        }
        let opened = self.opened.take();
        self.begin(opened, now);
        self.link
            .begin_direct_read(|stream, len| stream.take_buffer(len));
        Ok(true)
    }

    fn prepare_sleep(&mut self, now: Instant) -> Result<Option<Instant>, End> {
        if self.draining && self.preface.is_awaited() {
            return Err(Box::new(DisconnectReason::ClosedLocally));
        }
        let keepalive = self.keepalive.prepare_sleep(&self.link, now);
        let deadlines = [self.preface.deadline(), keepalive];
        Ok(deadlines.into_iter().flatten().min())
    }

    fn shrink(&mut self) {
        self.calls = Vec::new();
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), End> {
        // All input was read: a client whose SETTINGS were not in it has not sent them.
        if self.preface.deadline().is_some_and(|until| until <= now) {
            return Err(Box::new(DisconnectReason::PrefaceTimedOut));
        }
        self.keepalive.handle_timeout(&mut self.link, now)
    }
}

impl<D: Dispatch> Drop for Task<D> {
    /// Tells the streams, which other tasks may read, when the task panics or is dropped with its
    /// runtime, and publishes the last counts.
    fn drop(&mut self) {
        if !self.is_over {
            let reason = DisconnectReason::from(Lost::now());
            self.close_streams(&StreamFailure::ConnectionEnded(reason.clone()));
            self.dispatch.ended(reason);
        }
        self.link.publish_stats(self.keepalive.last_received());
    }
}
