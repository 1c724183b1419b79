//! HTTP/2 frames (RFC 9113 sections 4 and 6) as plain values, one file per frame type.
//!
//! A typed frame expresses all values of its type, valid or not (a zero increment, an even stream
//! id, an incomplete header block). For anything else, such as a wrong length, an undefined flag or
//! a bad pad length, a test edits its [`RawFrame`]:
//! `ping(*b"12345678").raw().declared_length(7)`.
//!
//! The same types come back from [`FrameReader`](crate::FrameReader).

mod continuation;
mod data;
mod error_code;
pub mod flag;
mod goaway;
mod header_block;
mod headers;
pub mod kind;
mod padding;
mod ping;
mod priority;
mod push_promise;
mod raw;
mod rst_stream;
mod settings;
mod window_update;

use std::fmt;

pub use continuation::{Continuation, continuation};
pub use data::{Data, data};
pub use error_code::ErrorCode;
pub use goaway::{GoAway, goaway};
pub use header_block::HeaderBlock;
pub use headers::{Headers, headers};
pub use ping::{Ping, ping};
pub use priority::{Dependency, Priority, priority};
pub use push_promise::{PushPromise, push_promise};
pub use raw::{Malformation, RawFrame};
pub use rst_stream::{RstStream, rst_stream};
pub use settings::{Settings, setting, settings, settings_ack};
pub use window_update::{WindowUpdate, window_update};

use crate::header_list::HeaderList;

/// A value that is one or more frames on the wire.
pub trait WireFrame {
    /// The frames, in order.
    fn to_raw(&self) -> Vec<RawFrame>;

    /// The header fields inside, for the transcript.
    fn header_fields(&self) -> Option<&HeaderList> {
        None
    }

    /// The first of the frames, for a test to spoil.
    ///
    /// # Panics
    ///
    /// If there is none, as in an empty list.
    fn raw(&self) -> RawFrame {
        self.to_raw()
            .into_iter()
            .next()
            .expect("at least one frame")
    }
}

impl<F: WireFrame + ?Sized> WireFrame for &F {
    fn to_raw(&self) -> Vec<RawFrame> {
        (**self).to_raw()
    }

    fn header_fields(&self) -> Option<&HeaderList> {
        (**self).header_fields()
    }
}

/// Several frames in one write.
impl<F: WireFrame> WireFrame for Vec<F> {
    fn to_raw(&self) -> Vec<RawFrame> {
        self.iter().flat_map(WireFrame::to_raw).collect()
    }
}

/// A frame that was read; a header block is one frame here, its CONTINUATIONs included.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// Content.
    Data(Data),
    /// A header block: a head or trailers.
    Headers(Headers),
    /// A stream's priority.
    Priority(Priority),
    /// The end of a stream.
    RstStream(RstStream),
    /// Settings or their ACK.
    Settings(Settings),
    /// A promise of a pushed response.
    PushPromise(PushPromise),
    /// A PING or its ACK.
    Ping(Ping),
    /// The end of the connection, announced.
    GoAway(GoAway),
    /// More window.
    WindowUpdate(WindowUpdate),
    /// A frame of a type that RFC 9113 does not define.
    Unknown(RawFrame),
    /// A frame that breaks the rules of its type, and how.
    Malformed(RawFrame, Malformation),
}

impl Frame {
    /// Types a frame that carries no header block; those go through the reader, which decodes.
    pub(crate) fn without_block(raw: RawFrame) -> Self {
        let parsed = match raw.kind {
            kind::DATA => Data::parse(&raw).map(Self::Data),
            kind::PRIORITY => Priority::parse(&raw).map(Self::Priority),
            kind::RST_STREAM => RstStream::parse(&raw).map(Self::RstStream),
            kind::SETTINGS => Settings::parse(&raw).map(Self::Settings),
            kind::PING => Ping::parse(&raw).map(Self::Ping),
            kind::GOAWAY => GoAway::parse(&raw).map(Self::GoAway),
            kind::WINDOW_UPDATE => WindowUpdate::parse(&raw).map(Self::WindowUpdate),
            _ => return Self::Unknown(raw),
        };
        parsed.unwrap_or_else(|why| Self::Malformed(raw, why))
    }

    /// The stream the frame is about, 0 for the connection.
    pub fn stream_id(&self) -> u32 {
        match self {
            Self::Data(frame) => frame.stream_id,
            Self::Headers(frame) => frame.stream_id,
            Self::Priority(frame) => frame.stream_id,
            Self::RstStream(frame) => frame.stream_id,
            Self::PushPromise(frame) => frame.stream_id,
            Self::WindowUpdate(frame) => frame.stream_id,
            Self::Settings(_) | Self::Ping(_) | Self::GoAway(_) => 0,
            Self::Unknown(raw) | Self::Malformed(raw, _) => raw.stream_id,
        }
    }
}

/// One line, for the text of a failed expectation.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(frame) => frame.raw().fmt(f),
            Self::Headers(frame) => frame.raw().fmt(f),
            Self::Priority(frame) => frame.raw().fmt(f),
            Self::RstStream(frame) => frame.raw().fmt(f),
            Self::Settings(frame) => frame.raw().fmt(f),
            Self::PushPromise(frame) => frame.raw().fmt(f),
            Self::Ping(frame) => frame.raw().fmt(f),
            Self::GoAway(frame) => frame.raw().fmt(f),
            Self::WindowUpdate(frame) => frame.raw().fmt(f),
            Self::Unknown(raw) => raw.fmt(f),
            Self::Malformed(raw, why) => write!(f, "malformed {raw}: {why}"),
        }
    }
}
