//! A decoder of descriptors whose comments are not UTF-8.
//!
//! protoc passes the bytes of a comment on unchanged, and accepts a Latin-1 file if only its
//! comments have such bytes. A string of a descriptor must be UTF-8, so the comments are corrected
//! in the encoded form.
//!
//! Called by the plugin and for external compilers, on their encoded output.

use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};
use prost::{DecodeError, Message};

/// The number of the field of a `CodeGeneratorRequest` with the file descriptors.
pub(crate) const REQUEST_FILE: u32 = 15;

/// The number of the field of a `FileDescriptorSet` with the file descriptors.
pub(crate) const SET_FILE: u32 = 1;

/// The numbers of the fields between a file descriptor and a comment: `source_code_info`,
/// `location`.
const COMMENT_PATH: [u32; 2] = [9, 1];

/// The numbers of the comment fields of a location: leading, trailing, leading detached.
const COMMENTS: [u32; 3] = [3, 4, 6];

/// Decodes a message with file descriptors in its field `file`. A byte of a comment that is not
/// UTF-8 becomes U+FFFD.
pub(crate) fn decode<M: Message + Default>(encoded: &[u8], file: u32) -> Result<M, DecodeError> {
    M::decode(encoded).or_else(|error| {
        let path = [file, COMMENT_PATH[0], COMMENT_PATH[1]];
        M::decode(mend(encoded, &path).ok_or(error)?.as_slice())
    })
}

/// Returns the encoded message with corrected comments. `path` leads to the locations.
fn mend(mut rest: &[u8], path: &[u32]) -> Option<Vec<u8>> {
    let mut mended = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest).ok()?;
        encode_key(tag, wire_type, &mut mended);
        let length = match wire_type {
            WireType::Varint => {
                encode_varint(decode_varint(&mut rest).ok()?, &mut mended);
                continue;
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => usize::try_from(decode_varint(&mut rest).ok()?).ok()?,
            WireType::StartGroup | WireType::EndGroup => continue,
        };
        let value = rest.get(..length)?;
        rest.advance(length);
        if wire_type != WireType::LengthDelimited {
            mended.extend_from_slice(value);
            continue;
        }
        let value = match path {
            [next, path @ ..] if *next == tag => mend(value, path)?,
            [] if COMMENTS.contains(&tag) => {
                String::from_utf8_lossy(value).into_owned().into_bytes()
            }
            _ => value.to_vec(),
        };
        encode_varint(value.len() as u64, &mut mended);
        mended.extend_from_slice(&value);
    }
    Some(mended)
}

#[cfg(test)]
mod tests {
    use prost_types::compiler::CodeGeneratorRequest;
    use prost_types::source_code_info::Location;
    use prost_types::{FileDescriptorProto, SourceCodeInfo};

    use super::*;

    fn request(package: &str) -> Vec<u8> {
        CodeGeneratorRequest {
            parameter: Some("a".to_owned()),
            proto_file: vec![FileDescriptorProto {
                package: Some(package.to_owned()),
                source_code_info: Some(SourceCodeInfo {
                    location: vec![Location {
                        path: vec![4, 0],
                        leading_comments: Some("caf#".to_owned()),
                        trailing_comments: Some("#".to_owned()),
                        leading_detached_comments: vec!["d#".to_owned()],
                        ..Location::default()
                    }],
                }),
                ..FileDescriptorProto::default()
            }],
            ..CodeGeneratorRequest::default()
        }
        .encode_to_vec()
    }

    /// Returns the request with a byte of Latin-1 for each `#`.
    fn latin1(package: &str) -> Vec<u8> {
        let byte = |byte| if byte == b'#' { 0xe9 } else { byte };
        request(package).into_iter().map(byte).collect()
    }

    #[test]
    fn a_comment_may_have_bytes_that_are_not_utf_8() {
        let request: CodeGeneratorRequest =
            decode(&latin1("p"), REQUEST_FILE).expect("the comments are corrected");
        let file = &request.proto_file[0];
        assert_eq!((request.parameter(), file.package()), ("a", "p"));
        let location = &file.source_code_info.as_ref().expect("kept").location[0];
        assert_eq!(location.path, [4, 0]);
        assert_eq!(location.leading_comments(), "caf\u{fffd}");
        assert_eq!(location.trailing_comments(), "\u{fffd}");
        assert_eq!(location.leading_detached_comments, ["d\u{fffd}"]);
    }

    #[test]
    fn other_strings_must_be_utf_8() {
        decode::<CodeGeneratorRequest>(&latin1("p#"), REQUEST_FILE).expect_err("a package");
        for length in 0..request("p").len() {
            // No prefix panics. Some are valid requests.
            let _ = decode::<CodeGeneratorRequest>(&latin1("p")[..length], REQUEST_FILE);
        }
    }
}
