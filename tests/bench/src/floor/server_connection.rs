//! A connection of the floor's server: frames in, frames out.
//!
//! A stream is known only from the first message that comes before its end: a unary request whose
//! message has END_STREAM, which is how most clients send it, is answered without being remembered.

use std::collections::HashMap;

use anyhow::{Result, bail, ensure};
use prost::Message as _;

use super::frame::{self, Frame};
use super::header_block::ResponseBlocks;
use super::message;
use super::settings::{self, PeerSettings, ReceiveWindow};
use crate::payload;
use crate::proto::grpc::testing::SimpleRequest;

#[derive(Debug)]
pub(crate) struct ServerConnection {
    preface_seen: bool,
    blocks: ResponseBlocks,
    peer: PeerSettings,
    window: i64,
    received: ReceiveWindow,
    streams: HashMap<u32, Stream>,
    /// Framed responses to one DATA frame.
    responses: Vec<u8>,
    /// Responses for each request.
    repeat: u32,
}

/// A stream that goes on, or whose response waits for the peer's window.
#[derive(Debug)]
struct Stream {
    window: i64,
    pending: Vec<u8>,
    sent: usize,
    ended: bool,
}

impl ServerConnection {
    /// A connection that answers each request with `repeat` responses.
    pub(crate) fn new(repeat: u32, out: &mut Vec<u8>) -> Self {
        settings::write_own(out);
        Self {
            preface_seen: false,
            blocks: ResponseBlocks::new(),
            peer: PeerSettings::default(),
            window: PeerSettings::default().initial_window,
            received: ReceiveWindow::default(),
            streams: HashMap::new(),
            responses: Vec::new(),
            repeat,
        }
    }

    /// Handles what was read. Returns how much of it.
    pub(crate) fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize> {
        let mut rest = bytes;
        if !self.preface_seen {
            if rest.len() < frame::PREFACE.len() {
                return Ok(0);
            }
            let Some(after) = rest.strip_prefix(frame::PREFACE) else {
                bail!("the peer does not begin with HTTP/2's preface");
            };
            self.preface_seen = true;
            rest = after;
        }
        while let Some((frame, after)) = Frame::split(rest)? {
            self.handle(frame, out)?;
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    }

    fn handle(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) -> Result<()> {
        match frame.kind {
            frame::DATA => self.data(frame, out),
            frame::HEADERS => {
                ensure!(
                    !frame.has(frame::END_STREAM),
                    "a request without a message, which the floor does not handle"
                );
                Ok(())
            }
            frame::SETTINGS if !frame.has(frame::ACK) => {
                let before = self.peer.initial_window;
                self.peer.apply(frame.payload)?;
                for stream in self.streams.values_mut() {
                    stream.window += self.peer.initial_window - before;
                }
                frame::write(out, frame::SETTINGS, frame::ACK, 0, &[]);
                self.send_all(out);
                Ok(())
            }
            frame::PING if !frame.has(frame::ACK) => {
                frame::write(out, frame::PING, frame::ACK, 0, frame.payload);
                Ok(())
            }
            frame::WINDOW_UPDATE => {
                let increment = frame::window_update(frame.payload)?;
                if frame.stream == 0 {
                    self.window += increment;
                    self.send_all(out);
                } else if let Some(stream) = self.streams.get_mut(&frame.stream) {
                    stream.window += increment;
                    self.send(frame.stream, out);
                }
                Ok(())
            }
            frame::RST_STREAM => {
                self.streams.remove(&frame.stream);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn data(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) -> Result<()> {
        ensure!(
            !frame.has(frame::PADDED),
            "a padded frame, which the floor does not handle"
        );
        self.received.receive(frame.payload.len(), out);
        self.responses.clear();
        let mut data = frame.payload;
        while let Some(request) = message::take::<SimpleRequest>(&mut data)? {
            let response = payload::response(&request)?;
            ensure!(
                message::PREFIX + response.encoded_len() <= frame::MAX_PAYLOAD,
                "a response is larger than a frame, which the floor does not handle"
            );
            for _ in 0..self.repeat {
                message::write(&mut self.responses, &response)?;
            }
        }
        self.respond(frame.stream, frame.has(frame::END_STREAM), out);
        Ok(())
    }

    fn respond(&mut self, id: u32, ended: bool, out: &mut Vec<u8>) {
        let known = self.streams.contains_key(&id);
        if !known {
            self.write_header(id, out);
        }
        let len = window_of(self.responses.len());
        let fits = len <= self.window.min(self.peer.initial_window)
            && self.responses.len() <= frame::MAX_PAYLOAD;
        if !known && ended && fits {
            self.window -= len;
            frame::write(out, frame::DATA, 0, id, &self.responses);
            self.write_trailer(id, out);
            return;
        }
        let stream = self.streams.entry(id).or_insert_with(|| Stream {
            window: self.peer.initial_window,
            pending: Vec::new(),
            sent: 0,
            ended: false,
        });
        stream.pending.extend_from_slice(&self.responses);
        stream.ended |= ended;
        self.send(id, out);
    }

    /// Sends what the windows allow on all streams.
    fn send_all(&mut self, out: &mut Vec<u8>) {
        let waiting: Vec<u32> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.sent < stream.pending.len())
            .map(|(&id, _)| id)
            .collect();
        for id in waiting {
            self.send(id, out);
        }
    }

    /// Sends what the windows allow, and the trailer behind the last.
    fn send(&mut self, id: u32, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        loop {
            let window = usize::try_from(self.window.min(stream.window)).unwrap_or_default();
            let room = window.min(frame::MAX_PAYLOAD);
            let pending = &stream.pending[stream.sent..];
            let len = message::whole(pending, room);
            if len == 0 {
                break;
            }
            frame::write(out, frame::DATA, 0, id, &pending[..len]);
            stream.sent += len;
            stream.window -= window_of(len);
            self.window -= window_of(len);
        }
        if stream.sent < stream.pending.len() {
            return;
        }
        stream.pending.clear();
        stream.sent = 0;
        if stream.ended {
            self.streams.remove(&id);
            self.write_trailer(id, out);
        }
    }

    fn write_header(&mut self, id: u32, out: &mut Vec<u8>) {
        write_block(out, id, frame::END_HEADERS, |out| {
            self.blocks.write_header(out);
        });
    }

    fn write_trailer(&mut self, id: u32, out: &mut Vec<u8>) {
        let flags = frame::END_HEADERS | frame::END_STREAM;
        write_block(out, id, flags, |out| self.blocks.write_trailer(out));
    }
}

/// Writes HEADERS, whose block is shorter than 256 bytes.
pub(crate) fn write_block(
    out: &mut Vec<u8>,
    stream: u32,
    flags: u8,
    write: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    frame::write_head(out, 0, frame::HEADERS, flags, stream);
    write(out);
    let len = out.len() - start - frame::HEAD;
    out[start + 1..start + 3].copy_from_slice(&[(len >> 8) as u8, len as u8]);
}

/// Lengths of frames and responses are far below 2^63.
fn window_of(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
