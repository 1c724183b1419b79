//! The defaults of proto2 fields that are aliases of an enum.
//!
//! A number with several names has one Rust variant, with the first name, so prost-build needs that
//! name. buf writes the first name into the descriptor, and protoc writes the alias. [`canonical`]
//! gives both the same form.
//!
//! Called when a schema is made of a compiler's output.

use std::collections::BTreeMap;

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
};

/// The first name for each alias, by the enum's full name.
type Names = BTreeMap<String, BTreeMap<String, String>>;

/// Replaces each default that is an alias by the first name of its number.
pub(crate) fn canonical<'a>(files: impl IntoIterator<Item = &'a mut FileDescriptorProto>) {
    let mut files: Vec<_> = files.into_iter().collect();
    let mut names = Names::new();
    for file in &files {
        let scope = match file.package() {
            "" => String::new(),
            package => format!(".{package}"),
        };
        collect(&scope, &file.message_type, &file.enum_type, &mut names);
    }
    for file in &mut files {
        file.extension
            .iter_mut()
            .for_each(|field| replace(field, &names));
        file.message_type
            .iter_mut()
            .for_each(|message| replace_in(message, &names));
    }
}

/// Collects the aliases. Enums without aliases are omitted.
fn collect(
    scope: &str,
    messages: &[DescriptorProto],
    enums: &[EnumDescriptorProto],
    names: &mut Names,
) {
    for enumeration in enums {
        let mut first = BTreeMap::new();
        let mut aliases = BTreeMap::new();
        for value in &enumeration.value {
            let name = *first.entry(value.number()).or_insert(value.name());
            if name != value.name() {
                aliases.insert(value.name().to_owned(), name.to_owned());
            }
        }
        if !aliases.is_empty() {
            names.insert(format!("{scope}.{}", enumeration.name()), aliases);
        }
    }
    for message in messages {
        let scope = format!("{scope}.{}", message.name());
        collect(&scope, &message.nested_type, &message.enum_type, names);
    }
}

fn replace_in(message: &mut DescriptorProto, names: &Names) {
    let fields = message.field.iter_mut().chain(&mut message.extension);
    fields.for_each(|field| replace(field, names));
    message
        .nested_type
        .iter_mut()
        .for_each(|nested| replace_in(nested, names));
}

fn replace(field: &mut FieldDescriptorProto, names: &Names) {
    if let Some(default) = &mut field.default_value
        && let Some(type_name) = &field.type_name
        && let Some(name) = names
            .get(type_name)
            .and_then(|enumeration| enumeration.get(default))
    {
        default.clone_from(name);
    }
}

#[cfg(test)]
mod tests {
    use prost_types::EnumValueDescriptorProto;

    use super::*;

    #[test]
    fn a_default_that_is_an_alias_becomes_the_first_name_of_its_number() {
        let value = |name: &str, number| EnumValueDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            ..EnumValueDescriptorProto::default()
        };
        for (default, expected) in [("A", "A"), ("B", "B"), ("C", "B"), ("UNKNOWN", "UNKNOWN")] {
            let message = DescriptorProto {
                name: Some("M".to_owned()),
                enum_type: vec![EnumDescriptorProto {
                    name: Some("E".to_owned()),
                    value: vec![value("A", 0), value("B", 1), value("C", 1)],
                    ..EnumDescriptorProto::default()
                }],
                field: vec![FieldDescriptorProto {
                    type_name: Some(".p.M.E".to_owned()),
                    default_value: Some(default.to_owned()),
                    ..FieldDescriptorProto::default()
                }],
                ..DescriptorProto::default()
            };
            let mut file = FileDescriptorProto {
                package: Some("p".to_owned()),
                message_type: vec![message],
                ..FileDescriptorProto::default()
            };
            canonical([&mut file]);
            assert_eq!(file.message_type[0].field[0].default_value(), expected);
        }
    }
}
