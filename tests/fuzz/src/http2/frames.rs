//! Frames: a frame that is read, written and read again is the same.

use rgrpc_http2::frame::{
    Continuation, Data, GoAway, Head, Headers, Kind, MAX_STREAM_ID, Ping, Priority, RstStream,
    SettingsFrame, WindowUpdate,
};

/// Reads the octets as frames; the last one may be incomplete.
pub fn frames(data: &[u8]) {
    let mut rest = data;
    while let Some((&octets, after)) = rest.split_first_chunk() {
        let head = Head::parse(octets);
        assert_eq!(Head::parse(head.octets()), head, "a head survives");
        assert!(head.stream_id <= MAX_STREAM_ID, "the reserved bit is off");
        let (payload, after) = after.split_at(head.length.min(after.len()));
        frame(
            Head::new(head.kind, head.flags, head.stream_id, payload.len()),
            payload,
        );
        rest = after;
    }
}

fn frame(head: Head, payload: &[u8]) {
    match head.kind {
        Kind::Data => data_frame(head, payload),
        Kind::Headers => headers(head, payload),
        Kind::Continuation => {
            if let Ok(frame) = Continuation::parse(head, payload) {
                assert_eq!(frame.fragment, payload);
            }
        }
        Kind::Priority => {
            if let Ok(frame) = Priority::parse(head, payload) {
                assert!(frame.depends_on <= MAX_STREAM_ID);
            }
        }
        Kind::Settings => settings(head, payload),
        Kind::Ping => {
            if let Ok(frame) = Ping::parse(head, payload) {
                let (head, payload) = written(|out| frame.write(out));
                assert_eq!(Ping::parse(head, &payload), Ok(frame));
            }
        }
        Kind::GoAway => {
            if let Ok(frame) = GoAway::parse(head, payload) {
                let (head, payload) = written(|out| frame.write(out));
                assert_eq!(GoAway::parse(head, &payload), Ok(frame));
            }
        }
        Kind::RstStream => {
            if let Ok(frame) = RstStream::parse(head, payload) {
                let (head, payload) = written(|out| frame.write(head.stream_id, out));
                assert_eq!(RstStream::parse(head, &payload), Ok(frame));
            }
        }
        Kind::WindowUpdate => {
            if let Ok(frame) = WindowUpdate::parse(head, payload) {
                assert!((1..=MAX_STREAM_ID).contains(&frame.increment));
                let (head, payload) = written(|out| frame.write(head.stream_id, out));
                assert_eq!(WindowUpdate::parse(head, &payload), Ok(frame));
            }
        }
        // Neither has anything to read.
        Kind::PushPromise | Kind::Unknown(_) => {}
    }
}

/// The one frame that `write` appends.
fn written(write: impl FnOnce(&mut Vec<u8>)) -> (Head, Vec<u8>) {
    let mut out = Vec::new();
    write(&mut out);
    let frames = split(&out);
    let [(head, payload)] = frames[..] else {
        panic!("not one frame: {frames:?}");
    };
    (head, payload.to_vec())
}

/// Octets of complete frames.
fn split(mut octets: &[u8]) -> Vec<(Head, &[u8])> {
    let mut frames = Vec::new();
    while let Some((&head, after)) = octets.split_first_chunk() {
        let head = Head::parse(head);
        let (payload, after) = after.split_at(head.length);
        frames.push((head, payload));
        octets = after;
    }
    assert!(octets.is_empty(), "a part of a frame");
    frames
}

fn data_frame(head: Head, payload: &[u8]) {
    let Ok(frame) = Data::parse(head, payload) else {
        return;
    };
    let content = &payload[frame.content];
    let (head, payload) = written(|out| {
        Data::write_head(head.stream_id, content.len(), frame.end_stream, out);
        out.extend_from_slice(content);
    });
    let again = Data::parse(head, &payload).expect("a frame of ours");
    assert_eq!(&payload[again.content], content);
    assert_eq!(again.end_stream, frame.end_stream);
}

/// A block is the same in however many frames it is sent.
fn headers(head: Head, payload: &[u8]) {
    let Ok(frame) = Headers::parse(head, payload) else {
        return;
    };
    let max_frame_size = usize::from(head.flags) + 1;
    let mut out = Vec::new();
    Headers::write(
        head.stream_id,
        frame.end_stream,
        max_frame_size,
        &mut out,
        |out| out.extend_from_slice(frame.fragment),
    );
    let mut block = Vec::new();
    let mut complete = false;
    for (index, (piece, payload)) in split(&out).into_iter().enumerate() {
        assert!(!complete, "a frame after END_HEADERS");
        assert!(piece.length <= max_frame_size, "a frame too long");
        assert_eq!(piece.stream_id, head.stream_id);
        if index == 0 {
            let first = Headers::parse(piece, payload).expect("a frame of ours");
            assert_eq!(first.end_stream, frame.end_stream);
            assert_eq!(first.depends_on, None);
            block.extend_from_slice(first.fragment);
            complete = first.end_headers;
        } else {
            let next = Continuation::parse(piece, payload).expect("a frame of ours");
            block.extend_from_slice(next.fragment);
            complete = next.end_headers;
        }
    }
    assert!(complete, "no END_HEADERS");
    assert_eq!(block, frame.fragment);
}

fn settings(head: Head, payload: &[u8]) {
    let Ok(frame) = SettingsFrame::parse(head, payload) else {
        return;
    };
    let parameters: Vec<_> = frame.parameters().collect();
    let (head, payload) = written(|out| match frame {
        SettingsFrame::Ack => SettingsFrame::write_ack(out),
        SettingsFrame::Parameters(_) => SettingsFrame::write(&parameters, out),
    });
    assert_eq!(SettingsFrame::parse(head, &payload), Ok(frame));
}
