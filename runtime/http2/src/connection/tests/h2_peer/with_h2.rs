//! Both roles of an exchange, on the h2 crate.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::io::DuplexStream;
use tokio::sync::{Notify, watch};

use super::received::{End, Received, Transcript, call_number};
use super::script::{Call, Exchange, Fields, Step, other};
use crate::Role;

/// A limit above any header list of a script. h2 also derives its limit of CONTINUATION frames from
/// it.
const LARGEST_LIST: u32 = 1 << 30;

/// Runs the client until the connection has closed.
pub(super) async fn client(exchange: Arc<Exchange>, io: DuplexStream) -> Transcript {
    let options = &exchange.client;
    let handshake = h2::client::Builder::new()
        .initial_max_send_streams(exchange.streams_at_first() as usize)
        .initial_window_size(options.stream_window)
        .initial_connection_window_size(options.connection_window)
        .max_frame_size(options.max_frame_size)
        .header_table_size(options.header_table_size)
        .max_header_list_size(LARGEST_LIST)
        .max_send_buffer_size(options.send_buffer)
        .handshake(io);
    let (requests, connection) = handshake.await.expect("a connection");
    let connection = tokio::spawn(connection);
    let mut transcript = Transcript::new();
    for wave in &exchange.waves {
        let mut calls = Vec::new();
        for Call { number, client, .. } in wave {
            // Each call needs a new handle: a used handle waits until its stream is opened, and
            // shares the waker of that stream's sender.
            let ready = requests.clone().ready().await;
            let mut requests = ready.expect("the server takes calls");
            let end_stream = client.steps[0] == Step::Head { end_stream: true };
            let (response, stream) = requests
                .send_request(request(&client.head), end_stream)
                .expect("a request");
            let stream = SendHalf::Stream(stream);
            let receiver = ReceiveHalf::Response(response);
            let exchange = exchange.clone();
            calls.push(tokio::spawn(run_call(exchange, *number, stream, receiver)));
        }
        for call in calls {
            transcript.extend([call.await.expect("a call")]);
        }
    }
    drop(requests);
    if let Err(error) = connection.await.expect("no panic") {
        assert!(is_closed_by_peer(&error), "{error}");
    }
    transcript
}

/// Runs the server until the connection has closed.
pub(super) async fn server(exchange: Arc<Exchange>, io: DuplexStream) -> Transcript {
    let options = &exchange.server;
    let mut builder = h2::server::Builder::new();
    if let Some(limit) = options.max_concurrent_streams {
        builder.max_concurrent_streams(limit);
    }
    let handshake = builder
        .initial_window_size(options.stream_window)
        .initial_connection_window_size(options.connection_window)
        .max_frame_size(options.max_frame_size)
        .header_table_size(options.header_table_size)
        .max_header_list_size(LARGEST_LIST)
        .max_send_buffer_size(options.send_buffer)
        .handshake(io);
    let mut connection = handshake.await.expect("a connection");
    let mut calls = Vec::new();
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_closed_by_peer(&error) => break,
            Err(error) => panic!("{error}"),
        };
        let (head, body) = request.into_parts();
        let head = request_fields(&head);
        let number = call_number(&head);
        if exchange.drains_at(number) {
            connection.graceful_shutdown();
        }
        let sender = SendHalf::Respond(respond);
        let receiver = ReceiveHalf::Request(head, body);
        let call = run_call(exchange.clone(), number, sender, receiver);
        calls.push(tokio::spawn(call));
    }
    let mut transcript = Transcript::new();
    for call in calls {
        transcript.extend([call.await.expect("a call")]);
    }
    transcript
}

/// Returns `true` if the other end closed while this end had something to write.
///
/// That is not an error at the end of an exchange, for example for a last WINDOW_UPDATE. If the
/// other end closed too early, the check of the transcripts fails.
fn is_closed_by_peer(error: &h2::Error) -> bool {
    error.is_io()
}

/// The sending half of a call.
enum SendHalf {
    /// A server before the response head.
    Respond(SendResponse<Bytes>),
    /// Any end after its head.
    Stream(SendStream<Bytes>),
}

/// The receiving half of a call.
enum ReceiveHalf {
    /// A client before the response head.
    Response(ResponseFuture),
    /// A server after the request head.
    Request(Fields, RecvStream),
}

/// Runs one end of one call.
async fn run_call(
    exchange: Arc<Exchange>,
    number: usize,
    sender: SendHalf,
    receiver: ReceiveHalf,
) -> (usize, Received) {
    let role = match receiver {
        ReceiveHalf::Response(_) => Role::Client,
        ReceiveHalf::Request(..) => Role::Server,
    };
    let (received, _) = watch::channel(Received::default());
    let left = Notify::new();
    let listening = async {
        tokio::select! {
            biased;
            () = receiver.listen(number, role, &received) => {}
            () = left.notified() => {}
        }
    };
    let call = exchange.call(number);
    tokio::join!(sender.run_steps(call, role, &received, &left), listening);
    (number, received.borrow().clone())
}

impl ReceiveHalf {
    async fn listen(self, number: usize, role: Role, received: &watch::Sender<Received>) {
        let result = self.receive(number, role, received).await;
        if let Err(error) = result {
            assert!(error.is_reset(), "{error}");
            if error.is_remote() {
                received.send_modify(|received| received.reset = error.reason().map(u32::from));
            }
        }
    }

    async fn receive(
        self,
        number: usize,
        role: Role,
        received: &watch::Sender<Received>,
    ) -> Result<(), h2::Error> {
        let (head, mut body) = match self {
            Self::Request(head, body) => (head, body),
            Self::Response(response) => {
                let (head, body) = response.await?.into_parts();
                let mut fields = vec![(":status".to_owned(), head.status.as_str().to_owned())];
                fields.extend(header_fields(&head.headers));
                (fields, body)
            }
        };
        received.send_modify(|received| received.head = Some(head));
        while let Some(data) = body.data().await {
            let data = data?;
            received.send_modify(|received| received.data(number, other(role), &data));
            body.flow_control().release_capacity(data.len())?;
        }
        let end = match body.trailers().await? {
            Some(trailers) => End::Trailers(header_fields(&trailers)),
            None => End::EndStream,
        };
        received.send_modify(|received| received.end = Some(end));
        Ok(())
    }
}

/// The error for a stream that the other end has reset or closed.
struct StreamEnded;

impl From<h2::Error> for StreamEnded {
    fn from(_: h2::Error) -> Self {
        Self
    }
}

impl SendHalf {
    /// Takes all steps, or those before a reset by the other end.
    async fn run_steps(
        mut self,
        call: &Call,
        role: Role,
        received: &watch::Sender<Received>,
        left: &Notify,
    ) {
        let mut sent = 0;
        for &step in &call.side(role).steps {
            match step {
                Step::Reset { code } => return self.reset(Reason::from(code)),
                // Dropping both halves makes h2 reset the stream.
                Step::Leave => return left.notify_one(),
                _ => {}
            }
            if self.take(step, call, role, sent, received).await.is_err() {
                break;
            }
            if let Step::Data { octets, .. } = step {
                sent += octets as u64;
            }
        }
        let ended = matches!(
            call.side(role).steps.last(),
            Some(
                Step::Trailers
                    | Step::Head { end_stream: true }
                    | Step::Data {
                        end_stream: true,
                        ..
                    }
            )
        );
        if !ended && let Ok(reason) = self.reset_by_peer().await {
            received.send_modify(|received| received.reset = Some(reason.into()));
        }
    }

    async fn take(
        &mut self,
        step: Step,
        call: &Call,
        role: Role,
        sent: u64,
        received: &watch::Sender<Received>,
    ) -> Result<(), StreamEnded> {
        match (step, &mut *self) {
            (Step::Head { end_stream }, Self::Respond(respond)) => {
                let stream = respond.send_response(response(&call.server.head), end_stream)?;
                *self = Self::Stream(stream);
            }
            // A client has already sent its head.
            (Step::Head { .. }, Self::Stream(_)) => {}
            (Step::Data { octets, end_stream }, Self::Stream(stream)) => {
                send(stream, call.content(role, sent, octets), end_stream).await?;
            }
            (Step::Trailers, Self::Stream(stream)) => {
                stream.send_trailers(header_map(&call.side(role).trailers))?;
            }
            (Step::Await { octets }, _) => {
                wait_for(received, |received| received.has(octets)).await?;
            }
            (Step::AwaitEnd, _) => wait_for(received, |received| received.end.is_some()).await?,
            (step, _) => panic!("{step:?} before the head"),
        }
        Ok(())
    }

    fn reset(&mut self, reason: Reason) {
        match self {
            Self::Respond(respond) => respond.send_reset(reason),
            Self::Stream(stream) => stream.send_reset(reason),
        }
    }

    async fn reset_by_peer(&mut self) -> Result<Reason, h2::Error> {
        poll_fn(|cx| match self {
            Self::Respond(respond) => respond.poll_reset(cx),
            Self::Stream(stream) => stream.poll_reset(cx),
        })
        .await
    }
}

/// Sends content within the flow-control windows.
async fn send(
    stream: &mut SendStream<Bytes>,
    mut content: Bytes,
    end_stream: bool,
) -> Result<(), StreamEnded> {
    while !content.is_empty() {
        stream.reserve_capacity(content.len());
        let capacity = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let capacity = capacity.ok_or(StreamEnded)??;
        let part = content.split_to(capacity.min(content.len()));
        stream.send_data(part, end_stream && content.is_empty())?;
        if content.is_empty() {
            return Ok(());
        }
    }
    stream.send_data(content, end_stream)?;
    Ok(())
}

/// Waits until a condition on the received data holds. Fails if the other end resets the stream.
async fn wait_for(
    received: &watch::Sender<Received>,
    mut condition: impl FnMut(&Received) -> bool,
) -> Result<(), StreamEnded> {
    let mut changes = received.subscribe();
    let waited = changes.wait_for(|received| condition(received) || received.reset.is_some());
    let received = waited.await.map_err(|_| StreamEnded)?;
    if received.reset.is_some() {
        return Err(StreamEnded);
    }
    Ok(())
}

fn request(fields: &Fields) -> Request<()> {
    let pseudo = |name| value(fields, name);
    let (scheme, authority) = (pseudo(":scheme"), pseudo(":authority"));
    let mut request = Request::new(());
    *request.method_mut() = pseudo(":method").parse().expect("a method");
    let uri = format!("{scheme}://{authority}{}", pseudo(":path"));
    *request.uri_mut() = uri.parse().expect("a URI");
    *request.headers_mut() = header_map(fields);
    request
}

fn response(fields: &Fields) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = value(fields, ":status").parse().expect("a status");
    *response.headers_mut() = header_map(fields);
    response
}

fn value<'f>(fields: &'f Fields, name: &str) -> &'f str {
    let field = fields.iter().find(|(other, _)| other == name);
    &field.expect("it has all of them").1
}

/// Returns the fields without the pseudo-header fields.
fn header_map(fields: &Fields) -> HeaderMap {
    let regular = fields.iter().filter(|(name, _)| !name.starts_with(':'));
    let header = |(name, value): &(String, String)| {
        let name: HeaderName = name.parse().expect("a name");
        (
            name,
            HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
        )
    };
    let mut map = HeaderMap::new();
    for (name, value) in regular.map(header) {
        map.append(name, value);
    }
    map
}

fn header_fields(map: &HeaderMap) -> Fields {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let fields = map.iter();
    let mut fields: Fields = fields
        .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
        .collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

fn request_fields(head: &http::request::Parts) -> Fields {
    let uri = &head.uri;
    let pseudo = [
        (
            ":authority",
            uri.authority().map_or("", |authority| authority.as_str()),
        ),
        (":method", head.method.as_str()),
        (
            ":path",
            uri.path_and_query().map_or("", |path| path.as_str()),
        ),
        (":scheme", uri.scheme_str().unwrap_or_default()),
    ];
    let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value.to_owned()));
    pseudo
        .into_iter()
        .chain(header_fields(&head.headers))
        .collect()
}
