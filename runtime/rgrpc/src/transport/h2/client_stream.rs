//! A client's stream over `h2`. The call uses it from any task.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::Response;
use rgrpc_http2::BytesQueue;

use super::body::Body;
use super::connection_info::ConnectionInfo;
use super::error::stream_end;
use super::fields;
use super::piece::Piece;
use super::sender::{Sender, closed};
use crate::lock::lock;
use crate::side::Side;
use crate::status::Status;
use crate::transport::statistics::CountedStream;
use crate::transport::{
    ClientTransportStream, HeadersBlock, Incoming, IncomingHead, NoHead, NotGrpc, ReadDemand,
    ResetCode, ResponseError, Stream, StreamEnd, Trailers, ended_well,
};

/// A client's stream over `h2`'s handles.
pub(super) struct H2ClientStream {
    receive: Mutex<Receive>,
    send: Mutex<Sending>,
    /// The handle that opened the stream. It opens no other stream while this one waits for its
    /// turn.
    opener: Mutex<SendRequest<Piece>>,
    connection: Arc<ConnectionInfo>,
    counted: CountedStream,
}

/// The receiving side of a stream.
struct Receive {
    stage: Receiving,
    /// The head and the DATA that were taken before the call asked for them. A message could not be
    /// sent any more, and the end, which has the reason, comes after them. They are what `h2` had.
    head: Option<IncomingHead>,
    ahead: VecDeque<Bytes>,
    /// The outcome of the call, once it is known.
    outcome: Option<Result<(), Status>>,
    /// The waker of the receiver.
    waker: Option<Waker>,
}

impl Receive {
    /// Stores the waker of the current task, which is woken even if something else was polled in
    /// between.
    fn remember(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
    }

    /// Returns the outcome of the call, if it has ended.
    fn outcome(&self) -> Option<Result<(), &Status>> {
        match (&self.outcome, &self.stage) {
            (Some(Ok(())), _) => Some(Ok(())),
            (Some(Err(status)), _) => Some(Err(status)),
            (None, Receiving::Ended(Some(end))) => Some(end.outcome.as_ref().map(|_| ())),
            (None, _) => None,
        }
    }
}

/// ```text
///  Head ──gRPC headers──► Messages ──end of DATA──► Trailers ──► Ended
///   ├──other headers────► NotGrpc ───────────────────────────────▲
///   └──trailers-only, failure────────────────────────────────────┘
/// ```
enum Receiving {
    Head(ResponseFuture),
    Messages(Body),
    Trailers(Body),
    /// A response that is not gRPC, whose body is shown.
    NotGrpc(NotGrpc, Body),
    /// The end of receiving; `None` once it was taken.
    Ended(Option<StreamEnd>),
}

enum Sending {
    Open(Sender),
    /// No message follows. The handle is kept for a reset of the stream.
    HalfClosed(Sender),
    Ended,
}

impl H2ClientStream {
    pub(super) fn new(
        response: ResponseFuture,
        sender: Sender,
        half_closed: bool,
        opener: SendRequest<Piece>,
        connection: Arc<ConnectionInfo>,
        counted: CountedStream,
    ) -> Self {
        Self {
            receive: Mutex::new(Receive {
                stage: Receiving::Head(response),
                head: None,
                ahead: VecDeque::new(),
                outcome: None,
                waker: None,
            }),
            send: Mutex::new(if half_closed {
                Sending::HalfClosed(sender)
            } else {
                Sending::Open(sender)
            }),
            opener: Mutex::new(opener),
            connection,
            counted,
        }
    }

    fn headers(&self, response: Response<RecvStream>) -> (Receiving, Result<IncomingHead, NoHead>) {
        let http_status = response.status().as_u16();
        let (parts, body) = response.into_parts();
        let parser = fields::parse_response(&parts.headers);
        match parser.headers(Some(http_status), body.is_end_stream()) {
            HeadersBlock::Head(head) => (Receiving::Messages(Body(body)), Ok(head)),
            HeadersBlock::TrailersOnly(trailers) => (self.trailers(trailers), Err(NoHead)),
            HeadersBlock::NotGrpc(response) => {
                (Receiving::NotGrpc(response, Body(body)), Err(NoHead))
            }
            HeadersBlock::Malformed(error) => (self.malformed(&error), Err(NoHead)),
        }
    }

    fn trailers(&self, trailers: Trailers) -> Receiving {
        self.counted.complete(trailers.outcome.is_ok());
        self.stop_sending(if trailers.malformed {
            Reason::PROTOCOL_ERROR
        } else {
            Reason::NO_ERROR
        });
        Receiving::Ended(Some(StreamEnd::new(trailers.outcome)))
    }

    fn malformed(&self, error: &ResponseError) -> Receiving {
        self.reset(ResetCode::PROTOCOL_ERROR);
        Receiving::Ended(Some(StreamEnd::new(Err(error.to_status()))))
    }

    fn failed(&self, error: &h2::Error) -> Receiving {
        *lock(&self.send) = Sending::Ended;
        Receiving::Ended(Some(stream_end(
            error,
            Side::Client,
            Some(&self.connection),
        )))
    }

    /// Stops sending after the server has ended the call. If the server has not seen the end of
    /// sending, it is told that no message follows.
    fn stop_sending(&self, reason: Reason) {
        let mut send = lock(&self.send);
        if let Sending::Open(sender) = &mut *send {
            sender.reset(reason);
        }
        *send = Sending::Ended;
    }

    /// Collects the beginning of a body that is not gRPC, then ends the stream.
    fn poll_not_grpc(
        &self,
        response: &mut NotGrpc,
        body: &mut Body,
        cx: &mut Context<'_>,
    ) -> Poll<Receiving> {
        // The available part of the body is shown, whether the body ends or fails.
        while let Some(Ok(data)) = ready!(body.poll_data(cx)) {
            if response.push(&data) {
                break;
            }
        }
        let error = ResponseError::NotGrpc(response.clone());
        Poll::Ready(self.malformed(&error))
    }

    /// Receives the next DATA; `None` when the stage is [`Receiving::Ended`].
    fn poll_stage(&self, stage: &mut Receiving, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let next = match &mut *stage {
                // The call asks for the head first. Without it the response is not used.
                Receiving::Head(response) => match ready!(Pin::new(response).poll(cx)) {
                    Ok(response) => self.headers(response).0,
                    Err(error) => self.failed(&error),
                },
                Receiving::Messages(body) => match ready!(body.poll_data(cx)) {
                    Some(Ok(data)) => return Poll::Ready(Some(data)),
                    Some(Err(error)) => self.failed(&error),
                    None => match std::mem::replace(stage, Receiving::Ended(None)) {
                        Receiving::Messages(body) => Receiving::Trailers(body),
                        other => other,
                    },
                },
                Receiving::Trailers(body) => match ready!(body.0.poll_trailers(cx)) {
                    Ok(Some(trailers)) => {
                        self.trailers(fields::parse_response(&trailers).trailers())
                    }
                    Ok(None) => self.malformed(&ResponseError::NoTrailers),
                    Err(error) => self.failed(&error),
                },
                Receiving::NotGrpc(response, body) => {
                    ready!(self.poll_not_grpc(response, body, cx))
                }
                Receiving::Ended(_) => return Poll::Ready(None),
            };
            *stage = next;
        }
    }

    /// Returns the status of a message that is sent after the server has ended the call. The caller
    /// does not hold the lock on sending.
    fn why_ended(&self) -> Status {
        let mut receive = lock(&self.receive);
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match receive.outcome() {
                Some(Ok(())) => return ended_well(),
                Some(Err(status)) => return status.clone(),
                None => {}
            }
            if let Receiving::Head(response) = &mut receive.stage {
                let (next, head) = match Pin::new(response).poll(&mut cx) {
                    Poll::Ready(Ok(response)) => self.headers(response),
                    Poll::Ready(Err(error)) => (self.failed(&error), Err(NoHead)),
                    Poll::Pending => break,
                };
                receive.stage = next;
                receive.head = head.ok();
                continue;
            }
            match self.poll_stage(&mut receive.stage, &mut cx) {
                Poll::Ready(Some(data)) => receive.ahead.push_back(data),
                Poll::Ready(None) if receive.outcome().is_some() => {}
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        // `h2` has dropped the waker of the receiving half meanwhile.
        let waker = receive.waker.take();
        drop(receive);
        if let Some(waker) = waker {
            waker.wake();
        }
        closed()
    }
}

impl Stream for H2ClientStream {
    fn poll_data(&self, cx: &mut Context<'_>, _read_demand: ReadDemand) -> Poll<Incoming> {
        let mut receive = lock(&self.receive);
        receive.remember(cx);
        if let Some(data) = receive.ahead.pop_front() {
            return Poll::Ready(Incoming::Data(data.into()));
        }
        if let Some(data) = ready!(self.poll_stage(&mut receive.stage, cx)) {
            return Poll::Ready(Incoming::Data(data.into()));
        }
        let end = match &mut receive.stage {
            Receiving::Ended(end) => end.take(),
            _ => None,
        };
        let end = end.unwrap_or_else(|| StreamEnd::new(Err(closed())));
        receive.outcome = Some(end.outcome.as_ref().map(|_| ()).map_err(Clone::clone));
        Poll::Ready(Incoming::End(end))
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let ready = match &mut *lock(&self.send) {
            Sending::Open(sender) => ready!(sender.poll_ready(cx)),
            Sending::HalfClosed(_) | Sending::Ended => Err(closed()),
        };
        Poll::Ready(ready.map_err(|_| self.why_ended()))
    }

    fn send_message(&self, message: BytesQueue) -> Result<(), Status> {
        let sent = match &mut *lock(&self.send) {
            Sending::Open(sender) => sender.send(message, false),
            Sending::HalfClosed(_) | Sending::Ended => Err(closed()),
        };
        sent.map_err(|_| self.why_ended())
    }

    fn reset(&self, code: ResetCode) {
        let mut send = lock(&self.send);
        if let Sending::Open(sender) | Sending::HalfClosed(sender) = &mut *send {
            sender.reset(Reason::from(code.0));
        }
        *send = Sending::Ended;
    }
}

impl ClientTransportStream for H2ClientStream {
    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        let mut receive = lock(&self.receive);
        receive.remember(cx);
        if let Some(head) = receive.head.take() {
            return Poll::Ready(Ok(head));
        }
        let Receiving::Head(response) = &mut receive.stage else {
            return Poll::Ready(Err(NoHead));
        };
        let (next, head) = match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => self.headers(response),
            Err(error) => (self.failed(&error), Err(NoHead)),
        };
        receive.stage = next;
        Poll::Ready(head)
    }

    fn waits_for_its_turn(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        lock(&self.opener).poll_ready(&mut cx).is_pending()
    }

    fn send_last(&self, message: BytesQueue) -> Result<(), Status> {
        let mut send = lock(&self.send);
        match std::mem::replace(&mut *send, Sending::Ended) {
            Sending::Open(mut sender) => {
                let sent = sender.send(message, true);
                *send = Sending::HalfClosed(sender);
                sent
            }
            other => {
                *send = other;
                Err(closed())
            }
        }
    }

    fn half_close(&self) {
        // An error means that nothing more can be sent, or that the stream has ended. The receiving
        // half gets the status.
        let _ = self.send_last(BytesQueue::default());
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tokio::io::duplex;

    use super::*;
    use crate::io::{Address, Peer};
    use crate::transport::ConnectionRegistry;
    use crate::transport::checked_waker::{CheckedWakes, is_locked};

    /// A stream to a server that does not answer.
    async fn stream() -> H2ClientStream {
        let (ours, theirs) = duplex(64 * 1024);
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(theirs).await.expect("a client");
            let _request = connection.accept().await;
            std::future::pending::<()>().await;
        });
        let client = h2::client::Builder::new().handshake::<_, Piece>(ours);
        let (opener, connection) = client.await.expect("a server");
        tokio::spawn(connection);
        let mut opener = opener.ready().await.expect("open");
        let request = Request::post("http://pipe/s/m")
            .body(())
            .expect("a request");
        let (response, stream) = opener.send_request(request, false).expect("open");
        let peer = Arc::new(Peer::new(Address::Pipe, Address::Pipe));
        let sender = Sender::new(stream, Side::Client, None);
        let registration =
            Arc::new(ConnectionRegistry::default()).register(Side::Client, Arc::clone(&peer));
        let counted = CountedStream::begin(registration.stats());
        let connection = Arc::new(ConnectionInfo::new(peer));
        H2ClientStream::new(response, sender, false, opener, connection, counted)
    }

    #[tokio::test]
    async fn a_receiver_whose_waker_a_failed_send_has_dropped_is_woken_without_the_lock() {
        let stream = Arc::new(stream().await);
        let wakes = CheckedWakes::new({
            let stream = Arc::clone(&stream);
            move || is_locked(&stream.receive) || is_locked(&stream.send)
        });
        let waker = wakes.waker();
        let cx = &mut Context::from_waker(&waker);
        assert!(stream.poll_head(cx).is_pending());
        stream.half_close();
        stream
            .send_message(Bytes::from_static(b"late").into())
            .expect_err("half-closed");
        assert_eq!(wakes.take(), (1, 0));
    }
}
