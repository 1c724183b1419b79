//! The scripted peer: a connection that the test drives frame by frame.
//!
//! - this file: the connection itself, sending, and reading the next event;
//! - `handshake`: prefaces and the first SETTINGS, or none of them;
//! - `expect`: the expectations of a test;
//! - `housekeeping`: the opt-in responses that keep scenario tests short.

mod expect;
mod handshake;
mod housekeeping;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::Location;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::frame::{Frame, RawFrame, Settings, WireFrame, kind, setting, settings};
use crate::grpc::Inbox;
use crate::reader::FrameReader;
use crate::transcript::Transcript;

pub use handshake::PREFACE;

/// The default timeout of every wait; [`WirePeer::patience`] sets another.
const PATIENCE: Duration = Duration::from_secs(5);

/// The initial size of every window (RFC 9113 section 6.9.2).
const DEFAULT_WINDOW: u32 = 65_535;

/// A byte stream to speak HTTP/2 on: a TCP or TLS connection, a tokio duplex.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// One side of an HTTP/2 connection, played by the test.
///
/// Strict at first: the test sees every frame, and the peer sends nothing by itself.
/// [`housekeeping`](Self::housekeeping) changes that. Every wait is bounded. A failure panics with
/// the place in the test, the expectation, and the transcript.
///
/// Dropping the peer closes the connection.
pub struct WirePeer {
    io: Box<dyn Io>,
    reader: FrameReader,
    /// Frames that were read before the test asked for them.
    early: VecDeque<Frame>,
    /// The end of the reading direction, if it has ended.
    end: Option<Event>,
    transcript: Transcript,
    /// The other side's SETTINGS of the handshake.
    announced: Settings,
    keeps_house: bool,
    patience: Duration,
    /// The number of PINGs that `assert_silent_until_ping` has sent; makes their opaque data
    /// distinct.
    pings: u64,
    /// gRPC messages in pieces, by stream.
    pub(crate) inbox: Inbox,
}

/// An event that the peer reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A frame, a header block with its CONTINUATIONs being one.
    Frame(Frame),
    /// The other side closed its direction in an orderly way.
    Eof,
    /// The connection broke, in this way.
    Broken(io::ErrorKind),
    /// The wait has timed out.
    Nothing,
}

impl WirePeer {
    /// A peer before the handshake: the test exchanges prefaces and SETTINGS itself.
    pub fn unshaken(io: impl Io) -> Self {
        Self {
            io: Box::new(io),
            reader: FrameReader::new(),
            early: VecDeque::new(),
            end: None,
            transcript: Transcript::new(),
            announced: settings(),
            keeps_house: false,
            patience: PATIENCE,
            pings: 0,
            inbox: Inbox::default(),
        }
    }

    /// Sets how long each send and each expectation may take; 5 s unless set.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The transcript of the connection so far.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The window of a new stream that the other side has announced, in octets: from its SETTINGS
    /// of the handshake, or the protocol's default.
    pub fn announced_stream_window(&self) -> usize {
        self.announced
            .get(setting::INITIAL_WINDOW_SIZE)
            .unwrap_or(DEFAULT_WINDOW) as usize
    }

    /// Writes frames, in one write.
    ///
    /// # Panics
    ///
    /// If the connection does not take them.
    #[track_caller]
    pub fn send(&mut self, frame: impl WireFrame) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            if let Err(error) = self.try_send(frame).await {
                self.fail(at, "the frames above to be taken", &error);
            }
        }
    }

    /// Writes frames, in one write, to a connection that may be closing.
    ///
    /// # Errors
    ///
    /// The error of the write; [`io::ErrorKind::TimedOut`] if the other side does not read.
    pub async fn try_send(&mut self, frame: impl WireFrame) -> io::Result<()> {
        let mut octets = Vec::new();
        for raw in frame.to_raw() {
            self.note_sent(&raw);
            octets.extend_from_slice(&raw.encode());
        }
        if let Some(fields) = frame.header_fields() {
            self.transcript.fields(fields);
        }
        self.write(&octets).await
    }

    /// Writes octets that need not be frames.
    ///
    /// # Panics
    ///
    /// If the connection does not take them.
    #[track_caller]
    pub fn send_octets(&mut self, octets: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let octets = octets.as_ref();
            self.transcript.note(format!(
                "{} octets sent: {}",
                octets.len(),
                octets.escape_ascii()
            ));
            if let Err(error) = self.write(octets).await {
                self.fail(at, "the octets above to be taken", &error);
            }
        }
    }

    /// Writes the same frame many times, until the other side ends the connection. Reads meanwhile,
    /// so that responses block neither side. Returns the number of frames written; the frames read
    /// can be expected afterwards.
    ///
    /// For a flood without reading, call [`try_send`](Self::try_send) in a loop.
    pub async fn flood(&mut self, frame: impl WireFrame, times: usize) -> usize {
        let frames = frame.to_raw();
        let octets: Vec<u8> = frames.iter().flat_map(RawFrame::encode).collect();
        let deadline = Instant::now() + self.patience;
        let mut written = 0;
        let (mut read_half, mut write_half) = tokio::io::split(&mut self.io);
        let buffer = self.reader.buffer();
        let write = async {
            while written < times && write_half.write_all(&octets).await.is_ok() {
                written += 1;
            }
            // The next read shows the failure.
            let _ = write_half.flush().await;
        };
        let read = async {
            loop {
                match read_half.read_buf(buffer).await {
                    Ok(0) => return Event::Eof,
                    Ok(_) => {}
                    Err(error) => return Event::Broken(error.kind()),
                }
            }
        };
        let end = timeout_at(deadline, async {
            tokio::select! {
                () = write => None,
                end = read => Some(end),
            }
        });
        if let Ok(Some(end)) = end.await {
            self.end = Some(end);
        }
        for raw in frames.iter().filter(|_| written > 0) {
            self.transcript.flooded(raw, written);
        }
        written
    }

    /// Closes the sending direction; frames can still be expected.
    ///
    /// # Errors
    ///
    /// The error of the connection.
    pub async fn half_close(&mut self) -> io::Result<()> {
        self.transcript.note("sending direction closed");
        self.io.shutdown().await
    }

    /// The next frame, or how the connection ended, or that nothing came.
    pub async fn next_event(&mut self) -> Event {
        let deadline = Instant::now() + self.patience;
        self.event_before(deadline).await
    }

    async fn event_before(&mut self, deadline: Instant) -> Event {
        loop {
            let event = match self.early.pop_front() {
                Some(frame) => Event::Frame(frame),
                None => self.read_before(deadline).await,
            };
            match event {
                Event::Frame(frame) if self.keeps_house && self.keep_house(&frame).await => {}
                event => return event,
            }
        }
    }

    /// Reads from the connection, past `early` and without housekeeping.
    async fn read_before(&mut self, deadline: Instant) -> Event {
        loop {
            while let Some(raw) = self.reader.next_raw() {
                self.transcript.received(&raw);
                if let Some(frame) = self.reader.assemble(raw) {
                    match &frame {
                        Frame::Headers(frame) => self.transcript.fields(frame.fields()),
                        Frame::PushPromise(frame) => self.transcript.fields(&frame.block.fields),
                        Frame::Malformed(_, why) => {
                            self.transcript.note(format!("malformed: {why}"));
                        }
                        _ => {}
                    }
                    return Event::Frame(frame);
                }
            }
            if let Some(end) = &self.end {
                return end.clone();
            }
            let end = match timeout_at(deadline, self.io.read_buf(self.reader.buffer())).await {
                Ok(Ok(0)) => Event::Eof,
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => Event::Broken(error.kind()),
                Err(_) => return Event::Nothing,
            };
            let unfinished = self.reader.buffer().len();
            self.transcript.note(match unfinished {
                0 => end.to_string(),
                octets => format!("{end}, {octets} octets into a frame"),
            });
            if end == Event::Nothing {
                // Something may come later.
                return end;
            }
            self.end = Some(end);
        }
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let write = async {
            self.io.write_all(octets).await?;
            self.io.flush().await
        };
        match tokio::time::timeout(self.patience, write).await {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn note_sent(&mut self, raw: &RawFrame) {
        self.transcript.sent(raw);
        // The other side must keep to the settings that this side announces.
        if raw.kind == kind::SETTINGS
            && let Ok(settings) = Settings::parse(raw)
        {
            self.reader.announce(&settings);
        }
    }

    /// Ends the test: an expectation at `at` did not come true.
    pub(crate) fn fail(&self, at: &Location<'_>, expected: &str, instead: &dyn fmt::Display) -> ! {
        panic!(
            "{at}: the wire peer expected {expected}\n     instead: {instead}\n  transcript:\n{}",
            self.transcript
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(frame) => frame.fmt(f),
            Self::Eof => f.write_str("the connection was closed"),
            Self::Broken(kind) => write!(f, "the connection broke: {kind}"),
            Self::Nothing => f.write_str("nothing came in time"),
        }
    }
}

impl fmt::Debug for WirePeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WirePeer, transcript:\n{}", self.transcript)
    }
}
