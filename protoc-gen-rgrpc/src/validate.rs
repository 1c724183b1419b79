//! The checks of descriptors that prost-build relies on.
//!
//! prost-build panics on malformed descriptors, and a request need not come from a compiler. The
//! checks cover only what the generator needs. Stricter checks than protoc's would refuse valid
//! schemas.
//!
//! Called when a schema is made of a compiler's output.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    ServiceDescriptorProto,
};

use crate::error::Error;
use crate::full_names::scope;

/// The maximum field number: 29 bits.
const MAX_FIELD_NUMBER: i32 = (1 << 29) - 1;

/// Returns an error for the first descriptor that the generator cannot process.
pub(crate) fn check<'a>(
    files: impl Iterator<Item = &'a FileDescriptorProto> + Clone,
) -> Result<(), Error> {
    let names: BTreeSet<&str> = files.clone().map(FileDescriptorProto::name).collect();
    let mut types = BTreeMap::new();
    for file in files.clone() {
        let place = Place::of(file);
        for part in file.package.iter().flat_map(|package| package.split('.')) {
            place.identifier("package name", part)?;
        }
        if let Some(import) = file
            .dependency
            .iter()
            .find(|import| !names.contains(import.as_str()))
        {
            return Err(place.error(format!(
                "the descriptor of the import `{import}` is missing"
            )));
        }
        define(
            &place,
            &scope(file),
            None,
            &file.message_type,
            &file.enum_type,
            &mut types,
        )?;
    }
    for file in files {
        let place = Place::of(file);
        for message in &file.message_type {
            check_message(&place.within(message.name()), message, &types)?;
        }
        for service in &file.service {
            check_service(&place, service, &types)?;
        }
    }
    Ok(())
}

/// The definition of a type.
enum Definition<'a> {
    Message,
    /// The entry of a map field of the message with this full name.
    MapEntry(String),
    Enum(&'a EnumDescriptorProto),
}

/// The types by full name, with a leading dot.
type Types<'a> = BTreeMap<String, Definition<'a>>;

/// The element that an error names.
struct Place<'a> {
    file: &'a str,
    /// The full name, with a leading dot.
    element: String,
}

impl<'a> Place<'a> {
    fn of(file: &'a FileDescriptorProto) -> Self {
        Self {
            file: file.name(),
            element: scope(file),
        }
    }

    fn within(&self, name: &str) -> Self {
        Self {
            file: self.file,
            element: format!("{}.{name}", self.element),
        }
    }

    fn identifier(&self, what: &str, name: &str) -> Result<(), Error> {
        let mut characters = name.chars();
        let starts = |first: char| first == '_' || first.is_ascii_alphabetic();
        if characters.next().is_some_and(starts)
            && characters.all(|c| c == '_' || c.is_ascii_alphanumeric())
        {
            Ok(())
        } else {
            Err(self.error(format!("the {what} `{name}` is not an identifier")))
        }
    }

    fn error(&self, problem: String) -> Error {
        let file = if self.file.is_empty() {
            "a file without a name"
        } else {
            self.file
        };
        Error::Request(match self.element.get(1..) {
            Some(element) if !element.is_empty() => format!("{file}: {element}: {problem}"),
            _ => format!("{file}: {problem}"),
        })
    }
}

/// Collects the types of a scope. `message` is the scope's full name if the scope is a message.
fn define<'a>(
    place: &Place<'_>,
    scope: &str,
    message: Option<&str>,
    messages: &'a [DescriptorProto],
    enums: &'a [EnumDescriptorProto],
    types: &mut Types<'a>,
) -> Result<(), Error> {
    let mut add = |name: &str, definition| {
        if types.insert(name.to_owned(), definition).is_some() {
            return Err(place.error(format!("`{}` is defined twice", &name[1..])));
        }
        Ok(())
    };
    for enumeration in enums {
        place.identifier("enum name", enumeration.name())?;
        let name = format!("{scope}.{}", enumeration.name());
        add(&name, Definition::Enum(enumeration))?;
        check_enum(&place.within(enumeration.name()), enumeration)?;
    }
    for nested in messages {
        place.identifier("message name", nested.name())?;
        let name = format!("{scope}.{}", nested.name());
        let is_map_entry = nested
            .options
            .as_ref()
            .is_some_and(prost_types::MessageOptions::map_entry);
        let definition = match message {
            Some(message) if is_map_entry => Definition::MapEntry(message.to_owned()),
            None if is_map_entry => {
                return Err(place.error(format!(
                    "`{}` is the entry of a map field, but is outside a message",
                    nested.name()
                )));
            }
            _ => Definition::Message,
        };
        add(&name, definition)?;
    }
    for nested in messages {
        let name = format!("{scope}.{}", nested.name());
        define(
            &place.within(nested.name()),
            &name,
            Some(&name),
            &nested.nested_type,
            &nested.enum_type,
            types,
        )?;
    }
    Ok(())
}

fn check_enum(place: &Place<'_>, enumeration: &EnumDescriptorProto) -> Result<(), Error> {
    if enumeration.value.is_empty() {
        return Err(place.error("an enum must have a value".to_owned()));
    }
    let mut names = BTreeSet::new();
    for value in &enumeration.value {
        place.identifier("value name", value.name())?;
        if !names.insert(value.name()) {
            return Err(place.error(format!("`{}` is defined twice", value.name())));
        }
    }
    Ok(())
}

fn check_message(
    place: &Place<'_>,
    message: &DescriptorProto,
    types: &Types<'_>,
) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    for oneof in &message.oneof_decl {
        place.identifier("oneof name", oneof.name())?;
        if !names.insert(oneof.name()) {
            return Err(place.error(format!("`{}` is defined twice", oneof.name())));
        }
    }
    let mut numbers = BTreeSet::new();
    for field in &message.field {
        place.identifier("field name", field.name())?;
        if !names.insert(field.name()) {
            return Err(place.error(format!("`{}` is defined twice", field.name())));
        }
        let place = place.within(field.name());
        if !(1..=MAX_FIELD_NUMBER).contains(&field.number()) {
            return Err(place.error(format!("{} is not a field number", field.number())));
        }
        if !numbers.insert(field.number()) {
            return Err(place.error(format!("the number {} is used twice", field.number())));
        }
        check_field(&place, field, message, types)?;
    }
    for nested in &message.nested_type {
        let place = place.within(nested.name());
        if matches!(types.get(&place.element), Some(Definition::MapEntry(_))) {
            check_map_entry(&place, nested)?;
        }
        check_message(&place, nested, types)?;
    }
    Ok(())
}

fn check_field(
    place: &Place<'_>,
    field: &FieldDescriptorProto,
    message: &DescriptorProto,
    types: &Types<'_>,
) -> Result<(), Error> {
    let Some(field_type) = field.r#type.and_then(|number| Type::try_from(number).ok()) else {
        return Err(place.error("the field has no type".to_owned()));
    };
    let Some(label) = field
        .label
        .map_or(Some(Label::Optional), |number| Label::try_from(number).ok())
    else {
        return Err(place.error("the field has an unknown label".to_owned()));
    };
    if let Some(index) = field.oneof_index {
        let exists = usize::try_from(index).is_ok_and(|index| index < message.oneof_decl.len());
        if !exists {
            return Err(place.error(format!("there is no oneof with the index {index}")));
        }
        if label != Label::Optional {
            return Err(
                place.error("a member of a oneof is neither repeated nor required".to_owned())
            );
        }
    }
    let definition = types.get(field.type_name());
    match (field_type, definition) {
        (Type::Message, Some(Definition::MapEntry(parent))) => {
            let is_own = place
                .element
                .rsplit_once('.')
                .is_some_and(|(of, _)| of == parent);
            if !is_own || label != Label::Repeated {
                return Err(place.error(format!(
                    "`{}` is the entry of another map field",
                    field.type_name()
                )));
            }
        }
        (Type::Message | Type::Group, Some(Definition::Message))
        | (Type::Enum, Some(Definition::Enum(_))) => {}
        (Type::Message | Type::Group | Type::Enum, _) => {
            return Err(place.error(format!(
                "the type `{}` is missing or of another kind",
                field.type_name()
            )));
        }
        _ if field.type_name.is_some() => {
            return Err(place.error("a scalar field has the name of a type".to_owned()));
        }
        _ => {}
    }
    match &field.default_value {
        Some(_) if label == Label::Repeated => {
            Err(place.error("a repeated field has a default".to_owned()))
        }
        Some(value) if !is_default(field_type, definition, value) => {
            Err(place.error(format!("`{value}` is not a default of the field's type")))
        }
        _ => Ok(()),
    }
}

/// Checks that a map entry has exactly a key and a value.
fn check_map_entry(place: &Place<'_>, entry: &DescriptorProto) -> Result<(), Error> {
    let is_plain = entry.nested_type.is_empty()
        && entry.enum_type.is_empty()
        && entry.oneof_decl.is_empty()
        && entry
            .field
            .iter()
            .all(|field| field.label() == Label::Optional);
    let fields = entry
        .field
        .iter()
        .map(|field| (field.name(), field.number()));
    let is_key = |field: &FieldDescriptorProto| {
        !matches!(
            field.r#type(),
            Type::Float | Type::Double | Type::Bytes | Type::Message | Type::Group | Type::Enum
        )
    };
    if is_plain
        && fields.eq([("key", 1), ("value", 2)])
        && is_key(&entry.field[0])
        && entry.field[1].r#type() != Type::Group
    {
        Ok(())
    } else {
        Err(place.error("the entry of a map field is not a key and a value".to_owned()))
    }
}

fn check_service(
    place: &Place<'_>,
    service: &ServiceDescriptorProto,
    types: &Types<'_>,
) -> Result<(), Error> {
    place.identifier("service name", service.name())?;
    let place = place.within(service.name());
    for method in &service.method {
        place.identifier("method name", method.name())?;
        for name in [method.input_type(), method.output_type()] {
            if !matches!(types.get(name), Some(Definition::Message)) {
                return Err(place
                    .within(method.name())
                    .error(format!("`{name}` is not a message of the request")));
            }
        }
    }
    Ok(())
}

/// Returns whether a default has the form that a compiler gives a value of the type.
fn is_default(field_type: Type, definition: Option<&Definition<'_>>, value: &str) -> bool {
    match field_type {
        Type::Double => value.parse::<f64>().is_ok(),
        Type::Float => value.parse::<f32>().is_ok(),
        Type::Int64 | Type::Sfixed64 | Type::Sint64 => value.parse::<i64>().is_ok(),
        Type::Int32 | Type::Sfixed32 | Type::Sint32 => value.parse::<i32>().is_ok(),
        Type::Uint64 | Type::Fixed64 => value.parse::<u64>().is_ok(),
        Type::Uint32 | Type::Fixed32 => value.parse::<u32>().is_ok(),
        Type::Bool => value == "true" || value == "false",
        Type::String => true,
        Type::Bytes => is_c_escaped(value.as_bytes()),
        Type::Enum => match definition {
            Some(Definition::Enum(enumeration)) => enumeration
                .value
                .iter()
                .any(|candidate| candidate.name() == value),
            _ => false,
        },
        Type::Group | Type::Message => false,
    }
}

/// Returns whether every escape sequence of a default of type `bytes` is complete.
fn is_c_escaped(mut rest: &[u8]) -> bool {
    loop {
        rest = match rest {
            [] => return true,
            [b'\\', b'x' | b'X', high, low, rest @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest
            }
            // An octal escape has up to three digits and the value of a byte.
            [b'\\', b'0'..=b'7', after @ ..] => {
                let more = after
                    .iter()
                    .take(2)
                    .take_while(|digit| (b'0'..=b'7').contains(digit))
                    .count();
                if more == 2 && rest[1] > b'3' {
                    return false;
                }
                &after[more..]
            }
            [
                b'\\',
                b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'\\' | b'?' | b'\'' | b'"',
                rest @ ..,
            ] => rest,
            [b'\\', ..] => return false,
            [_, rest @ ..] => rest,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_of_a_bytes_default_is_complete() {
        for (value, expected) in [
            ("", true),
            ("a\\n\\\\\\\"", true),
            ("\\377\\0001\\07", true),
            ("\\400", false),
            ("\\xfF0", true),
            ("\\xf", false),
            ("\\x+1", false),
            ("\\", false),
            ("\\q", false),
            ("é", true),
        ] {
            assert_eq!(is_c_escaped(value.as_bytes()), expected, "{value}");
        }
    }
}
