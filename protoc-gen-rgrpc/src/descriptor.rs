//! File descriptors in a normal form, independent of the compiler.
//!
//! protoc, buf and the embedded compiler describe a file with the same meaning but with different
//! bytes: a value that equals its default may be set or not, and the copies of the well-known files
//! differ by version. Embedded descriptors must not depend on that, or checked-in code would change
//! with the tool. So [`normalise`] gives every optional part one form, and uses the embedded
//! compiler's copies of the `google/protobuf/` files ([`well_known`]).
//!
//! The normal form has no custom options, because the descriptor types know only those of
//! descriptor.proto.
//!
//! Called when a schema is made of a compiler's output.

use std::fmt::Debug;
use std::str::FromStr;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, ServiceDescriptorProto,
};

use crate::error::Error;

/// Returns the file in the normal form, including comments.
pub(crate) fn normalise(mut file: FileDescriptorProto) -> Result<FileDescriptorProto, Error> {
    if let Some(known) = well_known(file.name())? {
        file = known;
    }
    // An unset syntax means proto2.
    file.syntax = file
        .syntax
        .filter(|syntax| syntax != "proto2" && !syntax.is_empty());
    file.package = file.package.filter(|package| !package.is_empty());
    without_empty(&mut file.options);
    file.message_type.iter_mut().for_each(normalise_message);
    file.enum_type.iter_mut().for_each(normalise_enum);
    file.extension.iter_mut().for_each(normalise_field);
    file.service.iter_mut().for_each(normalise_service);
    crate::block_comments::trim(&mut file);
    crate::comments::clean(&mut file);
    Ok(file)
}

/// Returns the encoded `FileDescriptorSet` of `files`, without comments.
pub(crate) fn encode<'a>(files: impl IntoIterator<Item = &'a FileDescriptorProto>) -> Vec<u8> {
    let file = files
        .into_iter()
        .map(|file| FileDescriptorProto {
            source_code_info: None,
            ..file.clone()
        })
        .collect();
    FileDescriptorSet { file }.encode_to_vec()
}

/// Removes a message of options that sets none.
fn without_empty<O: Message>(options: &mut Option<O>) {
    if options
        .as_ref()
        .is_some_and(|options| options.encoded_len() == 0)
    {
        *options = None;
    }
}

/// Returns the embedded copy of a file of `google/protobuf/`.
fn well_known(name: &str) -> Result<Option<FileDescriptorProto>, Error> {
    if !name.starts_with("google/protobuf/") {
        return Ok(None);
    }
    let mut compiler =
        protox::Compiler::with_file_resolver(protox::file::GoogleFileResolver::new());
    match compiler.open_file(name) {
        Ok(compiled) => Ok(compiled.file_descriptor_set().file.pop()),
        // Not one of the files that every compiler includes.
        Err(error) if error.is_file_not_found() => Ok(None),
        Err(error) => Err(Error::Compile(format!("{error:?}"))),
    }
}

fn normalise_message(message: &mut DescriptorProto) {
    without_empty(&mut message.options);
    message.field.iter_mut().for_each(normalise_field);
    message.extension.iter_mut().for_each(normalise_field);
    message.nested_type.iter_mut().for_each(normalise_message);
    message.enum_type.iter_mut().for_each(normalise_enum);
    for oneof in &mut message.oneof_decl {
        without_empty(&mut oneof.options);
    }
    for range in &mut message.extension_range {
        without_empty(&mut range.options);
    }
}

fn normalise_enum(enumeration: &mut EnumDescriptorProto) {
    without_empty(&mut enumeration.options);
    for value in &mut enumeration.value {
        without_empty(&mut value.options);
    }
}

fn normalise_service(service: &mut ServiceDescriptorProto) {
    without_empty(&mut service.options);
    for method in &mut service.method {
        without_empty(&mut method.options);
        method.client_streaming = method.client_streaming.filter(|streaming| *streaming);
        method.server_streaming = method.server_streaming.filter(|streaming| *streaming);
    }
}

fn normalise_field(field: &mut FieldDescriptorProto) {
    without_empty(&mut field.options);
    field.label.get_or_insert(Label::Optional.into());
    field.proto3_optional = field.proto3_optional.filter(|optional| *optional);
    if field.json_name.is_none() {
        field.json_name = Some(json_name(field.name()));
    }
    field.default_value = field
        .default_value
        .take()
        .map(|value| match field.r#type() {
            Type::Float => shortest::<f32>(value),
            Type::Double => shortest::<f64>(value),
            _ => value,
        });
}

/// Returns the JSON name of a field: `feature_name` → `featureName`.
pub(crate) fn json_name(name: &str) -> String {
    let mut json = String::with_capacity(name.len());
    let mut capital = false;
    for character in name.chars() {
        if character == '_' {
            capital = true;
        } else if std::mem::take(&mut capital) {
            json.push(character.to_ascii_uppercase());
        } else {
            json.push(character);
        }
    }
    json
}

/// Returns a floating-point default in the shortest form that parses to the same number at its own
/// precision. Compilers print more or fewer digits.
fn shortest<F: FromStr + Debug>(value: String) -> String {
    match value.as_str() {
        "inf" | "-inf" | "nan" => value,
        digits => digits
            .parse::<F>()
            .map_or(value, |number| format!("{number:?}")),
    }
}

#[cfg(test)]
mod tests {
    use prost_types::{FieldOptions, MethodDescriptorProto, MethodOptions};

    use super::*;

    #[test]
    fn a_value_that_equals_its_default_is_normalised() {
        let explicit = FileDescriptorProto {
            name: Some("a.proto".to_owned()),
            package: Some(String::new()),
            syntax: Some("proto2".to_owned()),
            options: Some(Default::default()),
            message_type: vec![DescriptorProto {
                field: vec![FieldDescriptorProto {
                    name: Some("feature_name".to_owned()),
                    label: Some(Label::Optional.into()),
                    json_name: Some("featureName".to_owned()),
                    r#type: Some(Type::Double.into()),
                    default_value: Some("1e+10".to_owned()),
                    proto3_optional: Some(false),
                    options: Some(FieldOptions::default()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            service: vec![ServiceDescriptorProto {
                method: vec![MethodDescriptorProto {
                    client_streaming: Some(false),
                    options: Some(MethodOptions::default()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let terse = FileDescriptorProto {
            name: Some("a.proto".to_owned()),
            message_type: vec![DescriptorProto {
                field: vec![FieldDescriptorProto {
                    name: Some("feature_name".to_owned()),
                    r#type: Some(Type::Double.into()),
                    default_value: Some("10000000000".to_owned()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            service: vec![ServiceDescriptorProto {
                method: vec![MethodDescriptorProto::default()],
                ..Default::default()
            }],
            ..Default::default()
        };
        let explicit = normalise(explicit).expect("no well-known file");
        let terse = normalise(terse).expect("no well-known file");
        assert_eq!(encode([&explicit]), encode([&terse]));
    }

    #[test]
    fn json_names_follow_the_json_mapping() {
        for (name, expected) in [
            ("a", "a"),
            ("feature_name", "featureName"),
            ("a__b_", "aB"),
            ("_a", "A"),
            ("a_1b", "a1b"),
        ] {
            assert_eq!(json_name(name), expected, "{name}");
        }
    }

    #[test]
    fn a_default_number_has_one_form_at_its_own_precision() {
        for (values, single, double) in [
            (
                ["0.333333343", "0.3333333432674408"],
                "0.33333334",
                "0.3333333432674408",
            ),
            (["1e+10", "10000000000"], "10000000000.0", "10000000000.0"),
            (["inf", "inf"], "inf", "inf"),
            (["-0", "-0.0"], "-0.0", "-0.0"),
        ] {
            for value in values {
                assert_eq!(shortest::<f32>(value.to_owned()), single, "{value}");
            }
            assert_eq!(
                shortest::<f64>(values[1].to_owned()),
                double,
                "{}",
                values[1]
            );
        }
    }

    #[test]
    fn a_well_known_file_is_the_embedded_copy() {
        let theirs = FileDescriptorProto {
            name: Some("google/protobuf/empty.proto".to_owned()),
            package: Some("of.another.version".to_owned()),
            ..Default::default()
        };
        assert_eq!(
            normalise(theirs).expect("known").package(),
            "google.protobuf"
        );
    }
}
