//! The server's side of a connection in the native engine: the connection's task. It serves the
//! streams and polls new calls.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use rgrpc_http2::BytesQueue;
use rgrpc_http2::{Config, Connection, ErrorCode, Event, HeadKind, SendError, StreamKey};
use tokio::time::{Instant, Sleep, sleep};

use super::fields::{HeaderBlock, ReadRequest, read_request, usual_response};
use super::link::{End, Link};
use super::outbox::Outbox;
use super::outgoing::SEND_QUOTA;
use super::server_stream::{NativeServerStream, ServerPost, ServerSend, ServerShared};
use super::socket::Socket;
use super::turn::{ConnectionTask, Turn};
use crate::disconnect_reason::TOO_MANY_PINGS;
use crate::io::Connected;
use crate::metadata::Metadata;
use crate::side::Side;
use crate::status::Status;
use crate::task::Lost;
use crate::transport::keepalive::{PingEnforcer, ServerKeepalive, ServerStep};
use crate::transport::{
    CallEnd, CallState, CancelReason, ConnectionHandle, ConnectionPhase, DisconnectReason,
    Dispatch, GoAway, HeadWithTimeout, Last, OtherProtocol, ReceivedCall, RefusalLog, Rejection,
    RequestHead, ResetCode, ResponseHead, ServerPhase, ServerSettings, ServerStream,
    ServerTransport, run_call, status_for_reset, too_large,
};

/// A connection that a server accepted.
pub(crate) struct ServerConnection {
    connected: Connected,
    settings: ServerSettings,
    phase: ConnectionPhase,
}

impl ServerConnection {
    pub(crate) fn new(
        connected: Connected,
        settings: ServerSettings,
        phase: ConnectionPhase,
    ) -> Self {
        Self {
            connected,
            settings,
            phase,
        }
    }
}

impl ServerTransport for ServerConnection {
    fn serve<D: Dispatch>(self, dispatch: Arc<D>) -> impl Future<Output = ()> + Send {
        // Boxed, because a future reserves space for it in each of its states.
        let connection = self.phase.connection().clone();
        let task = Box::new(Task::new(
            self.connected,
            connection,
            &self.settings,
            dispatch,
        ));
        task.run(self.phase)
    }
}

/// Returns the head of a stream's response. The head of a stream that is gone is not sent.
fn response_head<'a>(
    link: &'a mut ServerLink,
    key: StreamKey,
    metadata: &'a Metadata,
) -> ResponseHead<'a> {
    let call = link.core.value_mut(key).map(|stream| stream.call());
    ResponseHead {
        encoding: call.and_then(CallState::encoding_field),
        content_subtype: call.map_or(&[], |call| &call.head().content_subtype),
        metadata,
    }
}

/// A request whose head has arrived, and nothing after it.
struct Opened {
    key: StreamKey,
    head: HeadWithTimeout<Arc<RequestHead>>,
}

/// The time since which a connection has no stream.
///
/// Updated once a turn. A stream that began and ended within a turn is counted.
#[derive(Clone, Copy, Debug)]
struct Idleness {
    since: Instant,
    /// There were streams at the last update.
    was_busy: bool,
    /// The number of streams opened up to then.
    opened: u64,
}

impl Idleness {
    fn look(&mut self, core: &Connection<Arc<NativeServerStream>, ReadRequest>, now: Instant) {
        let opened = core.stats().streams_opened;
        let is_busy = core.open_streams() > 0;
        if is_busy || self.was_busy || opened != self.opened {
            *self = Self {
                since: now,
                was_busy: is_busy,
                opened,
            };
        }
    }
}

type ServerLink = Link<Arc<NativeServerStream>, ReadRequest>;

/// A connection's task.
struct Task<D: Dispatch> {
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
    keepalive: ServerKeepalive,
    enforcer: PingEnforcer,
    /// The time at which something was last received.
    received: Instant,
    idleness: Idleness,
    /// The time limit of the client's SETTINGS; `None` once they have arrived.
    handshake: Option<Pin<Box<Sleep>>>,
    /// The log of connections whose client sends no SETTINGS.
    refusals: Arc<RefusalLog>,
    /// The server stops gracefully.
    draining: bool,
    /// The streams have been told of the connection's end.
    is_over: bool,
}

impl<D: Dispatch> Task<D> {
    fn new(
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
            keepalive: ServerKeepalive::new(settings.keepalive, now, fastrand::f64()),
            enforcer: PingEnforcer::new(settings.enforcement),
            received: now,
            idleness: Idleness {
                since: now,
                was_busy: false,
                opened: 0,
            },
            handshake: Some(Box::pin(sleep(settings.handshake_timeout))),
            refusals: Arc::clone(&settings.refusals),
            draining: false,
            is_over: false,
        }
    }

    /// Serves until the connection is over.
    async fn run(mut self: Box<Self>, mut phase: ConnectionPhase) {
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

    /// Handles a PING of the client, which the core has answered.
    fn pinged(&mut self, now: Instant) -> Result<(), End> {
        let core = &self.link.core;
        let sent = core.stats().headers_sent + core.stats().data_frames_sent;
        if self.enforcer.ping(now, core.open_streams() > 0, sent) {
            Ok(())
        } else {
            Err(Box::new(DisconnectReason::TooManyPings))
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
                Err(rejection) => self.reject(key, &rejection),
            },
            // Trailers of a request mean only its end.
            Event::Headers { key, .. } => self.receive(key, Bytes::new(), true),
            Event::Data {
                key,
                data,
                end_stream,
            } => self.receive(key, data, end_stream),
            Event::Reset { key, code } => {
                let code = ResetCode(code.0);
                let reason = CancelReason::of_reset(code);
                self.close_stream(key, reason, || status_for_reset(Side::Client, code));
            }
            Event::StreamError { key, code, reason } => {
                self.close_stream(key, CancelReason::StreamFailed, || {
                    Status::internal(format!("the client broke the protocol: {reason} ({code})"))
                });
            }
            Event::SendReady { key } => {
                let queued = self.link.core.queued(key);
                if let Some(stream) = self.link.core.value_mut(key) {
                    stream.set_queued(queued);
                }
            }
            Event::PeerSettings => {
                self.handshake = None;
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

    /// Answers a refused request.
    fn reject(&mut self, key: StreamKey, rejection: &Rejection) {
        let block = HeaderBlock::rejection(rejection, &rejection.status);
        let mut sent = self.link.core.send_headers(key, &block.block(), true);
        if let Err(SendError::HeaderListTooLarge { limit, .. }) = sent {
            let status = rejection.status.clone();
            let block = HeaderBlock::fitted(status, limit, |status| {
                HeaderBlock::rejection(rejection, &status)
            });
            sent = self.link.core.send_headers(key, &block.block(), true);
        }
        self.replied(key, sent);
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

    fn close_stream(
        &mut self,
        key: StreamKey,
        reason: CancelReason,
        status: impl FnOnce() -> Status,
    ) {
        if let Some(stream) = self.link.core.take_value(key) {
            stream.close(status(), reason);
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

    fn end_call(&mut self, key: StreamKey, end: CallEnd) {
        let stream = self.link.core.value_mut(key);
        // The core may drop the stream below.
        let stream = stream.filter(|stream| stream.has_state()).cloned();
        self.send_end(key, end);
        if let Some(stream) = stream {
            stream.call_ended();
            // The rest of the request has no reader, so it is discarded. A client that sends all of
            // it before it reads the response must make progress, though the rest of the response
            // may wait for it.
            self.link.core.take_value(key);
            self.link.core.discard(key);
        }
    }

    fn send_end(&mut self, key: StreamKey, end: CallEnd) {
        match end {
            CallEnd::Reply {
                header,
                message,
                trailer,
            } => self.reply(key, header, message, trailer),
            CallEnd::Finish { header, outcome } => self.finish(key, header, &outcome),
            CallEnd::Abort { .. } if self.link.core.queued(key) > 0 => {
                self.link.core.reset(key, ErrorCode::CANCEL);
            }
            CallEnd::Abort { header, status } => self.finish(key, header, &Err(status)),
            CallEnd::Closed => {}
        }
    }

    fn send_messages(&mut self, key: StreamKey) {
        let Some(stream) = self.link.core.value_mut(key) else {
            return;
        };
        let (messages, count) = stream.take_messages();
        let sent = self.link.core.send_data(key, messages, false);
        self.link.count_sent(count, &sent);
        self.sent(key, sent);
        let queued = self.link.core.queued(key);
        self.link.core.wake_when_below(key, SEND_QUOTA);
        if let Some(stream) = self.link.core.value_mut(key) {
            stream.set_queued(queued);
        }
    }

    fn finish(
        &mut self,
        key: StreamKey,
        header: Option<Metadata>,
        outcome: &Result<Metadata, Status>,
    ) {
        let (last, sent) = match header {
            Some(header) if header.is_empty() => {
                let head = response_head(&mut self.link, key, &header);
                let block = HeaderBlock::trailers_only(head, outcome);
                let sent = self.link.core.send_headers(key, &block.block(), true);
                (Last::TrailersOnly, sent)
            }
            header => match header.map_or(Ok(()), |header| self.send_header(key, &header)) {
                Ok(()) => {
                    let block = HeaderBlock::trailers(outcome);
                    let sent = self.link.core.send_trailers(key, &block.block());
                    (Last::Trailers, sent)
                }
                Err(error) => (Last::Headers, Err(error)),
            },
        };
        match sent {
            Err(SendError::HeaderListTooLarge { size, limit }) => {
                self.finish_fitted(key, last, outcome, (size, limit));
            }
            sent => self.replied(key, sent),
        }
    }

    /// Ends a call whose `last` header list is larger than the client accepts. A failure keeps its
    /// code. A success whose metadata does not fit becomes a failure, because the metadata would be
    /// lost silently.
    #[cold]
    fn finish_fitted(
        &mut self,
        key: StreamKey,
        last: Last,
        outcome: &Result<Metadata, Status>,
        (size, limit): (usize, u32),
    ) {
        let status = match outcome {
            Ok(_) => too_large(last, size, limit),
            Err(status) => status.clone(),
        };
        tracing::debug!(
            peer = %self.shared.peer.remote, size, limit, code = %status.code(),
            "a response is larger than the header list that the client takes",
        );
        let sent = match last {
            Last::Headers | Last::TrailersOnly => {
                let header = Metadata::new();
                let head = response_head(&mut self.link, key, &header);
                let block = HeaderBlock::fitted(status, limit, |status| {
                    HeaderBlock::trailers_only(head.clone(), &Err(status))
                });
                self.link.core.send_headers(key, &block.block(), true)
            }
            Last::Trailers => {
                let block = HeaderBlock::fitted(status, limit, |status| {
                    HeaderBlock::trailers(&Err(status))
                });
                self.link.core.send_trailers(key, &block.block())
            }
        };
        self.replied(key, sent);
    }

    /// Ends a call whose headers are larger than the client accepts, before its handler returns.
    #[cold]
    fn refuse_headers(&mut self, key: StreamKey, size: usize, limit: u32) {
        let status = too_large(Last::Headers, size, limit);
        // The core drops the stream below.
        let stream = self.link.core.value_mut(key).cloned();
        self.finish(key, Some(Metadata::new()), &Err(status.clone()));
        if let Some(stream) = stream {
            stream.close(status, CancelReason::HeadersTooLarge);
        }
    }

    fn reply(
        &mut self,
        key: StreamKey,
        header: Option<Metadata>,
        message: BytesQueue,
        trailer: Metadata,
    ) {
        let sent = match header {
            Some(header) => {
                let head = response_head(&mut self.link, key, &header);
                if let Some((head, trailers)) = usual_response(&head, &trailer) {
                    let sent = self.link.core.reply(key, &head, message, &trailers);
                    self.link.count_sent(1, &sent);
                    return self.replied(key, sent);
                }
                let headers = HeaderBlock::response(head);
                let trailers = HeaderBlock::trailers(&Ok(trailer));
                let core = &mut self.link.core;
                let sent = core.reply(key, &headers.block(), message, &trailers.block());
                self.link.count_sent(1, &sent);
                if let Err(SendError::HeaderListTooLarge { size, limit }) = sent {
                    let is_head = headers.block().list_size() > limit as usize;
                    let what = if is_head {
                        Last::Headers
                    } else {
                        Last::Trailers
                    };
                    let outcome = Err(too_large(what, size, limit));
                    return self.finish(key, Some(header), &outcome);
                }
                sent
            }
            None => {
                let sent = self.link.core.send_data(key, message, false);
                self.link.count_sent(1, &sent);
                self.sent(key, sent);
                return self.finish(key, None, &Ok(trailer));
            }
        };
        self.replied(key, sent);
    }

    /// Handles the result of a whole response that was handed to the core.
    fn replied(&mut self, key: StreamKey, sent: Result<(), SendError>) {
        self.sent(key, sent);
        self.link.core.reset_when_sent(key, ErrorCode::NO_ERROR);
    }

    fn send_header(&mut self, key: StreamKey, header: &Metadata) -> Result<(), SendError> {
        let block = HeaderBlock::response(response_head(&mut self.link, key, header));
        self.link.core.send_headers(key, &block.block(), false)
    }

    /// Handles the result of sending. A client that does not accept even a header list with a code
    /// alone has its stream reset. A closed stream has told its call already.
    fn sent(&mut self, key: StreamKey, sent: Result<(), SendError>) {
        match sent {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => {
                tracing::debug!(peer = %self.shared.peer.remote, %error, "a response was not sent");
                self.link.core.reset(key, ErrorCode::INTERNAL_ERROR);
            }
        }
    }

    /// Checks the time limit of the client's SETTINGS. Called when all input was read: a client
    /// whose SETTINGS were not in it has not sent them.
    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let Some(handshake) = &mut self.handshake else {
            return Ok(());
        };
        if self.draining {
            return Err(Box::new(DisconnectReason::ClosedLocally));
        }
        match handshake.as_mut().poll(cx) {
            Poll::Ready(()) => Err(Box::new(DisconnectReason::PrefaceTimedOut)),
            Poll::Pending => Ok(()),
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        let now = Instant::now().into_std();
        let debug = Bytes::from_static(b"graceful_stop");
        self.link.core.drain(debug, now);
    }

    /// Ends the connection and its calls.
    async fn stop(mut self: Box<Self>) {
        self.link.core.goaway(ErrorCode::NO_ERROR, b"stop");
        let status = Status::unavailable("the server was stopped");
        self.close_streams(&status, CancelReason::ServerStopped);
        self.dispatch.ended(DisconnectReason::ClosedLocally);
        self.link.write_once().await;
    }

    /// Ends the connection's streams, tells the client, and closes the socket.
    async fn end(mut self: Box<Self>, reason: DisconnectReason) {
        let before_preface = self.handshake.is_some();
        if before_preface && matches!(reason, DisconnectReason::ClosedLocally) {
            // No data of the client can be lost, so there is no reason to linger.
            return self.stop().await;
        }
        let reason = self.recognise(reason);
        let peer = &self.shared.peer.remote;
        let problem = reason.at(Side::Server);
        match &reason {
            DisconnectReason::OtherProtocol(_)
            | DisconnectReason::PrefaceTimedOut
            | DisconnectReason::TooManyPings => self.refusals.refused(peer, &problem),
            DisconnectReason::Protocol(_) if before_preface => {
                self.refusals.refused(peer, &problem);
            }
            _ => tracing::debug!(%peer, %problem, "connection ended"),
        }
        if let DisconnectReason::TooManyPings = reason {
            let code = ErrorCode::ENHANCE_YOUR_CALM;
            self.link.core.goaway(code, TOO_MANY_PINGS);
        }
        let status = Status::cancelled(format!("the connection ended: {problem}"));
        self.close_streams(&status, CancelReason::ConnectionLost);
        let is_silent = matches!(reason, DisconnectReason::KeepaliveTimedOut { .. });
        drop(problem);
        self.dispatch.ended(reason);
        if is_silent {
            // The client would not answer a linger either.
            self.link.core.goaway(ErrorCode::NO_ERROR, b"");
            self.link.write_once().await;
        } else {
            self.link.linger().await;
        }
    }

    /// Returns the reason of the end. A client whose SETTINGS have not come may speak another
    /// protocol, which explains more.
    fn recognise(&mut self, reason: DisconnectReason) -> DisconnectReason {
        let is_own = matches!(
            reason,
            DisconnectReason::PrefaceTimedOut
                | DisconnectReason::TooManyPings
                | DisconnectReason::MaxConnectionAge
        );
        if is_own || self.handshake.is_none() {
            return reason;
        }
        match OtherProtocol::of_client(self.link.unread()) {
            Some(other) => DisconnectReason::OtherProtocol(other.of_client_text().into()),
            None => reason,
        }
    }

    fn close_streams(&mut self, status: &Status, reason: CancelReason) {
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
            ServerSend::Head(header) => {
                let sent = self.send_header(key, &header);
                match sent {
                    Err(SendError::HeaderListTooLarge { size, limit }) => {
                        self.refuse_headers(key, size, limit);
                    }
                    sent => self.sent(key, sent),
                }
            }
            ServerSend::Messages => self.send_messages(key),
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
            self.received = turn.now;
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
                    self.pinged(now)?;
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

    fn prepare_sleep(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<Option<Instant>, End> {
        self.poll_handshake(cx)?;
        if self.keepalive.watches_idleness() {
            self.idleness.look(&self.link.core, now);
        }
        Ok(self.keepalive.deadline())
    }

    fn shrink(&mut self) {
        self.calls = Vec::new();
    }

    fn keepalive_timeout(&mut self, now: Instant) -> Result<(), End> {
        let is_idle = self.link.core.open_streams() == 0;
        let idle_since = is_idle.then_some(self.idleness.since);
        loop {
            let received = self.received;
            match self.keepalive.handle_timeout(now, received, idle_since) {
                ServerStep::Wait => return Ok(()),
                ServerStep::Ping => self.link.keepalive_ping(),
                ServerStep::Drain(why) => {
                    let debug = Bytes::from_static(why.as_bytes());
                    self.link.core.drain(debug, now.into_std());
                }
                ServerStep::Lost(unanswered) => return Err(Box::new(unanswered.into())),
                ServerStep::TooOld => return Err(Box::new(DisconnectReason::MaxConnectionAge)),
            }
        }
    }
}

impl<D: Dispatch> Drop for Task<D> {
    /// Tells the streams, which other tasks may read, when the task panics or is dropped with its
    /// runtime.
    fn drop(&mut self) {
        if !self.is_over {
            let lost = Lost::now();
            let reason = match lost {
                Lost::Panicked => CancelReason::ConnectionLost,
                Lost::Dropped => CancelReason::ServerStopped,
            };
            let status = Status::cancelled(format!("the connection ended: {lost}"));
            self.close_streams(&status, reason);
            self.dispatch.ended(lost.into());
        }
    }
}
