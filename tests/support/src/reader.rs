//! The reading half of the peer, without I/O: octets in, frames out.

use bytes::{Bytes, BytesMut};

use crate::frame::{
    Frame, HeaderBlock, Headers, Malformation, PushPromise, RawFrame, Settings, flag, kind, setting,
};
use crate::header_list::HeaderList;
use crate::hpack::Decoder;

/// Splits one direction of a connection into frames, and judges them.
///
/// Header blocks are decoded, and joined over their CONTINUATIONs into one frame. A frame that
/// breaks a rule of its type comes out as [`Frame::Malformed`]. It judges frames, not streams:
/// whether a frame may come now is for the test to say.
pub struct FrameReader {
    buffer: BytesMut,
    decoder: Decoder,
    open_block: Option<OpenBlock>,
    max_frame_size: u32,
}

/// A header block whose END_HEADERS has not come yet.
struct OpenBlock {
    opening: RawFrame,
    frame: BlockFrame,
    fragments: Vec<Bytes>,
}

enum BlockFrame {
    Headers(Headers),
    PushPromise(PushPromise),
}

impl FrameReader {
    /// A reader at the start of a connection, with the settings of RFC 9113 section 6.5.2.
    pub fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            decoder: Decoder::new(),
            open_block: None,
            max_frame_size: 16_384,
        }
    }

    /// Holds the sender to settings that the reader's side has announced.
    pub fn announce(&mut self, settings: &Settings) {
        if let Some(octets) = settings.get(setting::HEADER_TABLE_SIZE) {
            self.decoder.allow_table_size(octets);
        }
        if let Some(octets) = settings.get(setting::MAX_FRAME_SIZE) {
            self.max_frame_size = octets;
        }
    }

    /// Appends received octets.
    pub fn feed(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// The next whole frame, if its octets are there.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let raw = self.next_raw()?;
            if let Some(frame) = self.assemble(raw) {
                return Some(frame);
            }
        }
    }

    /// The buffer for octets from a socket.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next frame as on the wire.
    pub(crate) fn next_raw(&mut self) -> Option<RawFrame> {
        RawFrame::decode(&mut self.buffer)
    }

    /// Types a frame; returns nothing while its header block continues.
    pub(crate) fn assemble(&mut self, raw: RawFrame) -> Option<Frame> {
        if raw.payload.len() > self.max_frame_size as usize {
            let why = format!(
                "longer than SETTINGS_MAX_FRAME_SIZE {}",
                self.max_frame_size
            );
            return Some(Frame::Malformed(raw, Malformation::new(why)));
        }
        if let Some(mut block) = self.open_block.take() {
            if raw.kind != kind::CONTINUATION || raw.stream_id != block.opening.stream_id {
                let why = "inside the header block of another frame";
                return Some(Frame::Malformed(raw, Malformation::new(why)));
            }
            block.fragments.push(raw.payload.clone());
            return self.go_on(block, raw.has(flag::END_HEADERS));
        }
        let opened = match raw.kind {
            kind::HEADERS => {
                Headers::parse(&raw).map(|(frame, rest)| (BlockFrame::Headers(frame), rest))
            }
            kind::PUSH_PROMISE => {
                PushPromise::parse(&raw).map(|(frame, rest)| (BlockFrame::PushPromise(frame), rest))
            }
            kind::CONTINUATION => Err(Malformation::new("no header block is open")),
            _ => return Some(Frame::without_block(raw)),
        };
        match opened {
            Ok((frame, fragment)) => {
                let whole = raw.has(flag::END_HEADERS);
                let block = OpenBlock {
                    opening: raw,
                    frame,
                    fragments: vec![fragment],
                };
                self.go_on(block, whole)
            }
            Err(why) => Some(Frame::Malformed(raw, why)),
        }
    }

    fn go_on(&mut self, block: OpenBlock, whole: bool) -> Option<Frame> {
        if whole {
            Some(self.finish(block))
        } else {
            self.open_block = Some(block);
            None
        }
    }

    fn finish(&mut self, block: OpenBlock) -> Frame {
        let fields: HeaderList = match self.decoder.decode(&block.fragments.concat()) {
            Ok(fields) => fields,
            Err(why) => return Frame::Malformed(block.opening, why),
        };
        let decoded = HeaderBlock::received(fields, &block.fragments);
        match block.frame {
            BlockFrame::Headers(frame) => Frame::Headers(Headers {
                block: decoded,
                ..frame
            }),
            BlockFrame::PushPromise(frame) => Frame::PushPromise(PushPromise {
                block: decoded,
                ..frame
            }),
        }
    }
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{
        Dependency, ErrorCode, WireFrame, continuation, data, goaway, headers, ping, priority,
        push_promise, rst_stream, settings, settings_ack, window_update,
    };
    use crate::hpack;

    fn octets(frame: impl WireFrame) -> Vec<u8> {
        frame.to_raw().iter().flat_map(RawFrame::encode).collect()
    }

    fn read(frame: impl WireFrame) -> Frame {
        let mut reader = FrameReader::new();
        reader.feed(&octets(frame));
        let frame = reader.next_frame().expect("a whole frame");
        assert_eq!(reader.next_frame(), None);
        assert!(reader.buffer.is_empty());
        frame
    }

    fn rule_broken_by(frame: impl WireFrame) -> String {
        match read(frame) {
            Frame::Malformed(_, why) => why.to_string(),
            other => panic!("{other} is well-formed"),
        }
    }

    #[test]
    fn every_frame_without_a_block_reads_back_as_it_was_written() {
        let on = Dependency {
            stream_id: 5,
            exclusive: true,
            weight: 200,
        };
        let unknown = RawFrame::new(0xbb, 0xff, 9, b"any").reserved_bit();
        for (sent, expected) in [
            (data(1, b"x").raw(), Frame::Data(data(1, b"x"))),
            (
                data(1, b"x").padded(9).end_stream().raw(),
                Frame::Data(data(1, b"x").padded(9).end_stream()),
            ),
            (priority(3, on).raw(), Frame::Priority(priority(3, on))),
            (
                rst_stream(3, ErrorCode(77)).raw(),
                Frame::RstStream(rst_stream(3, ErrorCode(77))),
            ),
            (
                settings().enable_push(false).entry(0xff, 1).raw(),
                Frame::Settings(settings().enable_push(false).entry(0xff, 1)),
            ),
            (settings_ack().raw(), Frame::Settings(settings_ack())),
            (
                ping(*b"01234567").ack().raw(),
                Frame::Ping(ping(*b"01234567").ack()),
            ),
            (
                goaway(7, ErrorCode::NO_ERROR).debug_data("why").raw(),
                Frame::GoAway(goaway(7, ErrorCode::NO_ERROR).debug_data("why")),
            ),
            (
                window_update(0, 5).raw(),
                Frame::WindowUpdate(window_update(0, 5)),
            ),
            (unknown.clone(), Frame::Unknown(unknown)),
        ] {
            assert_eq!(read(sent), expected);
        }
    }

    #[test]
    fn a_header_block_reads_back_with_its_fields_and_cuts() {
        let on = Dependency {
            stream_id: 0,
            exclusive: false,
            weight: 15,
        };
        let sent = headers(1)
            .method("POST")
            .path("/s/m")
            .field("k", b"\xff")
            .cut([3, 0, 4])
            .dependency(on)
            .padded(5)
            .end_stream()
            .end_headers();
        let Frame::Headers(received) = read(&sent) else {
            panic!("not HEADERS")
        };
        assert_eq!(received.fields(), sent.fields());
        assert_eq!(received.block.cuts, [3, 0, 4]);
        assert_eq!(received.dependency, Some(on));
        assert!(received.end_stream);
        assert_eq!(octets(received), octets(sent));
    }

    #[test]
    fn a_push_promise_reads_back_over_continuations() {
        let sent = push_promise(1, 2)
            .field(":path", "/pushed")
            .cut([1])
            .padded(0)
            .end_headers();
        let Frame::PushPromise(received) = read(&sent) else {
            panic!("not PUSH_PROMISE")
        };
        assert_eq!(received.promised_id, 2);
        assert_eq!(received.block.fields.get(":path"), Some("/pushed"));
        assert_eq!(octets(received), octets(sent));
    }

    #[test]
    fn a_block_left_open_goes_on_with_continuations_by_hand() {
        let block = hpack::literal(b"k", b"v");
        let (first, second) = block.split_at(2);
        let mut reader = FrameReader::new();
        reader.feed(&octets(headers(1).raw_block(first)));
        assert_eq!(reader.next_frame(), None);
        reader.feed(&octets(continuation(1, second).end_headers()));
        let Some(Frame::Headers(received)) = reader.next_frame() else {
            panic!("not HEADERS")
        };
        assert_eq!(received.get("k"), Some("v"));
    }

    #[test]
    fn the_dynamic_table_lives_across_blocks() {
        let mut reader = FrameReader::new();
        let indexed = headers(1)
            .raw_block(hpack::literal_with_indexing(b"k", b"v"))
            .end_headers();
        reader.feed(&octets(indexed));
        reader.feed(&octets(
            headers(3).raw_block(hpack::indexed(62)).end_headers(),
        ));
        reader.next_frame();
        let Some(Frame::Headers(second)) = reader.next_frame() else {
            panic!("not HEADERS")
        };
        assert_eq!(second.get("k"), Some("v"));
    }

    #[test]
    fn frames_that_break_the_rules_of_their_type_are_malformed() {
        let opaque = *b"01234567";
        for (frame, rule) in [
            (data(1, b"").raw().stream(0), "on stream 0"),
            (
                data(1, b"").raw().flags(flag::PADDED),
                "PADDED without a pad length",
            ),
            (headers(1).end_headers().raw().stream(0), "on stream 0"),
            (
                headers(1).raw().flags(flag::END_HEADERS | flag::PRIORITY),
                "fewer than five",
            ),
            (
                headers(1).raw_block([0x80]).end_headers().raw(),
                "HPACK: Header index",
            ),
            (
                push_promise(1, 2).raw().payload([0; 3]),
                "no promised stream id",
            ),
            (
                rst_stream(1, ErrorCode::CANCEL).raw().payload([0; 5]),
                "5 octets where 4 belong",
            ),
            (rst_stream(0, ErrorCode::CANCEL).raw(), "on stream 0"),
            (settings().raw().payload([0; 5]), "no multiple of six"),
            (
                settings().entry(1, 1).raw().flags(flag::ACK),
                "ACK with a payload",
            ),
            (
                settings().raw().stream(1),
                "on stream 1, not on the connection",
            ),
            (
                ping(opaque).raw().payload([0; 7]),
                "7 octets where 8 belong",
            ),
            (
                ping(opaque).raw().stream(1),
                "on stream 1, not on the connection",
            ),
            (
                goaway(0, ErrorCode::NO_ERROR).raw().payload([0; 7]),
                "fewer than eight octets",
            ),
            (window_update(0, 0).raw(), "an increment of 0"),
            (continuation(1, b"").raw(), "no header block is open"),
            (
                data(1, vec![0; 16_385]).raw(),
                "longer than SETTINGS_MAX_FRAME_SIZE 16384",
            ),
        ] {
            let broken = rule_broken_by(&frame);
            assert!(
                broken.contains(rule),
                "{frame}: {broken:?} does not say {rule:?}"
            );
        }
    }

    #[test]
    fn nothing_may_come_between_the_frames_of_a_header_block() {
        for between in [ping(*b"01234567").raw(), continuation(3, b"").raw()] {
            let mut reader = FrameReader::new();
            reader.feed(&octets(headers(1)));
            reader.feed(&octets(between));
            assert!(matches!(reader.next_frame(), Some(Frame::Malformed(..))));
        }
    }

    #[test]
    fn an_announced_frame_size_is_the_new_limit() {
        let mut reader = FrameReader::new();
        reader.announce(&settings().max_frame_size(20_000));
        reader.feed(&octets(data(1, vec![0; 20_000])));
        assert!(matches!(reader.next_frame(), Some(Frame::Data(_))));
    }
}
