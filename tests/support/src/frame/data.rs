//! DATA (RFC 9113 section 6.1).

use bytes::Bytes;

use super::{Malformation, RawFrame, WireFrame, flag, kind, padding};

/// A DATA frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// The stream.
    pub stream_id: u32,
    /// The content, without padding.
    pub payload: Bytes,
    /// END_STREAM.
    pub end_stream: bool,
    /// The pad length, if PADDED.
    pub padding: Option<u8>,
}

/// A DATA frame with this content.
pub fn data(stream_id: u32, payload: impl AsRef<[u8]>) -> Data {
    Data {
        stream_id,
        payload: Bytes::copy_from_slice(payload.as_ref()),
        end_stream: false,
        padding: None,
    }
}

impl Data {
    /// Sets END_STREAM.
    pub fn end_stream(self) -> Self {
        Self {
            end_stream: true,
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

    /// The same content in frames of at most `max` octets; END_STREAM stays on the last.
    pub fn split(self, max: usize) -> Vec<Data> {
        let mut rest = self.payload.clone();
        let mut frames = Vec::new();
        loop {
            let payload = rest.split_to(max.min(rest.len()));
            let last = rest.is_empty();
            frames.push(Data {
                payload,
                end_stream: self.end_stream && last,
                ..self.clone()
            });
            if last {
                return frames;
            }
        }
    }

    /// The octets that the frame takes from the flow-control windows, padding included.
    pub fn flow_controlled_len(&self) -> u32 {
        let padding = self.padding.map_or(0, |length| usize::from(length) + 1);
        (self.payload.len() + padding) as u32
    }

    pub(crate) fn parse(raw: &RawFrame) -> Result<Self, Malformation> {
        raw.on_stream()?;
        let (padding, payload) = padding::strip(raw)?;
        Ok(Self {
            stream_id: raw.stream_id,
            payload,
            end_stream: raw.has(flag::END_STREAM),
            padding,
        })
    }
}

impl WireFrame for Data {
    fn to_raw(&self) -> Vec<RawFrame> {
        let flags = flag::when(self.end_stream, flag::END_STREAM)
            | flag::when(self.padding.is_some(), flag::PADDED);
        let payload = padding::pad(self.padding, &self.payload);
        vec![RawFrame::new(kind::DATA, flags, self.stream_id, payload)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_keeps_end_stream_for_the_last_frame() {
        let frames = data(1, b"abcde").end_stream().split(2);
        let parts: Vec<_> = frames
            .iter()
            .map(|frame| (&frame.payload[..], frame.end_stream))
            .collect();
        assert_eq!(parts, [(&b"ab"[..], false), (b"cd", false), (b"e", true)]);
        assert_eq!(
            data(1, b"").end_stream().split(2),
            [data(1, b"").end_stream()]
        );
    }

    #[test]
    fn padding_and_its_length_octet_are_flow_controlled() {
        assert_eq!(data(1, b"abc").flow_controlled_len(), 3);
        assert_eq!(data(1, b"abc").padded(0).flow_controlled_len(), 4);
        assert_eq!(data(1, b"abc").padded(7).flow_controlled_len(), 11);
    }
}
