//! The full names of a file's types in the form of descriptors, with a leading dot.
//!
//! Called by the checks of a schema, and by the map of the well-known types.

use prost_types::{DescriptorProto, FileDescriptorProto};

/// Returns the full names of all messages and enums of a file, with a leading dot.
pub(crate) fn types(file: &FileDescriptorProto) -> Vec<String> {
    fn nested(scope: &str, message: &DescriptorProto, names: &mut Vec<String>) {
        let name = format!("{scope}.{}", message.name());
        names.extend(
            message
                .enum_type
                .iter()
                .map(|nested| format!("{name}.{}", nested.name())),
        );
        for message in &message.nested_type {
            nested(&name, message, names);
        }
        names.push(name);
    }
    let scope = scope(file);
    let mut names: Vec<String> = file
        .enum_type
        .iter()
        .map(|enumeration| format!("{scope}.{}", enumeration.name()))
        .collect();
    for message in &file.message_type {
        nested(&scope, message, &mut names);
    }
    names
}

/// Returns the package with a leading dot, or an empty text.
pub(crate) fn scope(file: &FileDescriptorProto) -> String {
    if file.package().is_empty() {
        String::new()
    } else {
        format!(".{}", file.package())
    }
}
