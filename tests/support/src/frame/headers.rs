//! HEADERS (RFC 9113 section 6.2), with the CONTINUATIONs (6.10) that carry the rest of its block.

use bytes::{Buf, Bytes, BytesMut};

use crate::header_list::HeaderList;

use super::{Dependency, HeaderBlock, Malformation, RawFrame, WireFrame, flag, kind, padding};

/// A HEADERS frame and its block.
#[derive(Clone, Debug, PartialEq)]
pub struct Headers {
    /// The stream.
    pub stream_id: u32,
    /// The header block.
    pub block: HeaderBlock,
    /// END_STREAM.
    pub end_stream: bool,
    /// END_HEADERS, on the last frame of the block. Without it the block stays open, and
    /// [`continuation`](super::continuation) continues it.
    pub end_headers: bool,
    /// The priority fields, if PRIORITY.
    pub dependency: Option<Dependency>,
    /// The pad length, if PADDED.
    pub padding: Option<u8>,
}

/// A HEADERS frame with no field and no flag, which its methods add.
pub fn headers(stream_id: u32) -> Headers {
    Headers {
        stream_id,
        block: HeaderBlock::default(),
        end_stream: false,
        end_headers: false,
        dependency: None,
        padding: None,
    }
}

impl Headers {
    /// Appends a field of any name and value.
    pub fn field(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.block.fields.push(name, value);
        self
    }

    /// Appends `:method`.
    pub fn method(self, method: &str) -> Self {
        self.field(":method", method)
    }

    /// Appends `:scheme`.
    pub fn scheme(self, scheme: &str) -> Self {
        self.field(":scheme", scheme)
    }

    /// Appends `:path`.
    pub fn path(self, path: &str) -> Self {
        self.field(":path", path)
    }

    /// Appends `:authority`.
    pub fn authority(self, authority: &str) -> Self {
        self.field(":authority", authority)
    }

    /// Appends `:status`.
    pub fn status(self, status: u16) -> Self {
        self.field(":status", status.to_string())
    }

    /// Sends these octets as the block, in place of the fields.
    pub fn raw_block(mut self, octets: impl AsRef<[u8]>) -> Self {
        self.block.encoded = Some(Bytes::copy_from_slice(octets.as_ref()));
        self
    }

    /// Cuts the block into fragments of these lengths and the rest: HEADERS, then CONTINUATIONs.
    pub fn cut(mut self, lengths: impl Into<Vec<usize>>) -> Self {
        self.block.cuts = lengths.into();
        self
    }

    /// Sets END_STREAM.
    pub fn end_stream(self) -> Self {
        Self {
            end_stream: true,
            ..self
        }
    }

    /// Sets END_HEADERS on the last frame of the block.
    pub fn end_headers(self) -> Self {
        Self {
            end_headers: true,
            ..self
        }
    }

    /// Sets PRIORITY and its fields.
    pub fn dependency(self, dependency: Dependency) -> Self {
        Self {
            dependency: Some(dependency),
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

    /// The decoded fields.
    pub fn fields(&self) -> &HeaderList {
        &self.block.fields
    }

    /// The value of the first field of this name; see [`HeaderList::get`].
    pub fn get(&self, name: &str) -> Option<&str> {
        self.block.fields.get(name)
    }

    /// The values of all fields of this name; see [`HeaderList::get_all`].
    pub fn get_all(&self, name: &str) -> Vec<&str> {
        self.block.fields.get_all(name)
    }

    /// The frame without its fields, and the first fragment of its block.
    pub(crate) fn parse(raw: &RawFrame) -> Result<(Self, Bytes), Malformation> {
        raw.on_stream()?;
        let (padding, mut content) = padding::strip(raw)?;
        let dependency = if raw.has(flag::PRIORITY) {
            Some(Dependency::take(&mut content)?)
        } else {
            None
        };
        let frame = Self {
            end_stream: raw.has(flag::END_STREAM),
            end_headers: true,
            dependency,
            padding,
            ..headers(raw.stream_id)
        };
        Ok((frame, content.copy_to_bytes(content.remaining())))
    }
}

impl WireFrame for Headers {
    fn to_raw(&self) -> Vec<RawFrame> {
        let flags = flag::when(self.end_stream, flag::END_STREAM)
            | flag::when(self.dependency.is_some(), flag::PRIORITY)
            | flag::when(self.padding.is_some(), flag::PADDED);
        self.block
            .frames(self.stream_id, self.end_headers, |fragment| {
                let mut content = BytesMut::new();
                if let Some(dependency) = &self.dependency {
                    content.extend_from_slice(&dependency.octets());
                }
                content.extend_from_slice(fragment);
                let payload = padding::pad(self.padding, &content);
                RawFrame::new(kind::HEADERS, flags, self.stream_id, payload)
            })
    }

    fn header_fields(&self) -> Option<&HeaderList> {
        Some(&self.block.fields)
    }
}
