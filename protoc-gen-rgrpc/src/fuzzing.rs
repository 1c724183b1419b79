//! Requests from arbitrary bytes, for the fuzz target and for a seeded test.
//!
//! Bytes choose the parts of descriptors, so that nearly every input decodes: difficult names,
//! references to existing and missing types, and numbers, labels and indexes inside and outside
//! their ranges.

use prost::Message as _;
use prost_types::compiler::{CodeGeneratorRequest, CodeGeneratorResponse};
use prost_types::source_code_info::Location;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, MessageOptions, MethodDescriptorProto, OneofDescriptorProto,
    ServiceDescriptorProto, SourceCodeInfo,
};

const NAMES: [&str; 16] = [
    "M",
    "N",
    "kind",
    "Kind",
    "set_kind",
    "KindOneOf",
    "_",
    "_1",
    "type",
    "Self",
    "key",
    "value",
    "a1",
    "A",
    "",
    "no name",
];

const PACKAGES: [&str; 8] = [
    "",
    "p",
    "p.q",
    "google.protobuf",
    "google.protobuf.x",
    "_",
    "p..q",
    "mod",
];

const FILES: [&str; 5] = [
    "a.proto",
    "b.proto",
    "google/protobuf/any.proto",
    "",
    "../a",
];

const TYPES: [&str; 16] = [
    ".M",
    ".N",
    ".p.M",
    ".p.N",
    ".p.Kind",
    ".p.kind",
    ".p.M.N",
    ".p.M.kind",
    ".p.q.M",
    ".M.N",
    ".google.protobuf.Any",
    ".google.protobuf.x.M",
    "",
    ".",
    "M",
    ".no.such",
];

const DEFAULTS: [&str; 10] = [
    "0", "-1", "true", "inf", "nan", "A", "kind", "\\400", "\\", "\\x0",
];

const PARAMETERS: [&str; 6] = [
    "",
    "messages=false",
    "server=false",
    "extern_path=.p=::p",
    "bytes=.",
    "boxed=.p.M",
];

const COMMENTS: [&str; 4] = [" text\n", "     code\n", " ```\n", " - >     x\r\n\u{202e}"];

/// Generates code for the request that the bytes describe. It panics if the generator panics, or
/// if the response has neither files nor an error.
pub fn request(data: &[u8]) {
    let request = Choices(data).request();
    let response = crate::plugin::respond(&request.encode_to_vec());
    let response = CodeGeneratorResponse::decode(response.as_slice());
    assert!(
        response.is_ok_and(|response| response.error.is_none() || response.file.is_empty()),
        "the response is neither files nor an error"
    );
}

/// The bytes that choose the parts of a descriptor. After the last one, every choice is the first.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// Returns whether a rare choice is made.
    fn rarely(&mut self) -> bool {
        self.byte() >= 0xf0
    }

    fn one_of(&mut self, choices: &[&str]) -> Option<String> {
        let chosen = self.below(choices.len());
        (!self.rarely()).then(|| choices[chosen].to_owned())
    }

    fn many<T>(&mut self, at_most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(at_most + 1)).map(|_| make(self)).collect()
    }

    fn request(&mut self) -> CodeGeneratorRequest {
        CodeGeneratorRequest {
            parameter: self.one_of(&PARAMETERS),
            file_to_generate: vec![FILES[self.below(2)].to_owned()],
            proto_file: self.many(3, Self::file),
            ..CodeGeneratorRequest::default()
        }
    }

    fn file(&mut self) -> FileDescriptorProto {
        FileDescriptorProto {
            name: self.one_of(&FILES),
            package: self.one_of(&PACKAGES),
            dependency: self.many(1, |choices| FILES[choices.below(FILES.len())].to_owned()),
            public_dependency: self.many(1, Self::index),
            message_type: self.many(3, |choices| choices.message(3)),
            enum_type: self.many(2, Self::enumeration),
            service: self.many(2, Self::service),
            extension: self.many(1, Self::field),
            syntax: self.one_of(&["proto3", "proto2", "", "proto3", "editions"]),
            source_code_info: Some(SourceCodeInfo {
                location: self.many(2, Self::location),
            }),
            ..FileDescriptorProto::default()
        }
    }

    fn index(&mut self) -> i32 {
        [0, 0, 1, 2, -1, i32::MAX][self.below(6)]
    }

    fn message(&mut self, depth: usize) -> DescriptorProto {
        let is_map_entry = self.rarely();
        DescriptorProto {
            name: self.one_of(&NAMES),
            field: self.many(4, Self::field),
            nested_type: if depth == 0 {
                Vec::new()
            } else {
                self.many(2, |choices| choices.message(depth - 1))
            },
            enum_type: self.many(1, Self::enumeration),
            oneof_decl: self.many(2, |choices| OneofDescriptorProto {
                name: choices.one_of(&NAMES),
                ..OneofDescriptorProto::default()
            }),
            options: is_map_entry.then(|| MessageOptions {
                map_entry: Some(true),
                ..MessageOptions::default()
            }),
            ..DescriptorProto::default()
        }
    }

    fn field(&mut self) -> FieldDescriptorProto {
        let number = i32::from(self.byte());
        FieldDescriptorProto {
            name: self.one_of(&NAMES),
            number: (!self.rarely()).then_some(number),
            label: (!self.rarely()).then(|| [1, 1, 3, 2, 9][self.below(5)]),
            r#type: (!self.rarely()).then(|| [11, 14, 5, 9, 12, 10, 1, 99][self.below(8)]),
            type_name: if self.below(2) == 0 {
                self.one_of(&TYPES)
            } else {
                None
            },
            default_value: if self.rarely() {
                self.one_of(&DEFAULTS)
            } else {
                None
            },
            oneof_index: (self.below(4) == 1).then(|| self.index()),
            proto3_optional: self.rarely().then_some(true),
            ..FieldDescriptorProto::default()
        }
    }

    fn enumeration(&mut self) -> EnumDescriptorProto {
        EnumDescriptorProto {
            name: self.one_of(&NAMES),
            value: self.many(3, |choices| EnumValueDescriptorProto {
                name: choices.one_of(&NAMES),
                number: (!choices.rarely()).then(|| choices.index()),
                ..EnumValueDescriptorProto::default()
            }),
            ..EnumDescriptorProto::default()
        }
    }

    fn service(&mut self) -> ServiceDescriptorProto {
        ServiceDescriptorProto {
            name: self.one_of(&NAMES),
            method: self.many(2, |choices| MethodDescriptorProto {
                name: choices.one_of(&NAMES),
                input_type: choices.one_of(&TYPES),
                output_type: choices.one_of(&TYPES),
                client_streaming: choices.rarely().then_some(true),
                ..MethodDescriptorProto::default()
            }),
            ..ServiceDescriptorProto::default()
        }
    }

    fn location(&mut self) -> Location {
        Location {
            path: vec![[4, 5, 6, -1][self.below(4)], self.index()],
            leading_comments: self.one_of(&COMMENTS),
            trailing_comments: self.one_of(&COMMENTS),
            ..Location::default()
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_request_makes_the_generator_panic() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for length in (0..256).cycle().take(5_000) {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    // Mostly small numbers, because the usual choices come first.
                    let [byte, skew, ..] = state.to_le_bytes();
                    if skew < 200 { byte & 0x8f } else { byte }
                })
                .collect();
            super::request(&bytes);
        }
    }
}
