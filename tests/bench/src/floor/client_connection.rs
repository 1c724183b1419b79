//! A connection of the floor's client: it keeps so many calls open, each a loop of its own.
//!
//! A stream's window is not looked at: a message is small, and the server gives its window back
//! before half of it is used. The connection's window is, for all calls share it.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::frame::{self, Frame};
use super::header_block::RequestBlocks;
use super::message;
use super::server_connection::write_block;
use super::settings::{self, PeerSettings, ReceiveWindow};
use crate::flags::Mode;
use crate::latency::Latencies;
use crate::proto::grpc::testing::{SimpleRequest, SimpleResponse};

/// The server's path for each mode.
const fn path(mode: Mode) -> &'static str {
    match mode {
        Mode::Unary => "/grpc.testing.BenchmarkService/UnaryCall",
        Mode::Stream => "/grpc.testing.BenchmarkService/StreamingCall",
        Mode::Push => "/grpc.testing.BenchmarkService/StreamingFromServer",
    }
}

#[derive(Debug)]
pub(crate) struct ClientConnection {
    mode: Mode,
    request: SimpleRequest,
    blocks: RequestBlocks,
    peer: PeerSettings,
    settings_seen: bool,
    window: i64,
    received: ReceiveWindow,
    /// The intended number of loops.
    streams: usize,
    next_id: u32,
    /// The stream of the first of `calls`; each further one is two higher.
    first_id: u32,
    calls: VecDeque<Call>,
    /// Streams whose next request waits for the connection's window; 0 is a new stream.
    blocked: VecDeque<u32>,
    framed: Vec<u8>,
}

/// ```text
///  Open ──trailer──► Ended
/// ```
/// The ended ones are forgotten in the order in which they were opened.
#[derive(Clone, Copy, Debug)]
enum Call {
    Open { begun: Instant, responses: u64 },
    Ended,
}

impl ClientConnection {
    /// A connection that will have so many loops; they begin with the server's SETTINGS.
    pub(crate) fn new(
        mode: Mode,
        streams: usize,
        request: &SimpleRequest,
        authority: &str,
        out: &mut Vec<u8>,
    ) -> Self {
        out.extend_from_slice(frame::PREFACE);
        settings::write_own(out);
        Self {
            mode,
            request: request.clone(),
            blocks: RequestBlocks::new(authority, path(mode)),
            peer: PeerSettings::default(),
            settings_seen: false,
            window: PeerSettings::default().initial_window,
            received: ReceiveWindow::default(),
            streams,
            next_id: 1,
            first_id: 1,
            calls: VecDeque::new(),
            blocked: VecDeque::new(),
            framed: Vec::new(),
        }
    }

    /// Handles what was read at `now`. Returns how much of it.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        now: Instant,
        latencies: &mut Latencies,
        out: &mut Vec<u8>,
    ) -> Result<usize> {
        let mut rest = bytes;
        while let Some((frame, after)) = Frame::split(rest)? {
            self.handle(frame, now, latencies, out)?;
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    }

    fn handle(
        &mut self,
        frame: Frame<'_>,
        now: Instant,
        latencies: &mut Latencies,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match frame.kind {
            frame::DATA => {
                ensure!(
                    !frame.has(frame::PADDED),
                    "a padded frame, which the floor does not handle"
                );
                self.received.receive(frame.payload.len(), out);
                self.data(frame, now, latencies, out)
            }
            frame::HEADERS if frame.has(frame::END_STREAM) => {
                self.ended(frame.stream, now, latencies, out)
            }
            frame::SETTINGS if !frame.has(frame::ACK) => {
                self.peer.apply(frame.payload)?;
                frame::write(out, frame::SETTINGS, frame::ACK, 0, &[]);
                if !mem::replace(&mut self.settings_seen, true) {
                    self.begin_all(now, out)?;
                }
                Ok(())
            }
            frame::PING if !frame.has(frame::ACK) => {
                frame::write(out, frame::PING, frame::ACK, 0, frame.payload);
                Ok(())
            }
            frame::WINDOW_UPDATE if frame.stream == 0 => {
                self.window += frame::window_update(frame.payload)?;
                for _ in 0..self.blocked.len() {
                    if let Some(stream) = self.blocked.pop_front() {
                        self.request(stream, now, out)?;
                    }
                }
                Ok(())
            }
            frame::RST_STREAM => bail!("the server has reset stream {}", frame.stream),
            frame::GOAWAY => bail!("the server goes away"),
            _ => Ok(()),
        }
    }

    fn begin_all(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<()> {
        ensure!(
            self.peer.max_concurrent_streams as usize >= self.streams,
            "the server allows only {} streams",
            self.peer.max_concurrent_streams
        );
        for _ in 0..self.streams {
            self.request(0, now, out)?;
        }
        Ok(())
    }

    /// Sends the next request on a stream, or on a new one when it is 0.
    fn request(&mut self, stream: u32, now: Instant, out: &mut Vec<u8>) -> Result<()> {
        self.framed.clear();
        message::write(&mut self.framed, &self.request)?;
        ensure!(
            self.framed.len() <= frame::MAX_PAYLOAD,
            "a request of {} bytes is larger than a frame, which the floor does not handle",
            self.framed.len()
        );
        let len = i64::try_from(self.framed.len())?;
        if len > self.window {
            self.blocked.push_back(stream);
            return Ok(());
        }
        self.window -= len;
        let id = match stream {
            0 => self.open(now, out)?,
            id => id,
        };
        let end = match self.mode {
            Mode::Stream => 0,
            Mode::Unary | Mode::Push => frame::END_STREAM,
        };
        frame::write(out, frame::DATA, end, id, &self.framed);
        Ok(())
    }

    fn open(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<u32> {
        let id = self.next_id;
        self.next_id = id.checked_add(2).context("no stream ids are left")?;
        write_block(out, id, frame::END_HEADERS, |out| self.blocks.write(out));
        self.calls.push_back(Call::Open {
            begun: now,
            responses: 0,
        });
        Ok(id)
    }

    /// The call of a stream that is open.
    fn call(&mut self, stream: u32) -> Result<&mut Call> {
        let index = stream
            .checked_sub(self.first_id)
            .map(|ids| ids as usize / 2);
        index
            .and_then(|index| self.calls.get_mut(index))
            .with_context(|| format!("a frame of stream {stream}, which is not open"))
    }

    fn data(
        &mut self,
        frame: Frame<'_>,
        now: Instant,
        latencies: &mut Latencies,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let size = self.request.response_size;
        let mut data = frame.payload;
        let mut received = 0;
        while let Some(response) = message::take::<SimpleResponse>(&mut data)? {
            let body = response.payload.map_or(0, |payload| payload.body.len());
            ensure!(
                i32::try_from(body) == Ok(size),
                "a response has {body} bytes, not {size}"
            );
            received += 1;
        }
        let mode = self.mode;
        let Call::Open { begun, responses } = self.call(frame.stream)? else {
            bail!("DATA after the end of stream {}", frame.stream);
        };
        match mode {
            Mode::Unary | Mode::Push => *responses += received,
            Mode::Stream if received == 0 => {}
            Mode::Stream => {
                latencies.record(now - mem::replace(begun, now), received);
                self.request(frame.stream, now, out)?;
            }
        }
        Ok(())
    }

    fn ended(
        &mut self,
        stream: u32,
        now: Instant,
        latencies: &mut Latencies,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let ended = mem::replace(self.call(stream)?, Call::Ended);
        let Call::Open { begun, responses } = ended else {
            bail!("stream {stream} ended twice");
        };
        // The status is in a header block that is not decoded: a call that failed has no message.
        ensure!(
            responses > 0 && self.mode != Mode::Stream,
            "stream {stream} ended without a response"
        );
        latencies.record(now - begun, responses);
        while let Some(Call::Ended) = self.calls.front() {
            self.calls.pop_front();
            self.first_id += 2;
        }
        self.request(0, now, out)
    }
}
