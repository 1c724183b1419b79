//! Tests of the parsers and writers.

use super::*;
use crate::error::{ErrorCode, Fault};

/// Splits the only frame in `octets` into head and payload.
fn split(octets: &[u8]) -> (Head, &[u8]) {
    let (head, payload) = octets.split_first_chunk().expect("a head");
    let head = Head::parse(*head);
    assert_eq!(head.length, payload.len());
    (head, payload)
}

#[test]
fn a_head_is_nine_octets_and_ignores_the_reserved_bit() {
    let head = Head::parse([0x01, 0x02, 0x03, 0x01, 0x25, 0x80, 0, 0, 5]);
    assert_eq!(head, Head::new(Kind::Headers, 0x25, 5, 0x01_02_03));
    assert_eq!(head.octets(), [0x01, 0x02, 0x03, 0x01, 0x25, 0, 0, 0, 5]);
}

#[test]
fn every_type_has_its_code() {
    for octet in 0..=u8::MAX {
        assert_eq!(Kind::from_octet(octet).octet(), octet);
    }
    assert_eq!(Kind::from_octet(0x9), Kind::Continuation);
    assert_eq!(Kind::from_octet(0xa), Kind::Unknown(0xa));
}

#[test]
fn data_is_written_and_parsed() {
    let mut out = Vec::new();
    Data::write_head(7, 3, true, &mut out);
    out.extend_from_slice(b"abc");
    let (head, payload) = split(&out);
    let data = Data::parse(head, payload).expect("DATA");
    assert_eq!((data.content, data.end_stream), (0..3, true));
}

#[test]
fn padding_is_removed_from_data_and_headers() {
    let head = |kind, flags| Head::new(kind, flags | flag::PADDED, 1, 6);
    let data = Data::parse(head(Kind::Data, 0), b"\x02abc\0\0");
    assert_eq!(data.map(|data| data.content), Ok(1..4));
    let headers = Headers::parse(head(Kind::Headers, 0), b"\x02abc\0\0");
    assert_eq!(headers.map(|headers| headers.fragment), Ok(&b"abc"[..]));
    // The padding may fill the rest of the frame, but not exceed it.
    let all = Data::parse(head(Kind::Data, 0), b"\x05\0\0\0\0\0");
    assert_eq!(all.map(|data| data.content), Ok(1..1));
    let over = Data::parse(head(Kind::Data, 0), b"\x06\0\0\0\0\0");
    assert_eq!(
        over.map_err(|error| error.code),
        Err(ErrorCode::PROTOCOL_ERROR)
    );
}

#[test]
fn priority_fields_are_removed_from_headers() {
    let head = Head::new(Kind::Headers, flag::PRIORITY | flag::END_HEADERS, 1, 7);
    let headers = Headers::parse(head, &[0x80, 0, 0, 3, 255, 0x82, 0x86]).expect("HEADERS");
    assert_eq!(headers.fragment, [0x82, 0x86]);
    assert_eq!(headers.depends_on, Some(3));
    assert!(headers.end_headers && !headers.end_stream);
}

#[test]
fn a_long_block_is_split_into_frames_of_the_maximum_size() {
    for (length, expected) in [
        (0, vec![0]),
        (10, vec![10]),
        (11, vec![10, 1]),
        (30, vec![10; 3]),
    ] {
        let mut out = b"before".to_vec();
        let block: Vec<u8> = (0..length).collect();
        Headers::write(3, true, 10, &mut out, |out| out.extend_from_slice(&block));
        let mut rest = &out[b"before".len()..];
        let (mut lengths, mut joined) = (Vec::new(), Vec::new());
        while !rest.is_empty() {
            let (head, after) = rest.split_first_chunk().expect("a head");
            let head = Head::parse(*head);
            let (fragment, after) = after.split_at(head.length);
            let first = lengths.is_empty();
            assert_eq!(head.kind == Kind::Headers, first);
            assert_eq!(head.has(flag::END_STREAM), first);
            assert_eq!(head.has(flag::END_HEADERS), after.is_empty());
            lengths.push(head.length);
            joined.extend_from_slice(fragment);
            rest = after;
        }
        assert_eq!((lengths, joined), (expected, block));
    }
}

#[test]
fn rst_stream_ping_goaway_and_window_update_are_written_and_parsed() {
    let mut out = Vec::new();
    let reset = RstStream {
        code: ErrorCode::CANCEL,
    };
    reset.write(5, &mut out);
    let (head, payload) = split(&out);
    assert_eq!(RstStream::parse(head, payload), Ok(reset));

    out.clear();
    let ping = Ping {
        ack: true,
        payload: *b"12345678",
    };
    ping.write(&mut out);
    let (head, payload) = split(&out);
    assert_eq!(Ping::parse(head, payload), Ok(ping));

    out.clear();
    let goaway = GoAway {
        last_stream_id: MAX_STREAM_ID,
        code: ErrorCode::NO_ERROR,
        debug_data: b"max_age",
    };
    goaway.write(&mut out);
    let (head, payload) = split(&out);
    assert_eq!(GoAway::parse(head, payload), Ok(goaway));

    out.clear();
    let update = WindowUpdate { increment: 1 };
    update.write(9, &mut out);
    let (head, payload) = split(&out);
    assert_eq!(WindowUpdate::parse(head, payload), Ok(update));
}

#[test]
fn the_reserved_bit_of_a_window_update_is_ignored() {
    let head = Head::new(Kind::WindowUpdate, 0, 1, 4);
    let update = WindowUpdate::parse(head, &[0x80, 0, 0, 7]);
    assert_eq!(update, Ok(WindowUpdate { increment: 7 }));
}

#[test]
fn an_increment_of_zero_is_an_error_of_the_window_owner() {
    let parse = |id| WindowUpdate::parse(Head::new(Kind::WindowUpdate, 0, id, 4), &[0; 4]);
    assert!(matches!(parse(0), Err(Fault::Connection(_))));
    assert!(matches!(parse(1), Err(Fault::Stream(_))));
}

#[test]
fn settings_are_written_and_parsed_in_order() {
    let parameters = [(4, 7), (0xffff, u32::MAX), (4, 8)].map(|(id, value)| Setting { id, value });
    let mut out = Vec::new();
    SettingsFrame::write(&parameters, &mut out);
    let (head, payload) = split(&out);
    let frame = SettingsFrame::parse(head, payload).expect("SETTINGS");
    assert_eq!(frame.parameters().collect::<Vec<_>>(), parameters);

    out.clear();
    SettingsFrame::write_ack(&mut out);
    let (head, payload) = split(&out);
    assert_eq!(SettingsFrame::parse(head, payload), Ok(SettingsFrame::Ack));
}

#[test]
fn a_priority_frame_with_a_wrong_length_is_a_stream_error() {
    let parse =
        |payload: &[u8]| Priority::parse(Head::new(Kind::Priority, 0, 1, payload.len()), payload);
    assert_eq!(parse(&[0x80, 0, 0, 9, 1]), Ok(Priority { depends_on: 9 }));
    assert!(
        matches!(parse(&[0; 4]), Err(Fault::Stream(error)) if error.code == ErrorCode::FRAME_SIZE_ERROR)
    );
}
