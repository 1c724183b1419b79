//! The well-known types, which the runtime provides.
//!
//! Other packages below `google.protobuf` are generated like any other. prost-build would treat
//! them as the runtime's too, so each well-known type is mapped by name.
//!
//! Called by the options, and by the messages for the options of prost-build.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use protox::file::{FileResolver, GoogleFileResolver};

use crate::full_names::types;

const FILES: [&str; 12] = [
    "any",
    "api",
    "compiler/plugin",
    "descriptor",
    "duration",
    "empty",
    "field_mask",
    "source_context",
    "struct",
    "timestamp",
    "type",
    "wrappers",
];

/// The full names of the well-known types, with a leading dot, and the names of their files.
static TYPES: LazyLock<BTreeMap<String, &str>> = LazyLock::new(|| {
    let resolver = GoogleFileResolver::new();
    let mut all = BTreeMap::new();
    for name in FILES {
        if let Ok(file) = resolver.open_file(&format!("google/protobuf/{name}.proto")) {
            let types = types(file.file_descriptor_proto());
            all.extend(types.into_iter().map(|full_name| (full_name, name)));
        }
    }
    all
});

/// Returns whether the type with this full name is well-known.
pub(crate) fn is_well_known(name: &str) -> bool {
    TYPES.contains_key(name)
}

/// Returns the well-known types by full name, each with its Rust type if that has another name.
/// `prost` is the path of the crate.
pub(crate) fn all(prost: &str) -> impl Iterator<Item = (&'static str, Option<String>)> {
    TYPES.iter().map(move |(name, file)| {
        let value = name.strip_prefix(".google.protobuf.").unwrap_or(name);
        let rust = match (*file, value) {
            ("empty", "Empty") => Some("()".to_owned()),
            ("wrappers", "BoolValue") => Some("bool".to_owned()),
            ("wrappers", "BytesValue") => Some(format!("{prost}::alloc::vec::Vec<u8>")),
            ("wrappers", "DoubleValue") => Some("f64".to_owned()),
            ("wrappers", "FloatValue") => Some("f32".to_owned()),
            ("wrappers", "Int32Value") => Some("i32".to_owned()),
            ("wrappers", "Int64Value") => Some("i64".to_owned()),
            ("wrappers", "StringValue") => Some(format!("{prost}::alloc::string::String")),
            ("wrappers", "UInt32Value") => Some("u32".to_owned()),
            ("wrappers", "UInt64Value") => Some("u64".to_owned()),
            _ => None,
        };
        (name.as_str(), rust)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_types_of_the_well_known_files_are_well_known() {
        for (name, expected) in [
            (".google.protobuf.Timestamp", true),
            (".google.protobuf.FieldDescriptorProto.Type", true),
            (".google.protobuf.compiler.CodeGeneratorRequest", true),
            (".google.protobuf.extra.Timestamp", false),
            (".google.protobuf.Other", false),
        ] {
            assert_eq!(is_well_known(name), expected, "{name}");
        }
        let special = all("p").filter(|(_, rust)| rust.is_some()).count();
        assert_eq!(special, 10);
    }
}
