//! The HTTP/2 core: one end against arbitrary octets, and two ends against each other.

mod call;
mod frames;
mod hostile;
mod hpack;
mod pair;
mod written;

use rgrpc_http2::{Config, Difference, Field, FieldRef, PreviousHead, Role, StaticBlock};

use crate::choices::Choices;

use hostile::Hostile;
use pair::Pair;
use written::Written;

pub use frames::frames;
pub use hpack::hpack;

/// The fields that the owner of a core keeps of a header list: all of them.
type Fields = std::sync::Arc<[Field]>;

/// A server against octets that are anything.
pub fn http2_server(data: &[u8]) {
    Hostile::new(Role::Server, Choices::new(data)).run();
}

/// A client against octets that are anything.
pub fn http2_client(data: &[u8]) {
    Hostile::new(Role::Client, Choices::new(data)).run();
}

/// A client and a server that mean well.
pub fn http2_pair(data: &[u8]) {
    Pair::new(Choices::new(data)).run();
}

fn keep_fields(fields: &[Field], previous: Option<PreviousHead<'_, Fields>>) -> Fields {
    if let Some(PreviousHead { head, difference }) = previous {
        let differs = |at: &usize| head.get(*at) != fields.get(*at);
        let mut differing = (0..head.len().max(fields.len())).filter(differs);
        match difference {
            Difference::None => assert_eq!(differing.next(), None),
            Difference::Value(at) => {
                assert!(differing.all(|differing| differing == at));
                assert_eq!(head[at].name, fields[at].name);
            }
            Difference::More => {}
        }
    }
    fields.into()
}

/// A configuration in which every limit is near.
fn config(choices: &mut Choices<'_>) -> Config {
    Config {
        stream_window: *choices.one_of(&[65_535, 65_536, 1 << 20, u32::MAX]),
        connection_window: *choices.one_of(&[65_535, 65_536, 1 << 20, u32::MAX]),
        bdp_estimation: choices.flag(),
        max_concurrent_streams: *choices.one_of(&[None, Some(0), Some(1), Some(3), Some(100)]),
        max_send_frame_size: *choices.one_of(&[16_384, 1, 100, 1 << 20]),
        max_header_list_size: *choices.one_of(&[None, Some(4_000)]),
        header_table_size: *choices.one_of(&[4_096, 0, 100, 8_192]),
        initial_max_send_streams: *choices.one_of(&[100, 1, 2]),
        output_batch: *choices.one_of(&[65_536, 1, 20_000]),
        ..Config::default()
    }
}

fn field(name: &'static str, value: &'static str) -> FieldRef<'static> {
    FieldRef::new(name.as_bytes(), value.as_bytes())
}

fn response() -> StaticBlock {
    StaticBlock::new([
        field(":status", "200"),
        field("content-type", "application/grpc"),
    ])
}

fn trailers() -> StaticBlock {
    StaticBlock::new([field("grpc-status", "0")])
}
