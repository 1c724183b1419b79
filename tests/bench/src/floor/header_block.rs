//! Header blocks, encoded by hand. A field that repeats is a literal the first time, which enters
//! it into the peer's table, and one byte from then on, as with every HPACK encoder worth the name.
//! RFC 7541, section 6.

/// A field that repeats on a connection.
#[derive(Debug)]
struct Repeated {
    /// A literal with incremental indexing.
    literal: Vec<u8>,
    /// The number of fields in the table when it was entered, itself included.
    entered: Option<u8>,
}

impl Repeated {
    /// A field whose name is in the static table, at an index below 63.
    fn with_name(index: u8, value: &str) -> Self {
        Self::new([&[0x40 | index], string(value).as_slice()].concat())
    }

    /// A field whose name is a literal too.
    fn new_name(name: &str, value: &str) -> Self {
        Self::new([&[0x40][..], &string(name), &string(value)].concat())
    }

    const fn new(literal: Vec<u8>) -> Self {
        Self {
            literal,
            entered: None,
        }
    }

    fn write(&mut self, in_table: &mut u8, out: &mut Vec<u8>) {
        match self.entered {
            // The newest entry has index 62, and each that was entered since moves it by one.
            Some(entered) => out.push(0x80 | (62 + (*in_table - entered))),
            None => {
                out.extend_from_slice(&self.literal);
                *in_table += 1;
                self.entered = Some(*in_table);
            }
        }
    }
}

/// A string without Huffman coding, shorter than 127 bytes.
fn string(text: &str) -> Vec<u8> {
    let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
    assert!(len < 127, "{text:?} is too long for a length in one byte");
    [&[len], text.as_bytes()].concat()
}

// Indices of the static table.
const AUTHORITY: u8 = 1;
const METHOD_POST: u8 = 3;
const PATH: u8 = 4;
const SCHEME_HTTP: u8 = 6;
const STATUS_200: u8 = 8;
const CONTENT_TYPE: u8 = 31;

/// The header blocks of a server's connection.
#[derive(Debug)]
pub(crate) struct ResponseBlocks {
    in_table: u8,
    content_type: Repeated,
    grpc_status: Repeated,
}

impl ResponseBlocks {
    pub(crate) fn new() -> Self {
        Self {
            in_table: 0,
            content_type: Repeated::with_name(CONTENT_TYPE, "application/grpc"),
            grpc_status: Repeated::new_name("grpc-status", "0"),
        }
    }

    /// `:status: 200` and the content type.
    pub(crate) fn write_header(&mut self, out: &mut Vec<u8>) {
        out.push(0x80 | STATUS_200);
        self.content_type.write(&mut self.in_table, out);
    }

    /// `grpc-status: 0`.
    pub(crate) fn write_trailer(&mut self, out: &mut Vec<u8>) {
        self.grpc_status.write(&mut self.in_table, out);
    }
}

/// The header block of a client's connection.
#[derive(Debug)]
pub(crate) struct RequestBlocks {
    in_table: u8,
    repeated: Vec<Repeated>,
}

impl RequestBlocks {
    pub(crate) fn new(authority: &str, path: &str) -> Self {
        Self {
            in_table: 0,
            repeated: vec![
                Repeated::with_name(AUTHORITY, authority),
                Repeated::with_name(PATH, path),
                Repeated::new_name("te", "trailers"),
                Repeated::with_name(CONTENT_TYPE, "application/grpc"),
            ],
        }
    }

    pub(crate) fn write(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0x80 | METHOD_POST, 0x80 | SCHEME_HTTP]);
        for field in &mut self.repeated {
            field.write(&mut self.in_table, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn a_field_is_a_literal_the_first_time_and_its_index_from_then_on() {
        let mut blocks = ResponseBlocks::new();
        let header = written(|out| blocks.write_header(out));
        assert_eq!(header, b"\x88\x5f\x10application/grpc");
        // The content type is the newest entry now, and the older of two later.
        assert_eq!(written(|out| blocks.write_header(out)), [0x88, 0x80 | 62]);
        let trailer = written(|out| blocks.write_trailer(out));
        assert_eq!(trailer, b"\x40\x0bgrpc-status\x010");
        assert_eq!(written(|out| blocks.write_header(out)), [0x88, 0x80 | 63]);
        assert_eq!(written(|out| blocks.write_trailer(out)), [0x80 | 62]);
    }

    #[test]
    fn a_request_repeats_in_six_bytes() {
        let mut blocks = RequestBlocks::new("localhost", "/a.B/C");
        assert!(written(|out| blocks.write(out)).len() > 6);
        let repeated = written(|out| blocks.write(out));
        assert_eq!(
            repeated,
            [0x83, 0x86, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62]
        );
    }
}
