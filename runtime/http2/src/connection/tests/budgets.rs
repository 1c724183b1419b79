//! Each budget permits an honest peer and ends the connection of a hostile one.

use super::*;
use crate::budget::{Allowance, BudgetConfig, RAPID};
use crate::frame::Setting;
use crate::role::Role;

/// Returns a configuration with a burst of ten for each budget.
fn small() -> Config {
    let ten = Allowance {
        burst: 10,
        per_second: 10,
    };
    Config {
        budgets: BudgetConfig {
            resets: ten,
            stream_errors: ten,
            pings: ten,
            settings: ten,
            empty_frames: ten,
            header_lists: ten,
            window_updates: ten,
            ignored_frames: ten,
            continuations: 10,
            queued_control: 10,
            stalled_octets: 100_000,
            stall: Duration::from_secs(60),
        },
        ..Config::default()
    }
}

/// Sends `octets(n)` for n = 0, 1, … until the connection ends. Returns the number of accepted
/// iterations and the name of the budget.
fn spend(wire: &mut Wire, octets: impl FnMut(u32) -> Vec<u8>) -> (u32, &'static str) {
    spend_from(wire, 0, octets)
}

/// Does the same as [`spend`] for n = `first`, `first + 1`, …
fn spend_from(
    wire: &mut Wire,
    first: u32,
    mut octets: impl FnMut(u32) -> Vec<u8>,
) -> (u32, &'static str) {
    for n in 0..1_000 {
        match wire.try_receive(octets(first + n)) {
            Ok(_) => drop(wire.sent()),
            Err(error) => {
                assert_eq!(error.code, ErrorCode::ENHANCE_YOUR_CALM);
                let sent = wire.sent();
                let expected = format!(" ENHANCE_YOUR_CALM {}", error.reason);
                assert!(sent.last().is_some_and(|line| line.ends_with(&expected)));
                return (n, error.reason);
            }
        }
    }
    (1_000, "none")
}

fn reset_request(n: u32) -> Vec<u8> {
    [
        request(2 * n + 1, false),
        rst_stream(2 * n + 1, ErrorCode::CANCEL),
    ]
    .concat()
}

#[test]
fn rapid_reset_spends_the_budget_of_resets() {
    let mut wire = Wire::server(small());
    assert_eq!(spend(&mut wire, reset_request), (10, "resets"));
}

#[test]
fn resets_are_refilled_by_time_and_by_streams_that_end_normally() {
    let mut wire = Wire::server(small());
    for n in 0..10 {
        wire.receive(reset_request(n));
    }
    wire.pass(Duration::from_millis(200));
    wire.receive(reset_request(10));
    wire.receive(reset_request(11));
    for n in 12..14 {
        let key = wire.request(2 * n + 1, true);
        let head = response_block();
        assert_eq!(wire.core.send_headers(key, &prepared(&head), true), Ok(()));
    }
    let spent = spend(&mut wire, |n| reset_request(14 + n));
    assert_eq!(spent, (2, "resets"));
}

#[test]
fn resets_of_streams_that_were_open_for_a_while_are_cancellations() {
    let mut wire = Wire::server(small());
    for n in 0..200 {
        wire.receive(request(2 * n + 1, false));
        wire.pass(RAPID);
        wire.receive(rst_stream(2 * n + 1, ErrorCode::CANCEL));
    }
    // The cancellations have not spent the budget.
    assert_eq!(spend_from(&mut wire, 200, reset_request), (10, "resets"));
}

#[test]
fn resets_of_streams_whose_response_has_begun_are_cancellations() {
    let mut wire = Wire::server(small());
    for n in 0..200 {
        let key = wire.request(2 * n + 1, true);
        wire.respond(key);
        wire.receive(rst_stream(2 * n + 1, ErrorCode::CANCEL));
        wire.sent();
    }
    assert_eq!(spend_from(&mut wire, 200, reset_request), (10, "resets"));
}

#[test]
fn the_default_budget_of_resets_permits_a_slow_server() {
    // 5,000 calls per second for two seconds, all cancelled before they were read.
    let mut wire = Wire::server(Config::default());
    wire.receive((0..10_000).flat_map(reset_request).collect::<Vec<_>>());
    let (more, name) = spend_from(&mut wire, 10_000, reset_request);
    assert_eq!((more, name), (0, "resets"), "one more ends the connection");
}

#[test]
fn a_client_does_not_limit_the_resets_of_its_server() {
    let mut wire = Wire::client(small());
    for n in 0..100 {
        wire.open(n);
        let events = wire.receive(rst_stream(2 * n + 1, ErrorCode::REFUSED_STREAM));
        assert!(matches!(events[..], [Event::Reset { .. }]));
    }
}

#[test]
fn errors_of_the_peer_spend_the_budget_of_stream_errors() {
    let mut wire = Wire::server(small());
    let error = |n: u32| [request(2 * n + 1, false), window_update(2 * n + 1, 0)].concat();
    assert_eq!(spend(&mut wire, error), (10, "stream_errors"));
    let mut wire = Wire::server(small());
    let malformed = |n: u32| headers(2 * n + 1, &[("a", "b")], false);
    assert_eq!(spend(&mut wire, malformed), (10, "stream_errors"));
}

#[test]
fn streams_above_the_limit_spend_the_budget_of_stream_errors() {
    let config = Config {
        max_concurrent_streams: Some(0),
        ..small()
    };
    let mut wire = Wire::server(config);
    let spent = spend(&mut wire, |n| request(2 * n + 1, false));
    assert_eq!(spent, (10, "stream_errors"));
}

#[test]
fn pings_spend_their_budget() {
    let mut wire = Wire::server(small());
    assert_eq!(spend(&mut wire, |_| ping([1; 8])), (10, "pings"));
    let mut wire = Wire::server(small());
    assert_eq!(spend(&mut wire, |_| ping_ack([1; 8])), (10, "pings"));
}

#[test]
fn pings_beside_content_are_within_the_budget() {
    let mut wire = Wire::server(small());
    let key = wire.request(1, false);
    for _ in 0..200 {
        wire.receive([data(1, 1, false), ping([1; 8])].concat());
        wire.core.release(key, 1);
        wire.sent();
    }
}

#[test]
fn pings_for_each_part_of_sent_content_are_within_the_budget() {
    let mut wire = Wire::server(small());
    let key = wire.request(1, true);
    wire.respond(key);
    let send = |wire: &mut Wire, frames: usize| {
        for _ in 0..frames {
            assert_eq!(wire.core.send_data(key, &[0; 16_384][..], false), Ok(()));
            wire.receive([window_update(0, 16_384), window_update(1, 16_384)].concat());
            wire.sent();
        }
    };
    // A peer with a read buffer of 1,024 octets sends a PING after each read, and responds when
    // everything has arrived.
    send(&mut wire, 100);
    let pings = vec![ping([1; 8]); 100 * 17];
    for pings in pings.chunks(10) {
        wire.receive(pings.concat());
        wire.sent();
    }
    // The limit is ten at once, two for each of 101 frames, and one for each 1,024 octets.
    let spent = spend_from(&mut wire, 0, |_| ping([1; 8]));
    assert_eq!(spent, (10 + 2 * 101 + 1_600 - 1_700, "pings"));
}

#[test]
fn settings_for_each_filled_window_are_within_the_budget() {
    let mut wire = Wire::server(small());
    let key = wire.request(1, true);
    wire.respond(key);
    for n in 1..50 {
        for _ in 0..4 {
            assert_eq!(wire.core.send_data(key, &[0; 16_384][..], false), Ok(()));
            wire.sent();
            wire.receive([window_update(0, 16_384), window_update(1, 16_384)].concat());
        }
        let size = 65_535 * (n + 1);
        wire.receive(settings(&[(Setting::INITIAL_WINDOW_SIZE, size)]));
        wire.sent();
    }
    let (more, name) = spend(&mut wire, |_| settings(&[]));
    assert_eq!(
        (more, name),
        (9, "settings"),
        "what is hostile ends at once"
    );
}

#[test]
fn settings_spend_their_budget() {
    let mut wire = Wire::server(small());
    // The handshake has spent one.
    assert_eq!(spend(&mut wire, |_| settings(&[])), (9, "settings"));
    let mut wire = Wire::server(small());
    assert_eq!(spend(&mut wire, |_| settings_ack()), (9, "settings"));
}

#[test]
fn frames_without_content_spend_the_budget_of_empty_frames() {
    let mut wire = Wire::server(small());
    wire.request(1, false);
    assert_eq!(
        spend(&mut wire, |_| data(1, 0, false)),
        (10, "empty_frames")
    );

    let mut wire = Wire::server(small());
    wire.request(1, false);
    let padded = |_| frame(Kind::Data, flag::PADDED, 1, [3, 0, 0, 0]);
    assert_eq!(spend(&mut wire, padded), (10, "empty_frames"));

    let mut wire = Wire::server(small());
    let empty_headers = |n| match n {
        0 => frame(Kind::Headers, 0, 1, []),
        _ => frame(Kind::Continuation, 0, 1, []),
    };
    assert_eq!(spend(&mut wire, empty_headers), (10, "empty_frames"));
}

#[test]
fn a_peer_with_small_writes_is_within_the_budget() {
    let mut wire = Wire::server(small());
    for n in 0..100 {
        let key = wire.request(2 * n + 1, false);
        for _ in 0..20 {
            // A flush and one octet.
            wire.receive([data(2 * n + 1, 0, false), data(2 * n + 1, 1, false)].concat());
            wire.core.release(key, 1);
        }
        wire.receive(data(2 * n + 1, 0, true));
        let head = response_block();
        assert_eq!(wire.core.send_headers(key, &prepared(&head), true), Ok(()));
        wire.sent();
    }
    wire.receive(request(201, false));
    // The limit is ten at once, and two for each stream (its headers and its end).
    let spent = spend(&mut wire, |_| data(201, 0, false));
    assert_eq!(spent, (10 + 2 * 100, "empty_frames"));
}

#[test]
fn large_responses_do_not_end_the_connection_of_a_client() {
    let config = Config {
        max_header_list_size: Some(200),
        ..small()
    };
    let mut wire = Wire::client(config);
    let long = "v".repeat(200);
    for n in 0..200 {
        wire.open(n);
        wire.receive(headers(
            2 * n + 1,
            &[(":status", "200"), ("long", &long)],
            true,
        ));
        wire.sent();
    }
}

#[test]
fn header_lists_above_the_limit_spend_their_budget() {
    let config = Config {
        max_header_list_size: Some(1_000),
        budgets: BudgetConfig {
            stream_errors: BudgetConfig::default().stream_errors,
            ..small().budgets
        },
        ..small()
    };
    let mut wire = Wire::server(config);
    // One entry of the table, then one octet for each further copy.
    let mut bomb = block(&REQUEST);
    bomb.extend_from_slice(&[0x40, 0x01, b'a', 0x7f, 0x81, 0x01]);
    bomb.extend_from_slice(&[b'b'; 256]);
    bomb.extend_from_slice(&[0xbe; 15_000]);
    let end = flag::END_HEADERS | flag::END_STREAM;
    let spent = spend(&mut wire, |n| frame(Kind::Headers, end, 2 * n + 1, &bomb));
    assert_eq!(spent, (10, "header_lists"));
}

#[test]
fn a_header_list_above_the_limit_is_a_stream_error() {
    let config = Config {
        max_header_list_size: Some(200),
        ..Config::default()
    };
    let mut wire = Wire::server(config);
    let long = "v".repeat(200);
    let fields = [&REQUEST[..], &[("long", &long)]].concat();
    assert_eq!(wire.receive(headers(1, &fields, true)), []);
    assert_eq!(wire.sent(), ["RST_STREAM 1 FRAME_SIZE_ERROR"]);
    wire.request(3, true);
}

#[test]
fn too_many_fields_are_a_stream_error() {
    let config = Config {
        max_header_fields: 5,
        ..Config::default()
    };
    let mut wire = Wire::server(config);
    wire.receive(headers(1, &[&REQUEST[..], &[("a", "1")]].concat(), true));
    assert!(wire.sent().is_empty());
    wire.receive(headers(
        3,
        &[&REQUEST[..], &[("a", "1"), ("b", "2")]].concat(),
        true,
    ));
    assert_eq!(wire.sent(), ["RST_STREAM 3 FRAME_SIZE_ERROR"]);
}

#[test]
fn continuations_spend_their_budget() {
    let mut wire = Wire::server(small());
    let pieces = |n| match n {
        0 => frame(Kind::Headers, 0, 1, [0x83]),
        _ => frame(Kind::Continuation, 0, 1, [0x86]),
    };
    assert_eq!(spend(&mut wire, pieces), (11, "continuations"));
}

#[test]
fn a_header_block_far_above_the_limit_is_not_stored() {
    let config = Config {
        max_header_list_size: Some(20_000),
        ..Config::default()
    };
    let mut wire = Wire::server(config);
    let pieces = |n| match n {
        0 => frame(Kind::Headers, 0, 1, [0x83]),
        _ => frame(Kind::Continuation, 0, 1, [0; 16_384]),
    };
    assert_eq!(spend(&mut wire, pieces), (3, "header_lists"));
}

#[test]
fn small_window_updates_without_sent_octets_spend_their_budget() {
    let mut wire = Wire::server(small());
    assert_eq!(
        spend(&mut wire, |_| window_update(0, 1)),
        (10, "window_updates")
    );
    let mut wire = Wire::server(small());
    wire.request(1, false);
    assert_eq!(
        spend(&mut wire, |_| window_update(1, 255)),
        (10, "window_updates")
    );
    let mut wire = Wire::server(small());
    assert_eq!(spend(&mut wire, |_| window_update(0, 256)).1, "none");
}

/// Creates a connection with this role and a stream on which it can send.
fn sender(role: Role) -> (Wire, StreamKey) {
    match role {
        Role::Client => {
            let mut wire = Wire::client(small());
            let key = wire.open(0);
            wire.sent();
            (wire, key)
        }
        Role::Server => {
            let mut wire = Wire::server(small());
            let key = wire.request(1, true);
            wire.respond(key);
            wire.sent();
            (wire, key)
        }
    }
}

#[test]
fn a_frame_that_is_returned_in_parts_is_within_the_budget() {
    // The parts that HAProxy uses, and one octet at a time.
    for (parts, frames) in [(vec![16_320, 64], 2_000), (vec![1; 500], 20)] {
        for role in [Role::Client, Role::Server] {
            let (mut wire, key) = sender(role);
            let octets = parts.iter().sum::<u32>() as usize;
            let returned: Vec<u8> = parts
                .iter()
                .flat_map(|&part| [window_update(0, part), window_update(1, part)].concat())
                .collect();
            for _ in 0..frames {
                assert_eq!(wire.core.send_data(key, &*vec![0; octets], false), Ok(()));
                wire.sent();
                wire.receive(&returned);
            }
        }
    }
}

#[test]
fn octets_may_be_returned_long_after_they_were_sent() {
    let (mut wire, key) = sender(Role::Server);
    assert_eq!(wire.core.send_data(key, &[0; 60_000][..], false), Ok(()));
    wire.sent();
    for _ in 0..60_000 {
        wire.receive([window_update(0, 1), window_update(1, 1)].concat());
    }
    // The limit is ten at once, and two for each octet.
    let spent = spend(&mut wire, |_| window_update(0, 1));
    assert_eq!(spent, (10, "window_updates"));
}

#[test]
fn octets_that_are_returned_after_the_stream_has_ended_are_within_the_budget() {
    let (mut wire, key) = sender(Role::Server);
    assert_eq!(wire.core.send_data(key, &[0; 5_000][..], true), Ok(()));
    wire.sent();
    for _ in 0..5_000 {
        wire.receive([window_update(0, 1), window_update(1, 1)].concat());
    }
    let (more, _) = spend(&mut wire, |_| window_update(1, 256));
    // The limit is ten at once, ten for the stream, and four each for HEADERS and DATA.
    assert_eq!(more, 10 + 10 + 8);
}

#[test]
fn frames_in_flight_of_a_cancelled_stream_are_within_the_budget() {
    let mut wire = Wire::client(small());
    for n in 0..50 {
        let id = 2 * n + 1;
        let key = wire.open(n);
        wire.sent();
        wire.core.reset(key, ErrorCode::CANCEL);
        wire.receive(headers(id, &[(":status", "103")], false));
        wire.receive(headers(id, &[(":status", "200")], false));
        // The whole window, in small messages.
        wire.receive(data(id, 8, false).repeat(65_535 / 8));
        wire.receive(headers(id, &[("grpc-status", "0")], true));
        wire.receive(rst_stream(id, ErrorCode::NO_ERROR));
        wire.sent();
    }
    let left = 50 * (65_535 % 8);
    let (more, name) = spend(&mut wire, |_| data(1, left, false));
    assert_eq!(name, "ignored_frames");
    // The limit is the windows, ten at once, and eight for each stream, four of which were used.
    assert_eq!(more, 1 + 10 + 50 * 4);
}

#[test]
fn priorities_of_each_stream_are_within_the_budget() {
    let mut wire = Wire::server(small());
    for n in 0..100 {
        let id = 2 * n + 1;
        let priority = frame(Kind::Priority, 0, id, [0; 5]);
        let update = frame(Kind::Unknown(0x10), 0, 0, b"u=1, i");
        wire.receive([priority.repeat(4), update.repeat(3)].concat());
        let key = wire.request(id, true);
        let head = response_block();
        assert_eq!(wire.core.send_headers(key, &prepared(&head), true), Ok(()));
        wire.receive(priority);
        wire.sent();
    }
}

#[test]
fn frames_without_effect_spend_the_budget_of_ignored_frames() {
    let mut wire = Wire::server(small());
    let unknown = |_| frame(Kind::Unknown(0x42), 0, 0, []);
    assert_eq!(spend(&mut wire, unknown), (10, "ignored_frames"));
    let mut wire = Wire::server(small());
    let priority = |_| frame(Kind::Priority, 0, 1, [0; 5]);
    assert_eq!(spend(&mut wire, priority), (10, "ignored_frames"));
    let mut wire = Wire::server(small());
    let again = |_| goaway(0, ErrorCode::NO_ERROR, "");
    assert_eq!(spend(&mut wire, again), (11, "ignored_frames"));
}

#[test]
fn acknowledgements_that_the_peer_does_not_read_spend_the_budget_of_queued_control() {
    let config = Config {
        budgets: BudgetConfig {
            queued_control: 10,
            ..BudgetConfig::default()
        },
        ..Config::default()
    };
    let mut wire = Wire::server(config.clone());
    let error = (0..100).find_map(|_| wire.try_receive(ping([1; 8])).err());
    assert_eq!(error.map(|error| error.reason), Some("queued_control"));
    // A peer that reads may continue.
    let mut wire = Wire::server(config);
    assert_eq!(spend(&mut wire, |_| ping([1; 8])).1, "none");
}

#[test]
fn data_that_waits_for_a_window_for_long_is_a_stall() {
    let mut wire = Wire::server(small());
    let key = wire.request(1, true);
    wire.respond(key);
    assert_eq!(
        wire.core
            .send_data(key, vec![0; 65_535 + 100_000].as_slice(), false),
        Ok(())
    );
    wire.sent();
    assert_eq!(wire.receive(b""), []);
    let deadline = wire.core.next_deadline();
    assert_eq!(deadline, Some(wire.now + Duration::from_secs(60)));
    wire.pass(Duration::from_secs(59));
    assert_eq!(wire.core.handle_timeout(wire.now), Ok(()));
    wire.pass(Duration::from_secs(1));
    let error = wire.core.handle_timeout(wire.now).expect_err("a stall");
    assert_eq!(error.reason, "stalled_octets");
    assert_eq!(wire.sent(), ["GOAWAY 1 ENHANCE_YOUR_CALM stalled_octets"]);
}

#[test]
fn queued_data_of_a_client_is_not_a_stall() {
    let (mut wire, key) = sender(Role::Client);
    let octets = vec![0; 65_535 + 200_000];
    assert_eq!(wire.core.send_data(key, &*octets, false), Ok(()));
    wire.sent();
    assert_eq!(wire.receive(b""), []);
    assert_eq!(wire.core.next_deadline(), None);
}

#[test]
fn a_ping_for_each_message_of_a_batch_is_within_the_budget() {
    let mut wire = Wire::server(Config::default());
    let key = wire.request(1, true);
    wire.respond(key);
    let mut frames = 0;
    while wire.core.output().len() < Config::default().output_batch && frames < 10_000 {
        assert_eq!(wire.core.send_data(key, &[0; 5][..], false), Ok(()));
        frames += 1;
    }
    // The batch is written one message at a time, and each causes a PING.
    for _ in 0..frames {
        wire.receive(ping([1; 8]));
    }
}

#[test]
fn a_slow_reader_is_not_a_stall() {
    let mut wire = Wire::server(small());
    let key = wire.request(1, true);
    wire.respond(key);
    assert_eq!(
        wire.core
            .send_data(key, vec![0; 65_535 + 200_000].as_slice(), false),
        Ok(())
    );
    for _ in 0..10 {
        wire.sent();
        wire.pass(Duration::from_secs(59));
        wire.receive([window_update(0, 256), window_update(1, 256)].concat());
    }
    assert_eq!(wire.core.handle_timeout(wire.now), Ok(()));
}
