//! Expectations of gRPC's own units: messages, trailers, whole requests and responses.
//!
//! A sender may cut messages into any number of DATA frames, so each expectation reads as many as
//! it needs. Any other frame between them fails the test. In strict mode WINDOW_UPDATEs do too, so
//! these expectations need [`WirePeer::housekeeping`].

use std::collections::HashMap;
use std::panic::Location;

use bytes::BytesMut;

use crate::frame::{Data, Frame, Headers};
use crate::peer::{Event, WirePeer};

use super::{GrpcMessage, Trailers};

/// The octets of incomplete messages, by stream.
#[derive(Default)]
pub(crate) struct Inbox(HashMap<u32, Body>);

/// The content of the DATA frames of one stream.
#[derive(Default)]
struct Body {
    octets: BytesMut,
    ended: bool,
}

impl Inbox {
    fn body(&mut self, stream_id: u32) -> &mut Body {
        self.0.entry(stream_id).or_default()
    }

    fn take_in(&mut self, data: &Data) {
        let body = self.body(data.stream_id);
        body.octets.extend_from_slice(&data.payload);
        body.ended |= data.end_stream;
    }
}

/// A request, read up to its END_STREAM.
#[derive(Clone, Debug, PartialEq)]
pub struct GrpcRequest {
    /// The request head.
    pub headers: Headers,
    /// The messages.
    pub messages: Vec<GrpcMessage>,
}

/// A response, read up to its trailers.
#[derive(Clone, Debug, PartialEq)]
pub struct GrpcResponse {
    /// The response head; the same block as the trailers if the response is trailers-only.
    pub headers: Headers,
    /// The messages.
    pub messages: Vec<GrpcMessage>,
    /// The status.
    pub trailers: Trailers,
}

impl WirePeer {
    /// Expects one message on the stream, in as many DATA frames as it takes.
    #[track_caller]
    pub fn expect_message(&mut self, stream_id: u32) -> impl Future<Output = GrpcMessage> {
        let at = Location::caller();
        async move {
            let what = format!("a message on stream {stream_id}");
            loop {
                let body = self.inbox.body(stream_id);
                if let Some(message) = GrpcMessage::take(&mut body.octets) {
                    return message;
                }
                if body.ended {
                    self.fail(at, &what, &"END_STREAM has come");
                }
                self.take_data(at, stream_id, &what).await;
            }
        }
    }

    /// Expects END_STREAM on DATA after the last message: on its frame or on an empty one.
    #[track_caller]
    pub fn expect_half_close(&mut self, stream_id: u32) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let what = format!("END_STREAM after the last message on stream {stream_id}");
            while !self.inbox.body(stream_id).ended {
                self.take_data(at, stream_id, &what).await;
            }
            let left = self.inbox.body(stream_id).octets.len();
            if left > 0 {
                self.fail(at, &what, &format!("{left} octets of messages are left"));
            }
        }
    }

    /// Expects trailers: a header block with END_STREAM and a readable status. No message may be
    /// left that [`expect_message`](Self::expect_message) has read along and not handed out.
    #[track_caller]
    pub fn expect_trailers(&mut self, stream_id: u32) -> impl Future<Output = Trailers> {
        let at = Location::caller();
        async move {
            let what = format!("trailers on stream {stream_id}");
            let left = self.inbox.body(stream_id).octets.len();
            if left > 0 {
                self.fail(at, &what, &format!("{left} octets of messages"));
            }
            match self.next_event().await {
                Event::Frame(Frame::Headers(headers)) if headers.stream_id == stream_id => {
                    self.read_trailers(at, &headers)
                }
                other => self.fail(at, &what, &other),
            }
        }
    }

    /// Expects a whole request: a head, messages, END_STREAM.
    #[track_caller]
    pub fn expect_request(&mut self, stream_id: u32) -> impl Future<Output = GrpcRequest> {
        let at = Location::caller();
        async move {
            let headers = self.take_headers(at, stream_id, "a request").await;
            self.inbox.body(stream_id).ended = headers.end_stream;
            while !self.inbox.body(stream_id).ended {
                self.take_data(at, stream_id, "the rest of the request")
                    .await;
            }
            GrpcRequest {
                headers,
                messages: self.drain_messages(at, stream_id),
            }
        }
    }

    /// Expects a whole response: a head, messages, trailers; or trailers alone.
    #[track_caller]
    pub fn expect_response(&mut self, stream_id: u32) -> impl Future<Output = GrpcResponse> {
        let at = Location::caller();
        async move {
            let headers = self.take_headers(at, stream_id, "a response").await;
            if headers.end_stream {
                let trailers = self.read_trailers(at, &headers);
                return GrpcResponse {
                    headers,
                    messages: Vec::new(),
                    trailers,
                };
            }
            let trailers = loop {
                match self.next_event().await {
                    Event::Frame(Frame::Data(data))
                        if data.stream_id == stream_id && !data.end_stream =>
                    {
                        self.inbox.take_in(&data);
                    }
                    Event::Frame(Frame::Headers(trailers)) if trailers.stream_id == stream_id => {
                        break self.read_trailers(at, &trailers);
                    }
                    other => {
                        let what = format!("messages or trailers on stream {stream_id}");
                        self.fail(at, &what, &other)
                    }
                }
            };
            GrpcResponse {
                headers,
                messages: self.drain_messages(at, stream_id),
                trailers,
            }
        }
    }

    async fn take_headers(&mut self, at: &Location<'_>, stream_id: u32, what: &str) -> Headers {
        match self.next_event().await {
            Event::Frame(Frame::Headers(headers)) if headers.stream_id == stream_id => headers,
            other => self.fail(at, &format!("{what} on stream {stream_id}"), &other),
        }
    }

    async fn take_data(&mut self, at: &Location<'_>, stream_id: u32, what: &str) {
        match self.next_event().await {
            Event::Frame(Frame::Data(data)) if data.stream_id == stream_id => {
                self.inbox.take_in(&data);
            }
            other => self.fail(at, what, &other),
        }
    }

    fn read_trailers(&self, at: &Location<'_>, headers: &Headers) -> Trailers {
        let what = format!("trailers on stream {}", headers.stream_id);
        if !headers.end_stream {
            self.fail(at, &what, &"a header block without END_STREAM");
        }
        Trailers::parse(headers.fields()).unwrap_or_else(|why| self.fail(at, &what, &why))
    }

    fn drain_messages(&mut self, at: &Location<'_>, stream_id: u32) -> Vec<GrpcMessage> {
        let mut body = self.inbox.0.remove(&stream_id).unwrap_or_default();
        let messages = std::iter::from_fn(|| GrpcMessage::take(&mut body.octets)).collect();
        if !body.octets.is_empty() {
            let instead = format!("{} octets of a truncated one", body.octets.len());
            self.fail(
                at,
                &format!("whole messages on stream {stream_id}"),
                &instead,
            );
        }
        messages
    }
}
