//! A socket with its input and output buffers.

use std::io::{self, Read as _, Write as _};

use mio::net::TcpStream;

use super::frame::{HEAD, MAX_PAYLOAD};

/// More than a frame, so that there is always room to read.
const INPUT: usize = 4 * (HEAD + MAX_PAYLOAD);

/// The input that is not handled yet.
#[derive(Debug)]
pub(crate) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// The result of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Bytes, and there may be more.
    More,
    /// All that there was.
    Drained,
    /// The peer has closed.
    Closed,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; INPUT],
            start: 0,
            end: 0,
        }
    }

    /// Reads once.
    pub(crate) fn fill(&mut self, socket: &mut TcpStream) -> io::Result<Fill> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = &mut self.buffer[self.end..];
        let wanted = room.len();
        match socket.read(room) {
            Ok(0) => Ok(Fill::Closed),
            Ok(read) => {
                self.end += read;
                // The poll tells of data that arrives after a read that was not full.
                Ok(if read < wanted {
                    Fill::Drained
                } else {
                    Fill::More
                })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Fill::Drained),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Fill::More),
            // A peer that closes with octets unread resets the connection.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Fill::Closed),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The first bytes are handled.
    pub(crate) fn consume(&mut self, len: usize) {
        self.start += len;
    }
}

/// The output that is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    written: usize,
}

impl Output {
    /// Writes all, or as much as the socket takes; the poll tells when it takes more.
    pub(crate) fn flush(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        while self.written < self.bytes.len() {
            match socket.write(&self.bytes[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The peer has closed, which reading tells.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.written = 0;
        Ok(())
    }
}
