//! Random frames of the peer and random calls of the owner cause no panic and break no invariant.

use super::random::Random;
use super::*;
use crate::Reading;

impl Random {
    /// Returns a random frame, which is usually well-formed.
    fn frame(&mut self) -> Vec<u8> {
        let id = self.next(12);
        let window = [0, 1, 1_000, 65_535, (1 << 31) - 1][self.next(5) as usize];
        let length = [0, 1, 100, 16_384][self.next(4) as usize];
        let end = self.next(3) == 0;
        match self.next(16) {
            0..=2 => request(id | 1, end),
            3 => response(id | 1, end),
            4 => trailers(id),
            5 | 6 => data(id, length, end),
            7 => window_update(id, window),
            8 => rst_stream(id, ErrorCode(self.next(20))),
            9 => settings(&[(self.next(8) as u16, window)]),
            10 => ping([7; 8]),
            11 => ping_ack([0x02, 0x04, 0x10, 0x10, 0x09, 0x0e, 0x07, 0x07]),
            12 => goaway(id, ErrorCode::NO_ERROR, "bye"),
            13 => window_update(0, window),
            14 => {
                let (kind, length) = (Kind::from_octet(self.next(11) as u8), self.next(40));
                let (flags, payload) = (self.next(256) as u8, self.octets(length));
                frame(kind, flags, id, payload)
            }
            _ => {
                let mut octets = request(id | 1, end);
                let place = self.next(octets.len() as u32) as usize;
                octets[place] = self.next(256) as u8;
                octets
            }
        }
    }

    /// Calls a random function of the owner on a stream.
    fn act(&mut self, wire: &mut Wire, key: StreamKey) {
        let (head, ok) = (response_block(), trailers_block());
        let payload = vec![0; [0, 5, 2_000, 70_000][self.next(4) as usize]];
        let end = self.next(3) == 0;
        let core = &mut wire.core;
        // Calls in the wrong order must fail without harm.
        match self.next(9) {
            0 => drop(core.send_headers(key, &prepared(&head), end)),
            1 | 2 => drop(core.send_data(key, payload.as_slice(), end)),
            3 => drop(core.send_trailers(key, &prepared(&ok))),
            4 => drop(core.reply(key, &prepared(&head), payload.as_slice(), &prepared(&ok))),
            5 => core.reset(key, ErrorCode::CANCEL),
            6 => core.reset_when_sent(key, ErrorCode::NO_ERROR),
            7 => core.read(
                key,
                Reading {
                    taken: 0,
                    needed: payload.len() as u64,
                },
            ),
            _ => core.wake_when_below(key, 1_000),
        }
    }
}

fn play(mut wire: Wire, random: &mut Random) {
    let mut keys = Vec::new();
    for _ in 0..60 {
        wire.pass(Duration::from_millis(1));
        match wire.try_receive(random.frame()) {
            Err(error) => {
                assert!(
                    wire.sent()
                        .last()
                        .is_some_and(|line| line.starts_with("GOAWAY"))
                );
                assert_eq!(wire.core.failure(), Some(error));
                return;
            }
            Ok(events) => {
                for event in events {
                    match event {
                        Event::Headers { key, .. } => keys.push(key),
                        Event::Data { key, data, .. } => wire.core.release(key, data.len()),
                        _ => {}
                    }
                }
            }
        }
        if random.next(3) == 0 {
            let head = request_block();
            keys.extend(wire.core.open(0, &prepared(&head), false));
        }
        if let Some(&key) = keys.get(random.next(8) as usize) {
            random.act(&mut wire, key);
        }
        if random.next(4) == 0 {
            wire.sent();
        }
    }
    for key in keys {
        wire.core.reset(key, ErrorCode::CANCEL);
    }
    wire.receive(b"");
    wire.sent();
    assert_eq!(wire.core.queued_octets, 0);
    assert_eq!(wire.core.open_streams(), 0);
}

#[test]
fn random_frames_cause_no_panic_on_a_server() {
    for seed in 0..3_000 {
        play(Wire::server(Config::default()), &mut Random::new(seed));
    }
}

#[test]
fn random_frames_cause_no_panic_on_a_client() {
    for seed in 0..3_000 {
        play(Wire::client(Config::default()), &mut Random::new(seed));
    }
}

#[test]
fn random_header_blocks_cause_no_panic() {
    for seed in 0..3_000 {
        let mut random = Random::new(seed);
        let mut wire = Wire::server(Config::default());
        for n in 0..10 {
            let length = random.next(200);
            let payload = random.octets(length);
            let octets = frame(Kind::Headers, flag::END_HEADERS, 2 * n + 1, payload);
            if wire.try_receive(octets).is_err() {
                break;
            }
        }
    }
}
