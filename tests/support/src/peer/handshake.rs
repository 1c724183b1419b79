//! The connection preface (RFC 9113 section 3.4): whole, or step by step.

use std::panic::Location;

use tokio::time::Instant;

use crate::frame::{Frame, Settings, ping, settings, settings_ack};

use super::{DEFAULT_WINDOW, Event, Io, WirePeer};

/// The client's connection preface, before its first frame.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl WirePeer {
    /// Plays the client, with empty SETTINGS; see [`client_with`](Self::client_with).
    #[track_caller]
    pub fn client(io: impl Io) -> impl Future<Output = Self> {
        Self::client_with(io, settings())
    }

    /// Plays the client: sends the preface and these SETTINGS, takes the server's, and returns when
    /// both are acknowledged. Frames that come before the ACK are kept for the test.
    #[track_caller]
    pub fn client_with(io: impl Io, settings: Settings) -> impl Future<Output = Self> {
        let at = Location::caller();
        async move {
            let mut peer = Self::unshaken(io);
            peer.send_preface().await;
            peer.exchange_settings(at, settings).await;
            peer
        }
    }

    /// Plays the server, with empty SETTINGS; see [`server_with`](Self::server_with).
    #[track_caller]
    pub fn server(io: impl Io) -> impl Future<Output = Self> {
        Self::server_with(io, settings())
    }

    /// Plays the server: takes the preface and the client's SETTINGS, sends these, and returns when
    /// both are acknowledged. Frames that come before the ACK are kept for the test.
    #[track_caller]
    pub fn server_with(io: impl Io, settings: Settings) -> impl Future<Output = Self> {
        let at = Location::caller();
        async move {
            let mut peer = Self::unshaken(io);
            peer.take_preface(at).await;
            peer.exchange_settings(at, settings).await;
            peer
        }
    }

    /// Sends [`PREFACE`]: the first step of a client's handshake by hand.
    #[track_caller]
    pub fn send_preface(&mut self) -> impl Future<Output = ()> {
        self.send_octets(PREFACE)
    }

    /// Takes [`PREFACE`]: the first step of a server's handshake by hand.
    #[track_caller]
    pub fn expect_preface(&mut self) -> impl Future<Output = ()> {
        let at = Location::caller();
        self.take_preface(at)
    }

    async fn take_preface(&mut self, at: &Location<'_>) {
        let mut preface = [0; PREFACE.len()];
        let read = tokio::io::AsyncReadExt::read_exact(&mut self.io, &mut preface);
        let came = match tokio::time::timeout(self.patience, read).await {
            Ok(Ok(_)) if &preface == PREFACE => {
                self.transcript.note("preface received");
                return;
            }
            Ok(Ok(_)) => preface.escape_ascii().to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => Event::Nothing.to_string(),
        };
        self.fail(at, "the client's connection preface", &came)
    }

    /// Takes the WINDOW_UPDATE on stream 0 that follows the preface of an endpoint whose connection
    /// window is larger than the protocol's default; others do not send it. Returns the window.
    /// Other frames that have come are kept for the test.
    ///
    /// For a test that expects every frame and is not about this one. All frames of the preface
    /// have come when a PING is acknowledged.
    #[track_caller]
    pub fn take_connection_window(&mut self) -> impl Future<Output = u32> {
        let at = Location::caller();
        async move {
            let opaque = *b"preface?";
            let deadline = Instant::now() + self.patience;
            self.send(ping(opaque)).await;
            let mut frames = std::mem::take(&mut self.early);
            loop {
                match self.read_before(deadline).await {
                    Event::Frame(Frame::Ping(ping)) if ping.ack && ping.opaque == opaque => break,
                    Event::Frame(frame) => frames.push_back(frame),
                    other => self.fail(at, "the ACK of its PING", &other),
                }
            }
            let mut window = DEFAULT_WINDOW;
            for frame in frames {
                match frame {
                    Frame::WindowUpdate(update) if update.stream_id == 0 => {
                        window = window.saturating_add(update.increment);
                    }
                    other => self.early.push_back(other),
                }
            }
            window
        }
    }

    /// Sends SETTINGS, acknowledges the other side's, waits for its ACK.
    async fn exchange_settings(&mut self, at: &Location<'_>, settings: Settings) {
        let deadline = Instant::now() + self.patience;
        self.send(settings).await;
        match self.read_before(deadline).await {
            Event::Frame(Frame::Settings(theirs)) if !theirs.ack => self.announced = theirs,
            other => self.fail(at, "SETTINGS as the first frame", &other),
        }
        self.send(settings_ack()).await;
        loop {
            match self.read_before(deadline).await {
                Event::Frame(Frame::Settings(theirs)) if theirs.ack => return,
                Event::Frame(frame) => self.early.push_back(frame),
                other => self.fail(at, "the ACK of the SETTINGS it sent", &other),
            }
        }
    }
}
