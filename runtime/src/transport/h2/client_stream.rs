use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::Response;

use super::body::Body;
use super::connection_info::ConnectionInfo;
use super::error::stream_end;
use super::fields;
use super::sender::{Sender, closed};
use crate::lock::lock;
use crate::pieces::Pieces;
use crate::status::Status;
use crate::transport::{
    ClientStream, HeadersBlock, Incoming, IncomingHead, NoHead, ResetCode, Stream, StreamEnd,
    Trailers, Wanted,
};

/// How much of a body that is not gRPC goes into the status, as in grpc-go.
const MAX_FOREIGN_BODY: usize = 1024;

/// A client's stream over `h2`'s handles.
pub(super) struct H2ClientStream {
    receive: Mutex<Receiving>,
    send: Mutex<Sending>,
    /// What has opened it, which takes no other stream as long as this one waits for its turn.
    opener: Mutex<SendRequest<Bytes>>,
    connection: Arc<ConnectionInfo>,
}

/// ```text
///  Head ──gRPC headers──► Messages ──end of DATA──► Trailers ──► Ended
///   ├──other headers────► Foreign ───────────────────────────────▲
///   └──trailers-only, failure────────────────────────────────────┘
/// ```
enum Receiving {
    Head(ResponseFuture),
    Messages(Body),
    Trailers(Body),
    /// A response that is not gRPC: what to fail with, and the beginning of the body.
    Foreign(Status, Vec<u8>, Body),
    /// How it ended, until it has been asked for.
    Ended(Option<StreamEnd>),
}

enum Sending {
    Open(Sender),
    /// No message follows; the handle is kept to reset the stream with.
    HalfClosed(Sender),
    Ended,
}

impl H2ClientStream {
    pub(super) fn new(
        response: ResponseFuture,
        sender: Sender,
        half_closed: bool,
        opener: SendRequest<Bytes>,
        connection: Arc<ConnectionInfo>,
    ) -> Self {
        Self {
            receive: Mutex::new(Receiving::Head(response)),
            send: Mutex::new(if half_closed {
                Sending::HalfClosed(sender)
            } else {
                Sending::Open(sender)
            }),
            opener: Mutex::new(opener),
            connection,
        }
    }

    fn headers(&self, response: Response<RecvStream>) -> (Receiving, Result<IncomingHead, NoHead>) {
        let http_status = response.status().as_u16();
        let (parts, body) = response.into_parts();
        let parser = fields::parse_response(&parts.headers);
        match parser.headers(Some(http_status), body.is_end_stream()) {
            HeadersBlock::Head(head) => (Receiving::Messages(Body(body)), Ok(head)),
            HeadersBlock::TrailersOnly(trailers) => (self.trailers(trailers), Err(NoHead)),
            HeadersBlock::NotGrpc(status) => (
                Receiving::Foreign(status, Vec::new(), Body(body)),
                Err(NoHead),
            ),
            HeadersBlock::Malformed(status) => (self.malformed(status), Err(NoHead)),
        }
    }

    fn trailers(&self, trailers: Trailers) -> Receiving {
        self.stop_sending(if trailers.malformed {
            Reason::PROTOCOL_ERROR
        } else {
            Reason::NO_ERROR
        });
        Receiving::Ended(Some(StreamEnd::new(trailers.outcome)))
    }

    fn malformed(&self, status: Status) -> Receiving {
        self.reset(ResetCode::PROTOCOL_ERROR);
        Receiving::Ended(Some(StreamEnd::new(Err(status))))
    }

    fn failed(&self, error: &h2::Error) -> Receiving {
        *lock(&self.send) = Sending::Ended;
        Receiving::Ended(Some(stream_end(error, "client", Some(&self.connection))))
    }

    /// The server has ended the call: if it has not seen the end of ours, tell it that none comes.
    fn stop_sending(&self, reason: Reason) {
        let mut send = lock(&self.send);
        if let Sending::Open(sender) = &mut *send {
            sender.reset(reason);
        }
        *send = Sending::Ended;
    }

    /// Collects the beginning of a body that is not gRPC, then ends the stream.
    fn poll_foreign(
        &self,
        status: &Status,
        text: &mut Vec<u8>,
        body: &mut Body,
        cx: &mut Context<'_>,
    ) -> Poll<Receiving> {
        while text.len() < MAX_FOREIGN_BODY {
            // Whether the body ends or breaks off, what there is of it is shown.
            let Some(Ok(data)) = ready!(body.poll_data(cx)) else {
                break;
            };
            let room = MAX_FOREIGN_BODY - text.len();
            text.extend_from_slice(&data[..data.len().min(room)]);
        }
        let status = if text.is_empty() {
            status.clone()
        } else {
            let data = String::from_utf8_lossy(text);
            Status::new(
                status.code(),
                format!("{}; data: {data:?}", status.message()),
            )
        };
        Poll::Ready(self.malformed(status))
    }
}

impl Stream for H2ClientStream {
    fn poll_data(&self, cx: &mut Context<'_>, _wanted: Wanted) -> Poll<Incoming> {
        let mut receive = lock(&self.receive);
        loop {
            let next = match &mut *receive {
                // The head is asked for first; without it the response is no use.
                Receiving::Head(response) => match ready!(Pin::new(response).poll(cx)) {
                    Ok(response) => self.headers(response).0,
                    Err(error) => self.failed(&error),
                },
                Receiving::Messages(body) => match ready!(body.poll_data(cx)) {
                    Some(Ok(data)) => return Poll::Ready(Incoming::Data(data.into())),
                    Some(Err(error)) => self.failed(&error),
                    None => match std::mem::replace(&mut *receive, Receiving::Ended(None)) {
                        Receiving::Messages(body) => Receiving::Trailers(body),
                        other => other,
                    },
                },
                Receiving::Trailers(body) => match ready!(body.0.poll_trailers(cx)) {
                    Ok(Some(trailers)) => {
                        self.trailers(fields::parse_response(&trailers).trailers())
                    }
                    Ok(None) => self.malformed(Status::internal(
                        "the server closed the stream without sending trailers",
                    )),
                    Err(error) => self.failed(&error),
                },
                Receiving::Foreign(status, text, body) => {
                    ready!(self.poll_foreign(status, text, body, cx))
                }
                Receiving::Ended(end) => {
                    let end = end.take().unwrap_or_else(|| StreamEnd::new(Err(closed())));
                    return Poll::Ready(Incoming::End(end));
                }
            };
            *receive = next;
        }
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match &mut *lock(&self.send) {
            Sending::Open(sender) => sender.poll_ready(cx),
            Sending::HalfClosed(_) | Sending::Ended => Poll::Ready(Err(closed())),
        }
    }

    fn send_message(&self, message: Pieces) -> Result<(), Status> {
        match &mut *lock(&self.send) {
            Sending::Open(sender) => sender.send(message, false),
            Sending::HalfClosed(_) | Sending::Ended => Err(closed()),
        }
    }

    fn reset(&self, code: ResetCode) {
        let mut send = lock(&self.send);
        if let Sending::Open(sender) | Sending::HalfClosed(sender) = &mut *send {
            sender.reset(Reason::from(code.0));
        }
        *send = Sending::Ended;
    }
}

impl ClientStream for H2ClientStream {
    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<IncomingHead, NoHead>> {
        let mut receive = lock(&self.receive);
        let Receiving::Head(response) = &mut *receive else {
            return Poll::Ready(Err(NoHead));
        };
        let (next, head) = match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => self.headers(response),
            Err(error) => (self.failed(&error), Err(NoHead)),
        };
        *receive = next;
        Poll::Ready(head)
    }

    fn waits_for_its_turn(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        lock(&self.opener).poll_ready(&mut cx).is_pending()
    }

    fn send_last(&self, message: Pieces) -> Result<(), Status> {
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
        // An error says that nothing more can be sent, or that the stream has ended, in which case
        // whoever receives is told.
        let _ = self.send_last(Pieces::default());
    }
}
