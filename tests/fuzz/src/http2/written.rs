//! The output of a core, read as its peer would read it.

use std::collections::HashMap;

use rgrpc_http2::ErrorCode;
use rgrpc_http2::PREFACE;
use rgrpc_http2::frame::{
    Continuation, Data, GoAway, Head, Headers, Kind, Ping, RstStream, SettingsFrame, WindowUpdate,
    flag,
};
use rgrpc_http2::hpack::{DEFAULT_TABLE_SIZE, Decoder, Limits};

/// Holds a core to the rules for those who send.
pub(super) struct Written {
    /// Octets that are less than a frame.
    rest: Vec<u8>,
    preface: bool,
    max_frame_size: usize,
    decoder: Decoder,
    /// The header block that is being written, and its stream.
    block: Option<(u32, Vec<u8>)>,
    /// The streams that END_STREAM or RST_STREAM was written on.
    ended: HashMap<u32, bool>,
    /// The code of the GOAWAY, if that is the last frame written.
    last_goaway: Option<ErrorCode>,
}

impl Written {
    /// Nothing is written yet. `preface` has to come first on a client.
    pub(super) fn new(preface: bool, max_frame_size: usize) -> Self {
        Self {
            rest: Vec::new(),
            preface,
            max_frame_size,
            decoder: Decoder::new(DEFAULT_TABLE_SIZE),
            block: None,
            ended: HashMap::new(),
            last_goaway: None,
        }
    }

    /// The code of the GOAWAY that everything ends with.
    pub(super) fn last_goaway(&self) -> Option<ErrorCode> {
        self.last_goaway.filter(|_| self.rest.is_empty())
    }

    /// The core has written octets.
    pub(super) fn push(&mut self, octets: &[u8]) {
        self.rest.extend_from_slice(octets);
        let mut octets = std::mem::take(&mut self.rest);
        let mut at = 0;
        if self.preface && octets.len() >= PREFACE.len() {
            assert_eq!(octets[..PREFACE.len()], PREFACE[..]);
            self.preface = false;
            at = PREFACE.len();
        }
        while !self.preface
            && let Some(&head) = octets[at..].first_chunk()
        {
            let head = Head::parse(head);
            assert!(head.length <= self.max_frame_size, "{head:?} is too long");
            let payload = at + Head::LEN..at + Head::LEN + head.length;
            let Some(payload) = octets.get(payload) else {
                break;
            };
            self.frame(head, payload);
            at += Head::LEN + head.length;
        }
        octets.drain(..at);
        self.rest = octets;
    }

    fn frame(&mut self, head: Head, payload: &[u8]) {
        let id = head.stream_id;
        self.last_goaway = None;
        assert_eq!(self.block.is_some(), head.kind == Kind::Continuation);
        match head.kind {
            Kind::Data => {
                let frame = Data::parse(head, payload).expect("DATA");
                self.sends(id, frame.end_stream);
            }
            Kind::Headers => {
                let frame = Headers::parse(head, payload).expect("HEADERS");
                self.sends(id, frame.end_stream);
                self.block = Some((id, frame.fragment.to_vec()));
                self.end_headers(frame.end_headers);
            }
            Kind::Continuation => {
                let frame = Continuation::parse(head, payload).expect("CONTINUATION");
                let (of, block) = self.block.as_mut().expect("a block");
                assert_eq!(*of, id);
                block.extend_from_slice(frame.fragment);
                self.end_headers(frame.end_headers);
            }
            Kind::RstStream => {
                RstStream::parse(head, payload).expect("RST_STREAM");
                self.ended.insert(id, true);
            }
            Kind::Settings => {
                SettingsFrame::parse(head, payload).expect("SETTINGS");
            }
            Kind::Ping => {
                Ping::parse(head, payload).expect("PING");
            }
            Kind::GoAway => {
                let frame = GoAway::parse(head, payload).expect("GOAWAY");
                self.last_goaway = Some(frame.code);
            }
            Kind::WindowUpdate => {
                WindowUpdate::parse(head, payload).expect("WINDOW_UPDATE");
                let reset = self.ended.get(&id).copied().unwrap_or_default();
                assert!(!reset, "WINDOW_UPDATE on stream {id}, which was reset");
            }
            Kind::Priority | Kind::PushPromise | Kind::Unknown(_) => panic!("{head:?}"),
        }
        assert!(
            matches!(head.kind, Kind::Headers | Kind::Data) || !head.has(flag::PADDED),
            "{head:?}"
        );
    }

    /// DATA or HEADERS is written on a stream.
    fn sends(&mut self, id: u32, end_stream: bool) {
        assert!(
            !self.ended.contains_key(&id),
            "a frame on stream {id}, which had ended"
        );
        if end_stream {
            self.ended.insert(id, false);
        }
    }

    fn end_headers(&mut self, end: bool) {
        if !end {
            return;
        }
        let (_, block) = self.block.take().expect("a block");
        let limits = Limits {
            list_size: usize::MAX,
            fields: usize::MAX,
        };
        let decoded = self.decoder.decode(&block, limits, &mut Vec::new());
        assert!(decoded.is_ok(), "{decoded:?}");
    }
}
