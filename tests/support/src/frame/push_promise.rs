//! PUSH_PROMISE (RFC 9113 section 6.6). gRPC never pushes: a client must refuse the frame.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::header_list::HeaderList;

use super::{HeaderBlock, Malformation, RawFrame, WireFrame, flag, kind, padding};

/// A PUSH_PROMISE frame and its block.
#[derive(Clone, Debug, PartialEq)]
pub struct PushPromise {
    /// The stream that the promise is made on.
    pub stream_id: u32,
    /// The stream that is promised.
    pub promised_id: u32,
    /// The header block of the promised request.
    pub block: HeaderBlock,
    /// END_HEADERS, on the last frame of the block.
    pub end_headers: bool,
    /// The pad length, if PADDED.
    pub padding: Option<u8>,
}

/// A PUSH_PROMISE with no field and no flag.
pub fn push_promise(stream_id: u32, promised_id: u32) -> PushPromise {
    PushPromise {
        stream_id,
        promised_id,
        block: HeaderBlock::default(),
        end_headers: false,
        padding: None,
    }
}

impl PushPromise {
    /// Appends a field.
    pub fn field(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.block.fields.push(name, value);
        self
    }

    /// Cuts the block into fragments of these lengths and the rest.
    pub fn cut(mut self, lengths: impl Into<Vec<usize>>) -> Self {
        self.block.cuts = lengths.into();
        self
    }

    /// Sets END_HEADERS on the last frame of the block.
    pub fn end_headers(self) -> Self {
        Self {
            end_headers: true,
            ..self
        }
    }

    /// Sets PADDED and adds this many octets.
    pub fn padded(self, length: u8) -> Self {
        Self {
            padding: Some(length),
            ..self
        }
    }

    /// The frame without its fields, and the first fragment of its block.
    pub(crate) fn parse(raw: &RawFrame) -> Result<(Self, Bytes), Malformation> {
        raw.on_stream()?;
        let (padding, mut content) = padding::strip(raw)?;
        if content.len() < 4 {
            return Err(Malformation::new("no promised stream id"));
        }
        let promised_id = content.get_u32() & 0x7fff_ffff;
        let frame = Self {
            end_headers: true,
            padding,
            ..push_promise(raw.stream_id, promised_id)
        };
        Ok((frame, content))
    }
}

impl WireFrame for PushPromise {
    fn to_raw(&self) -> Vec<RawFrame> {
        let flags = flag::when(self.padding.is_some(), flag::PADDED);
        self.block
            .frames(self.stream_id, self.end_headers, |fragment| {
                let mut content = BytesMut::new();
                content.put_u32(self.promised_id);
                content.extend_from_slice(fragment);
                let payload = padding::pad(self.padding, &content);
                RawFrame::new(kind::PUSH_PROMISE, flags, self.stream_id, payload)
            })
    }

    fn header_fields(&self) -> Option<&HeaderList> {
        Some(&self.block.fields)
    }
}
