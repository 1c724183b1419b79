//! DATA whose content the owner reads directly has the same effect as DATA in the input buffer.

use super::*;
use crate::Config;

/// A server and its received events.
struct Server {
    wire: Wire,
    /// `true` to read content directly wherever the core allows it.
    direct: bool,
    /// The frame whose content is being read directly, and the number of missing octets.
    direct_frame: Option<(Head, usize)>,
    /// The number of octets read directly.
    direct_octets: usize,
    /// The events, in text form.
    received: Vec<String>,
}

impl Server {
    fn new(direct: bool) -> Self {
        Self {
            wire: Wire::server(Config {
                bdp_estimation: false,
                ..Config::default()
            }),
            direct,
            direct_frame: None,
            direct_octets: 0,
            received: Vec::new(),
        }
    }

    /// Records content. The application reads it unless it has the maximum length.
    fn record_data(&mut self, key: StreamKey, len: usize, end_stream: bool) {
        self.received.push(format!("{key:?} {len} {end_stream}"));
        if len < 16_384 {
            self.wire.core.release(key, len);
        }
    }

    fn receive(&mut self, mut octets: &[u8]) {
        if let Some((head, left)) = &mut self.direct_frame {
            let (content, rest) = octets.split_at((*left).min(octets.len()));
            *left -= content.len();
            self.direct_octets += content.len();
            octets = rest;
            if *left > 0 {
                return;
            }
            let head = *head;
            self.direct_frame = None;
            let arrived = self.wire.core.content_arrived(head, self.wire.now);
            match arrived {
                Ok(Some(Event::Data {
                    key, end_stream, ..
                })) => {
                    self.record_data(key, head.length, end_stream);
                }
                Ok(event) => self
                    .received
                    .extend(event.map(|event| format!("{event:?}"))),
                Err(error) => self.received.push(error.to_string()),
            }
        }
        self.wire.input.extend_from_slice(octets);
        loop {
            let event = self
                .wire
                .core
                .next_event(&mut self.wire.input, self.wire.now);
            match event {
                Ok(None) => break,
                Ok(Some(Event::Data {
                    key,
                    data,
                    end_stream,
                })) => {
                    self.record_data(key, data.len(), end_stream);
                }
                Ok(Some(event)) => self.received.push(format!("{event:?}")),
                Err(error) => return self.received.push(error.to_string()),
            }
        }
        if self.direct
            && let Some((head, _)) = self.wire.core.partial_content(&self.wire.input)
        {
            let arrived = self.wire.input.len() - Head::LEN;
            self.wire.input.clear();
            self.direct_frame = Some((head, head.length - arrived));
        }
    }
}

/// Passes octets to a server in pieces of this size. Returns the events, the sent frames, and the
/// number of octets read directly.
fn outcome(octets: &[u8], size: usize, direct: bool) -> (Vec<String>, Vec<String>, usize) {
    let mut server = Server::new(direct);
    octets.chunks(size).for_each(|piece| server.receive(piece));
    let sent = server.wire.sent();
    (server.received, sent, server.direct_octets)
}

#[test]
fn direct_reads_cause_the_same_events_and_frames() {
    let sized = [&REQUEST[..], &[("content-length", "20000")]].concat();
    for (name, octets) in [
        (
            "a message",
            [
                request(1, false),
                data(1, 9_000, false),
                data(1, 9_000, true),
            ]
            .concat(),
        ),
        (
            "two streams",
            [
                [request(1, false), request(3, false)].concat(),
                [data(1, 9_000, false), data(3, 5_000, true)].concat(),
                [data(1, 9_000, false), trailers(1)].concat(),
            ]
            .concat(),
        ),
        (
            "more than the window",
            [
                request(1, false),
                data(1, 16_384, false).repeat(4),
                data(1, 1_000, false),
            ]
            .concat(),
        ),
        (
            "less than content-length",
            [
                headers(1, &sized, false),
                data(1, 10_000, false),
                data(1, 9_999, true),
            ]
            .concat(),
        ),
        (
            "more than content-length",
            [
                headers(1, &sized, false),
                data(1, 10_000, false),
                data(1, 10_001, false),
            ]
            .concat(),
        ),
        (
            "after the end",
            [request(1, true), data(1, 9_000, false)].concat(),
        ),
        (
            "no stream",
            [request(1, false), data(3, 9_000, false)].concat(),
        ),
        (
            "after a reset",
            [
                request(1, false),
                rst_stream(1, ErrorCode::CANCEL),
                data(1, 9_000, false),
            ]
            .concat(),
        ),
        (
            "too long",
            [request(1, false), data(1, 16_385, false)].concat(),
        ),
        (
            "padded",
            [
                request(1, false),
                frame(Kind::Data, flag::PADDED, 1, [9; 9_000]),
            ]
            .concat(),
        ),
        (
            "within a header block",
            [
                frame(Kind::Headers, 0, 1, block(&REQUEST)),
                data(1, 9_000, false),
            ]
            .concat(),
        ),
    ] {
        for size in [10, 700, 9_000, 100_000] {
            let (received, sent, _) = outcome(&octets, size, false);
            let direct = outcome(&octets, size, true);
            assert_eq!((received, sent), (direct.0, direct.1), "{name}, {size}");
        }
    }
}

#[test]
fn only_the_content_of_valid_frames_is_read_directly() {
    let begun = request(1, false);
    for (name, octets, taken) in [
        (
            "in order",
            [begun.clone(), data(1, 9_000, false)].concat(),
            true,
        ),
        (
            "padded",
            [
                begun.clone(),
                frame(Kind::Data, flag::PADDED, 1, [9; 9_000]),
            ]
            .concat(),
            false,
        ),
        (
            "no stream",
            [begun.clone(), data(3, 9_000, false)].concat(),
            false,
        ),
        (
            "too long",
            [begun.clone(), data(1, 16_385, false)].concat(),
            false,
        ),
        (
            "not DATA",
            [begun.clone(), frame(Kind::Unknown(77), 0, 1, [9; 9_000])].concat(),
            false,
        ),
        (
            "after the end",
            [request(1, true), data(1, 9_000, false)].concat(),
            false,
        ),
    ] {
        let (_, _, octets) = outcome(&octets, 700, true);
        assert_eq!(octets > 0, taken, "{name}");
    }
}
