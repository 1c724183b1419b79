//! DATA whose content arrives elsewhere does what it does when it comes by way of the input.

use super::*;
use crate::Config;

/// A server, and what has come to it.
struct Server {
    wire: Wire,
    /// Content is taken past the input, as far as the core lets it.
    elsewhere: bool,
    /// The frame whose content is being taken so, and how much of it is to come.
    arriving: Option<(Head, usize)>,
    /// How much was taken so.
    taken: usize,
    heard: Vec<String>,
}

impl Server {
    fn new(elsewhere: bool) -> Self {
        Self {
            wire: Wire::server(Config {
                bdp_estimation: false,
                ..Config::default()
            }),
            elsewhere,
            arriving: None,
            taken: 0,
            heard: Vec::new(),
        }
    }

    /// The application reads what is not as long as it may be.
    fn heard_data(&mut self, key: StreamKey, len: usize, end_stream: bool) {
        self.heard.push(format!("{key:?} {len} {end_stream}"));
        if len < 16_384 {
            self.wire.core.release(key, len);
        }
    }

    fn receive(&mut self, mut octets: &[u8]) {
        if let Some((head, left)) = &mut self.arriving {
            let (content, rest) = octets.split_at((*left).min(octets.len()));
            *left -= content.len();
            self.taken += content.len();
            octets = rest;
            if *left > 0 {
                return;
            }
            let head = *head;
            self.arriving = None;
            let arrived = self.wire.core.content_arrived(head, self.wire.now);
            match arrived {
                Ok(Some(Event::Data {
                    key, end_stream, ..
                })) => {
                    self.heard_data(key, head.length, end_stream);
                }
                Ok(event) => self.heard.extend(event.map(|event| format!("{event:?}"))),
                Err(error) => self.heard.push(error.to_string()),
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
                    self.heard_data(key, data.len(), end_stream);
                }
                Ok(Some(event)) => self.heard.push(format!("{event:?}")),
                Err(error) => return self.heard.push(error.to_string()),
            }
        }
        if self.elsewhere
            && let Some((head, _)) = self.wire.core.partial_content(&self.wire.input)
        {
            let come = self.wire.input.len() - Head::LEN;
            self.wire.input.clear();
            self.arriving = Some((head, head.length - come));
        }
    }
}

/// What is heard and sent when these octets come in pieces of this size, and how much content came
/// elsewhere.
fn outcome(octets: &[u8], size: usize, elsewhere: bool) -> (Vec<String>, Vec<String>, usize) {
    let mut server = Server::new(elsewhere);
    octets.chunks(size).for_each(|piece| server.receive(piece));
    let sent = server.wire.sent();
    (server.heard, sent, server.taken)
}

#[test]
fn the_same_is_heard_and_sent_wherever_the_content_comes() {
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
            let (heard, sent, _) = outcome(&octets, size, false);
            let elsewhere = outcome(&octets, size, true);
            assert_eq!((heard, sent), (elsewhere.0, elsewhere.1), "{name}, {size}");
        }
    }
}

#[test]
fn only_the_content_of_frames_in_order_is_taken_elsewhere() {
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
