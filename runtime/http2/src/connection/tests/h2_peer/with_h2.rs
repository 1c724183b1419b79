//! Either end of an exchange on the h2 crate.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::io::DuplexStream;
use tokio::sync::{Notify, watch};

use super::heard::{End, Heard, Transcript, call_number};
use super::script::{Call, Exchange, Fields, Step, other};
use crate::Role;

/// More than any header list of a script: from it, and from the largest frame, h2 also concludes
/// how many CONTINUATION frames are too many.
const LARGEST_LIST: u32 = 1 << 30;

/// Plays the client, until the connection has ended.
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
            // A handle that has made a request waits for its stream to be opened, and that with the
            // waker that the stream sends with. A new handle waits for nothing.
            let ready = requests.clone().ready().await;
            let mut requests = ready.expect("the server takes calls");
            let end_stream = client.steps[0] == Step::Head { end_stream: true };
            let (response, stream) = requests
                .send_request(request(&client.head), end_stream)
                .expect("a request");
            let stream = Speaker::Stream(stream);
            let listener = Listener::Response(response);
            let exchange = exchange.clone();
            calls.push(tokio::spawn(converse(exchange, *number, stream, listener)));
        }
        for call in calls {
            transcript.extend([call.await.expect("a call")]);
        }
    }
    drop(requests);
    if let Err(error) = connection.await.expect("no panic") {
        assert!(is_cut_off(&error), "{error}");
    }
    transcript
}

/// Plays the server, until the connection has ended.
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
            Err(error) if is_cut_off(&error) => break,
            Err(error) => panic!("{error}"),
        };
        let (head, body) = request.into_parts();
        let head = request_fields(&head);
        let number = call_number(&head);
        if exchange.drains_at(number) {
            connection.graceful_shutdown();
        }
        let speaker = Speaker::Respond(respond);
        let listener = Listener::Request(head, body);
        let call = converse(exchange.clone(), number, speaker, listener);
        calls.push(tokio::spawn(call));
    }
    let mut transcript = Transcript::new();
    for call in calls {
        transcript.extend([call.await.expect("a call")]);
    }
    transcript
}

/// Whether the other end has closed while this one had something to write. It may, when all is
/// said: a WINDOW_UPDATE, say, does not matter then. If it did so too early, the transcripts tell.
fn is_cut_off(error: &h2::Error) -> bool {
    error.is_io()
}

/// What an end sends with.
enum Speaker {
    /// A server that has not answered.
    Respond(SendResponse<Bytes>),
    Stream(SendStream<Bytes>),
}

/// What an end hears with.
enum Listener {
    /// A client waits for the response.
    Response(ResponseFuture),
    /// A server has the request's head.
    Request(Fields, RecvStream),
}

/// Plays one end of one call.
async fn converse(
    exchange: Arc<Exchange>,
    number: usize,
    speaker: Speaker,
    listener: Listener,
) -> (usize, Heard) {
    let role = match listener {
        Listener::Response(_) => Role::Client,
        Listener::Request(..) => Role::Server,
    };
    let (heard, _) = watch::channel(Heard::default());
    let left = Notify::new();
    let listening = async {
        tokio::select! {
            biased;
            () = listener.listen(number, role, &heard) => {}
            () = left.notified() => {}
        }
    };
    let call = exchange.call(number);
    tokio::join!(speaker.speak(call, role, &heard, &left), listening);
    (number, heard.borrow().clone())
}

impl Listener {
    async fn listen(self, number: usize, role: Role, heard: &watch::Sender<Heard>) {
        let received = self.receive(number, role, heard).await;
        if let Err(error) = received {
            assert!(error.is_reset(), "{error}");
            if error.is_remote() {
                heard.send_modify(|heard| heard.reset = error.reason().map(u32::from));
            }
        }
    }

    async fn receive(
        self,
        number: usize,
        role: Role,
        heard: &watch::Sender<Heard>,
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
        heard.send_modify(|heard| heard.head = Some(head));
        while let Some(data) = body.data().await {
            let data = data?;
            heard.send_modify(|heard| heard.data(number, other(role), &data));
            body.flow_control().release_capacity(data.len())?;
        }
        let end = match body.trailers().await? {
            Some(trailers) => End::Trailers(header_fields(&trailers)),
            None => End::EndStream,
        };
        heard.send_modify(|heard| heard.end = Some(end));
        Ok(())
    }
}

/// The other end has reset the stream, or closed it.
struct Over;

impl From<h2::Error> for Over {
    fn from(_: h2::Error) -> Self {
        Self
    }
}

impl Speaker {
    /// Takes all steps, or those that can be taken until the other end resets.
    async fn speak(mut self, call: &Call, role: Role, heard: &watch::Sender<Heard>, left: &Notify) {
        let mut sent = 0;
        for &step in &call.side(role).steps {
            match step {
                Step::Reset { code } => return self.reset(Reason::from(code)),
                // Whoever drops both halves wants no more.
                Step::Leave => return left.notify_one(),
                _ => {}
            }
            if self.take(step, call, role, sent, heard).await.is_err() {
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
            heard.send_modify(|heard| heard.reset = Some(reason.into()));
        }
    }

    async fn take(
        &mut self,
        step: Step,
        call: &Call,
        role: Role,
        sent: u64,
        heard: &watch::Sender<Heard>,
    ) -> Result<(), Over> {
        match (step, &mut *self) {
            (Step::Head { end_stream }, Self::Respond(respond)) => {
                let stream = respond.send_response(response(&call.server.head), end_stream)?;
                *self = Self::Stream(stream);
            }
            // The client's is sent.
            (Step::Head { .. }, Self::Stream(_)) => {}
            (Step::Data { octets, end_stream }, Self::Stream(stream)) => {
                send(stream, call.content(role, sent, octets), end_stream).await?;
            }
            (Step::Trailers, Self::Stream(stream)) => {
                stream.send_trailers(header_map(&call.side(role).trailers))?;
            }
            (Step::Await { octets }, _) => {
                wait_for(heard, |heard| heard.has(octets)).await?;
            }
            (Step::AwaitEnd, _) => wait_for(heard, |heard| heard.end.is_some()).await?,
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

/// Sends content as the windows permit.
async fn send(
    stream: &mut SendStream<Bytes>,
    mut content: Bytes,
    end_stream: bool,
) -> Result<(), Over> {
    while !content.is_empty() {
        stream.reserve_capacity(content.len());
        let capacity = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let capacity = capacity.ok_or(Over)??;
        let part = content.split_to(capacity.min(content.len()));
        stream.send_data(part, end_stream && content.is_empty())?;
        if content.is_empty() {
            return Ok(());
        }
    }
    stream.send_data(content, end_stream)?;
    Ok(())
}

/// Waits until an end has heard something, or the other end has reset the stream.
async fn wait_for(
    heard: &watch::Sender<Heard>,
    mut what: impl FnMut(&Heard) -> bool,
) -> Result<(), Over> {
    let mut changes = heard.subscribe();
    let waited = changes.wait_for(|heard| what(heard) || heard.reset.is_some());
    let heard = waited.await.map_err(|_| Over)?;
    if heard.reset.is_some() {
        return Err(Over);
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

/// The fields that are no pseudo-header fields.
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
