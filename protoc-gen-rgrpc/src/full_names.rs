//! The full names of a file's types, as descriptors mention them: with a leading dot.

use prost_types::{DescriptorProto, FileDescriptorProto};

/// The full names, with a leading dot, of all messages and enums of a file.
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

/// The package with a leading dot, or nothing.
pub(crate) fn scope(file: &FileDescriptorProto) -> String {
    if file.package().is_empty() {
        String::new()
    } else {
        format!(".{}", file.package())
    }
}
