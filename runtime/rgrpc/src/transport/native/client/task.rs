//! The task of a client's connection: it owns the socket and the core, takes turns (`turn.rs`), opens
//! the streams that calls post, delivers what they receive, and reports to the channel. Spawned when
//! the connection is made.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use rgrpc_http2::{
    BytesQueue, Config, Connection, ErrorCode, Event, HeadKind, OpenError, SendError, StreamKey,
};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::request_head::{RequestFields, RequestHeads};
use super::stream::{After, ClientPost, ClientSend, ClientShared, NativeClientStream};
use crate::io::{BoxedIo, Peer};
use crate::side::Side;
use crate::task::Lost;
use crate::transport::keepalive::{ChannelKeepalive, ClientKeepalive, ProbeStep};
use crate::transport::native::fields::{ReadResponse, read_response};
use crate::transport::native::link::{End, Link};
use crate::transport::native::outbox::Outbox;
use crate::transport::native::outgoing::SEND_QUOTA;
use crate::transport::native::socket::Socket;
use crate::transport::native::turn::{ConnectionTask, Turn};
use crate::transport::statistics::Registration;
use crate::transport::{
    ClientSettings, Delivery, Disconnect, DisconnectReason, DrainReason, GoAway, MessageMemory,
    OtherProtocol, Report, ResetCode, StreamEnd, StreamFailure, TransportEvent,
};

/// The maximum number of calls that end in one turn before other tasks run.
///
/// The tasks of ended calls run next. A thread's queue in tokio's scheduler takes 256 tasks, and
/// tasks beyond that wait for long. So a connection with hundreds of replies leaves space for other
/// connections on its thread, and lets the calls run in between.
const MAX_ENDED: usize = 16;

fn ends_stream<H>(event: &Event<H>) -> bool {
    matches!(
        event,
        Event::Headers {
            end_stream: true,
            ..
        } | Event::Data {
            end_stream: true,
            ..
        }
    )
}

/// The keepalive of a connection, and that of its channel.
struct Keepalive {
    connection: ClientKeepalive,
    channel: Arc<ChannelKeepalive>,
}

/// A connection's task.
pub(super) struct Task {
    link: Link<Arc<NativeClientStream>, Arc<ReadResponse>>,
    peer: Arc<Peer>,
    shared: Arc<ClientShared>,
    /// Posts that were taken from the outbox and are not done.
    posts: Vec<ClientPost>,
    heads: RequestHeads,
    memory: MessageMemory,
    /// The last read has more events than the share of a turn.
    unhandled: bool,
    keepalive: Option<Keepalive>,
    /// The receiver of the server's first SETTINGS.
    settings: Option<oneshot::Sender<()>>,
    /// The server's GOAWAY.
    goaway: Option<GoAway>,
    /// A stream was opened.
    opened: bool,
    /// A response has begun.
    served: bool,
    report: Report,
    /// The streams have been told of the connection's end.
    is_over: bool,
}

impl Task {
    /// Creates the task. `on_settings` is told when the server's SETTINGS have come.
    pub(super) fn new(
        io: BoxedIo,
        registration: Registration,
        peer: Arc<Peer>,
        shared: Arc<ClientShared>,
        settings: ClientSettings,
        on_settings: oneshot::Sender<()>,
        report: Report,
    ) -> Self {
        let began = shared.last_received.epoch();
        Self {
            link: Link::new(
                Connection::client(Config::default(), read_response),
                Socket::new(io),
                registration,
            ),
            peer,
            shared,
            posts: Vec::new(),
            heads: RequestHeads::default(),
            memory: settings.memory,
            unhandled: false,
            keepalive: settings.keepalive.map(|channel| Keepalive {
                connection: ClientKeepalive::new(channel.parameters(), began),
                channel,
            }),
            settings: Some(on_settings),
            goaway: None,
            opened: false,
            served: false,
            report,
            is_over: false,
        }
    }

    /// Runs until the connection is gone. The output is the reason, and whether a response has
    /// begun on the connection.
    pub(super) async fn run(mut self: Box<Self>, close: Arc<Notify>) -> (Disconnect, bool) {
        let end = {
            let mut closed = pin!(close.notified());
            poll_fn(|cx| {
                if closed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                self.poll(cx).map(Some)
            })
            .await
        };
        let reason = end.map_or(DisconnectReason::ClosedLocally, |end| *end);
        let is_silent = matches!(reason, DisconnectReason::KeepaliveTimedOut { .. });
        let reason = self.recognise(reason);
        let end = self.disconnect(reason);
        self.end_streams(&end);
        self.link.core.goaway(ErrorCode::NO_ERROR, b"");
        if is_silent {
            // The server does not answer a linger, and the channel must know of the loss at once.
            self.link.write_once().await;
        } else {
            self.link.linger().await;
        }
        (end, self.served)
    }

    /// Returns the reason of the end. A server whose SETTINGS have not come may speak another
    /// protocol, which explains more.
    fn recognise(&mut self, reason: DisconnectReason) -> DisconnectReason {
        if self.settings.is_none() {
            return reason;
        }
        match OtherProtocol::of_server(self.link.unread()) {
            Some(other) => DisconnectReason::OtherProtocol(other),
            None => reason,
        }
    }

    /// Sends the PING of a stream that begins after a long time without streams.
    #[inline]
    fn wake_keepalive(&mut self, now: Instant) {
        if let Some(keepalive) = &mut self.keepalive
            && self.link.core.open_streams() > 0
            && keepalive
                .connection
                .has_streams(now, self.shared.last_received.at())
        {
            self.link.keepalive_ping();
        }
    }

    fn handle(&mut self, event: Event<Arc<ReadResponse>>) {
        match event {
            Event::Headers {
                kind: HeadKind::Informational,
                ..
            } => {}
            Event::Headers {
                key,
                head,
                end_stream,
                ..
            } => {
                self.served = true;
                if let Some(stream) = self.link.core.value_mut(key) {
                    let after = stream.receive_headers(&head, end_stream);
                    self.after(key, after, end_stream);
                }
            }
            Event::Data {
                key,
                data,
                end_stream,
            } => {
                let direct_data = self.link.take_direct_data();
                if direct_data.is_none() {
                    self.link.count_messages(key, &data);
                }
                if let Some(stream) = self.link.core.value_mut(key) {
                    let after = match direct_data {
                        Some(message) => stream.return_buffer(message, end_stream),
                        None => stream.receive(data, end_stream, &self.memory),
                    };
                    self.after(key, after, end_stream);
                }
            }
            Event::Reset { key, code } => {
                let (by, code) = (Side::Server, ResetCode(code.0));
                self.break_off(key, &StreamFailure::Reset { by, code });
            }
            Event::StreamError { key, code, reason } => {
                let (by, code) = (Side::Server, ResetCode(code.0));
                self.break_off(key, &StreamFailure::Protocol { by, code, reason });
            }
            Event::Refused { key } => {
                let failure = StreamFailure::Refused {
                    peer: Arc::clone(&self.peer),
                    goaway: self.goaway.clone(),
                };
                self.break_off(key, &failure);
            }
            Event::SendReady { key } => self.update_queued(key),
            Event::GoAway {
                last_id,
                code,
                debug,
            } => {
                let served = self.served || (self.opened && last_id > 0);
                self.go_away(GoAway::new(code.0, debug), served);
            }
            Event::PeerSettings => {
                let max = self.link.core.peer_settings().max_concurrent_streams;
                if self
                    .shared
                    .quota
                    .set_max(max.map_or(usize::MAX, |max| max as usize))
                {
                    (self.report)(TransportEvent::MoreStreams);
                }
                if let Some(settings) = self.settings.take() {
                    // There is no receiver when the attempt to connect was given up.
                    let _ = settings.send(());
                }
            }
            Event::Opened { key, .. } => {
                if let Some(stream) = self.link.core.value_mut(key) {
                    stream.begun();
                }
            }
            Event::Ping { .. } | Event::Pong { .. } | Event::SettingsAcked => {}
        }
    }

    /// Acts on what a stream has received. `ended` says that the server has ended the stream.
    fn after(&mut self, key: StreamKey, after: After, ended: bool) {
        match after {
            After::Nothing => {}
            After::Read(reading) => self.link.core.read(key, reading),
            After::Reset(code) => self.link.core.reset(key, ErrorCode(code.0)),
            After::Failed(code) => {
                // A response that is not complete is no success of the stream either.
                if ended {
                    self.link.count_failed_response();
                }
                if let Some(code) = code {
                    self.link.core.reset(key, ErrorCode(code.0));
                }
            }
        }
    }

    fn break_off(&mut self, key: StreamKey, failure: &StreamFailure) {
        if let Some(stream) = self.link.core.take_value(key) {
            stream.break_off(failure.into());
        }
    }

    fn go_away(&mut self, goaway: GoAway, served: bool) {
        if goaway.is_too_many_pings() {
            self.too_many_pings();
        }
        self.shared.gone.store(true, Ordering::Release);
        self.goaway = Some(goaway.clone());
        self.link.received_goaway(goaway.clone());
        let reason = DrainReason::GoAway(goaway);
        (self.report)(TransportEvent::Draining { reason, served });
    }

    /// Handles a server's end of the connection for too many PINGs. The PINGs of the channel's
    /// later connections are half as frequent.
    #[cold]
    fn too_many_pings(&self) {
        let server = &self.peer.remote;
        let next = self.keepalive.as_ref().map(|keepalive| {
            let time = keepalive.connection.time();
            keepalive.channel.too_many_pings(time)
        });
        match next {
            Some(next) => tracing::error!(
                %server, keepalive_time = ?next,
                "a server has ended a connection for too many PINGs (GOAWAY ENHANCE_YOUR_CALM \
                 \"too_many_pings\"); later connections of the channel send fewer"
            ),
            None => tracing::error!(
                %server,
                "a server has ended a connection for too many PINGs (GOAWAY ENHANCE_YOUR_CALM \
                 \"too_many_pings\"), but the channel has no keepalive"
            ),
        }
    }

    fn open(
        &mut self,
        stream: Arc<NativeClientStream>,
        request: RequestFields,
        message: Option<BytesQueue>,
    ) {
        let (method, own) = request.into_parts();
        let opened = {
            let head = self.heads.block(method, &own);
            self.link.core.open(Arc::clone(&stream), &head, false)
        };
        match opened {
            Ok(key) => {
                self.opened = true;
                // They are opened in order: if any waits, the last one does.
                stream.set_key(key, self.link.core.queued_streams() > 0);
                if let Some(message) = message {
                    // The call sends no more messages.
                    let sent = self.link.core.send_data(key, message, true);
                    self.link.count_sent(1, &sent);
                    self.sent(sent);
                }
            }
            Err(OpenError::HeaderListTooLarge { size, limit }) => {
                let failure = &StreamFailure::RequestTooLarge { size, limit };
                stream.break_off(failure.into());
            }
            Err(error) => {
                if !self.shared.gone.swap(true, Ordering::AcqRel) {
                    let reason = DrainReason::StreamIdsUsedUp;
                    let served = self.served;
                    (self.report)(TransportEvent::Draining { reason, served });
                }
                let failure = &StreamFailure::NotOpened {
                    peer: Arc::clone(&self.peer),
                    error,
                    goaway: self.goaway.clone(),
                };
                stream.break_off(failure.into());
            }
        }
    }

    fn sent(&self, sent: Result<(), SendError>) {
        match sent {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => {
                tracing::debug!(peer = %self.peer.remote, %error, "a message was not sent");
            }
        }
    }

    fn update_queued(&mut self, key: StreamKey) {
        let queued = self.link.core.queued(key);
        self.link.core.wake_when_below(key, SEND_QUOTA);
        if let Some(stream) = self.link.core.value_mut(key) {
            stream.set_queued(queued);
        }
    }

    /// Returns the end of the connection for this reason.
    fn disconnect(&self, reason: impl Into<DisconnectReason>) -> Disconnect {
        Disconnect::new(Arc::clone(&self.peer), reason, self.goaway.clone())
    }

    /// Ends all streams with the connection.
    fn end_streams(&mut self, end: &Disconnect) {
        let status = end.to_status();
        let lost = |delivery| StreamEnd::failed(status.clone(), delivery);
        self.is_over = true;
        self.shared.gone.store(true, Ordering::Release);
        for (_, stream) in self.link.core.values_mut() {
            stream.break_off(lost(Delivery::Possible));
        }
        // A post that was not sent can be sent on another connection.
        for ClientPost { stream, what } in self.shared.outbox.close() {
            if let ClientSend::Open(..) = what {
                stream.break_off(lost(Delivery::NotSent));
            }
        }
    }
}

impl ConnectionTask for Task {
    type Stream = Arc<NativeClientStream>;
    type Head = Arc<ReadResponse>;
    type Post = ClientPost;

    fn link(&mut self) -> &mut Link<Arc<NativeClientStream>, Arc<ReadResponse>> {
        &mut self.link
    }

    fn outbox(&self) -> &Outbox<ClientPost> {
        &self.shared.outbox
    }

    fn posts(&mut self) -> &mut Vec<ClientPost> {
        &mut self.posts
    }

    fn send(&mut self, ClientPost { stream, what }: ClientPost) {
        let key = match what {
            ClientSend::Open(head, message) => return self.open(stream, head, message),
            // A stream that could not be opened has been told.
            _ => match stream.key() {
                Some(key) => key,
                None => return,
            },
        };
        match what {
            ClientSend::Open(..) => {}
            ClientSend::Messages => {
                let (messages, ends, count) = stream.take_messages();
                let sent = self.link.core.send_data(key, messages, ends);
                self.link.count_sent(count, &sent);
                self.sent(sent);
                self.update_queued(key);
            }
            ClientSend::Reset(code) => self.link.core.reset(key, ErrorCode(code.0)),
            ClientSend::Reading => self.link.core.read(key, stream.take_reading()),
        }
    }

    fn has_unhandled(&self) -> bool {
        self.unhandled
    }

    #[inline]
    fn work(&mut self, turn: &Turn, cx: &mut Context<'_>) -> Result<bool, End> {
        if turn.read {
            self.shared.last_received.set(turn.now);
        }
        if !self.handle_events(turn.now, cx)? {
            // The output waits for the posts of the calls that run next.
            cx.waker().wake_by_ref();
            return Ok(false);
        }
        if self.link.waits_for_more(cx) {
            return Ok(false);
        }
        self.wake_keepalive(turn.now);
        Ok(true)
    }

    /// Handles the core's events. Leaves the rest to the next turn when the maximum number of calls
    /// has ended in this one.
    fn handle_events(&mut self, now: Instant, _: &mut Context<'_>) -> Result<bool, End> {
        let mut ended = 0;
        while let Some(event) = self.link.next_event(now)? {
            ended += usize::from(ends_stream(&event));
            self.handle(event);
            if ended == MAX_ENDED {
                self.unhandled = true;
                return Ok(false);
            }
        }
        self.unhandled = false;
        self.link
            .begin_direct_read(|stream, len| stream.take_buffer(len));
        Ok(true)
    }

    fn prepare_sleep(&mut self, _: Instant) -> Result<Option<Instant>, End> {
        self.shared
            .quota
            .set_waiting(self.link.core.queued_streams());
        let keepalive = self.keepalive.as_ref();
        Ok(keepalive.and_then(|keepalive| keepalive.connection.deadline()))
    }

    fn shrink(&mut self) {
        self.heads = RequestHeads::default();
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), End> {
        let Some(keepalive) = &mut self.keepalive else {
            return Ok(());
        };
        let has_streams = self.link.core.open_streams() > 0;
        let received = self.shared.last_received.at();
        match keepalive
            .connection
            .handle_timeout(now, received, has_streams)
        {
            ProbeStep::Wait => {}
            ProbeStep::Ping => self.link.keepalive_ping(),
            ProbeStep::Lost(unanswered) => return Err(Box::new(unanswered.into())),
        }
        Ok(())
    }
}

impl Drop for Task {
    /// Tells the streams, when the task panics or is dropped with its runtime, and publishes the last
    /// counts.
    fn drop(&mut self) {
        if !self.is_over {
            self.end_streams(&self.disconnect(Lost::now()));
        }
        self.link.publish_stats(self.shared.last_received.at());
    }
}
