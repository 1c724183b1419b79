//! The check for elements that have no Rust form, before prost-build runs.
//!
//! prost-build panics on some of them and writes code that rustc rejects for others. Here they
//! become errors that name both elements. prost-build converts names to Rust's cases, so different
//! names in Protobuf may be one name in Rust.
//!
//! Called by the generator for each `.proto` file, before its messages.

use std::collections::BTreeMap;
use std::fmt;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
};

use crate::error::Error;
use crate::full_names::scope;
use crate::keyword_maps;
use crate::names::{has_rust_form, snake, upper_camel, variant};
use crate::options::Options;
use crate::schema::{Part, Schema};

/// Returns an error for the first element of the schema that cannot be generated.
pub(crate) fn check(schema: &Schema, options: &Options) -> Result<(), Error> {
    check_names_of_services(schema)?;
    if !options.messages {
        return Ok(());
    }
    let generated: Vec<&FileDescriptorProto> = schema
        .files()
        .filter(|(_, part)| *part != Part::Nothing)
        .map(|(file, _)| file)
        .collect();
    let mut names = Names {
        options,
        taken: BTreeMap::new(),
    };
    generated.iter().for_each(|file| names.add_package(file));
    generated.iter().try_for_each(|file| names.add_file(file))
}

/// Checks that the names of a service and its methods are more than underscores.
fn check_names_of_services(schema: &Schema) -> Result<(), Error> {
    for (file, part) in schema.files() {
        if part == Part::Nothing {
            continue;
        }
        let package = format!("package {}", file.package());
        for name in file.package.iter().flat_map(|package| package.split('.')) {
            check_name(file.name(), &package, name)?;
        }
        if part == Part::Whole {
            for service in &file.service {
                check_name(file.name(), &package, service.name())?;
                let service_name = format!("service {}", service.name());
                for method in &service.method {
                    check_name(file.name(), &service_name, method.name())?;
                }
            }
        }
    }
    Ok(())
}

fn check_name(file: &str, element: &str, name: &str) -> Result<(), Error> {
    if has_rust_form(name) {
        return Ok(());
    }
    let problem = format!("`{name}` has no Rust form, which needs a letter or a digit: rename it");
    Err(Error::schema(file, element, problem))
}

/// The Rust names that are taken, with their elements.
struct Names<'a> {
    options: &'a Options,
    taken: BTreeMap<Claim, String>,
}

/// A name of one kind in one scope. The scope is the path of a module for types and modules, and an
/// element for the rest.
type Claim = (String, Kind, String);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Type,
    Module,
    Field,
    Variant,
    /// An accessor that prost derives for a field.
    Accessor,
}

/// The place of names: the element in error texts, and the module of the element's contents.
struct Place<'a> {
    file: &'a str,
    element: String,
    module: String,
    is_proto2: bool,
}

impl Names<'_> {
    /// Claims the modules of a package. Packages may share modules with each other, but not with a
    /// message.
    fn add_package(&mut self, file: &FileDescriptorProto) {
        let mut module = String::new();
        for part in file.package().split('.').filter(|part| !part.is_empty()) {
            let claim = (module.clone(), Kind::Type, snake(part));
            self.taken
                .entry(claim)
                .or_insert_with(|| format!("package {}", file.package()));
            module = format!("{module}::{}", snake(part));
        }
    }

    fn add_file(&mut self, file: &FileDescriptorProto) -> Result<(), Error> {
        let parts = file.package().split('.').filter(|part| !part.is_empty());
        let place = Place {
            file: file.name(),
            element: format!("package {}", file.package()),
            module: parts.map(|part| format!("::{}", snake(part))).collect(),
            is_proto2: file.syntax().is_empty(),
        };
        self.add_types(&place, &scope(file), &file.message_type, &file.enum_type)
    }

    fn add_types(
        &mut self,
        place: &Place<'_>,
        scope: &str,
        messages: &[DescriptorProto],
        enums: &[EnumDescriptorProto],
    ) -> Result<(), Error> {
        for message in messages.iter().filter(|message| !is_map_entry(message)) {
            let name = format!("{scope}.{}", message.name());
            if !self.options.is_extern(&name) {
                self.claim(
                    place,
                    Kind::Type,
                    upper_camel(message.name()),
                    message.name(),
                )?;
                if has_module(message) {
                    self.claim(place, Kind::Module, snake(message.name()), message.name())?;
                }
                self.add_message(place, &name, message)?;
            }
        }
        for enumeration in enums {
            let name = format!("{scope}.{}", enumeration.name());
            if !self.options.is_extern(&name) {
                self.claim(
                    place,
                    Kind::Type,
                    upper_camel(enumeration.name()),
                    enumeration.name(),
                )?;
                self.add_enum(place, &name, enumeration)?;
            }
        }
        Ok(())
    }

    fn add_message(
        &mut self,
        outer: &Place<'_>,
        name: &str,
        message: &DescriptorProto,
    ) -> Result<(), Error> {
        let place = Place {
            file: outer.file,
            element: format!("message {}", &name[1..]),
            module: format!("{}::{}", outer.module, snake(message.name())),
            is_proto2: outer.is_proto2,
        };
        self.add_types(&place, name, &message.nested_type, &message.enum_type)?;
        for (index, oneof) in (0..).zip(&message.oneof_decl) {
            let variants: Vec<_> = message
                .field
                .iter()
                .filter(|field| field.oneof_index == Some(index) && !field.proto3_optional())
                .collect();
            if !variants.is_empty() {
                self.claim(&place, Kind::Field, snake(oneof.name()), oneof.name())?;
                self.claim(
                    &place,
                    Kind::Type,
                    oneof_type(message, oneof.name()),
                    oneof.name(),
                )?;
                let place = Place {
                    element: format!("oneof {}.{}", &name[1..], oneof.name()),
                    module: place.module.clone(),
                    ..place
                };
                for field in variants {
                    self.claim(
                        &place,
                        Kind::Variant,
                        upper_camel(field.name()),
                        field.name(),
                    )?;
                }
            }
        }
        for field in &message.field {
            if field.oneof_index.is_none() || field.proto3_optional() {
                self.claim(&place, Kind::Field, snake(field.name()), field.name())?;
                for accessor in accessors(outer.is_proto2, message, field) {
                    self.claim(&place, Kind::Accessor, accessor, field.name())?;
                }
            }
        }
        Ok(())
    }

    fn add_enum(
        &mut self,
        outer: &Place<'_>,
        name: &str,
        enumeration: &EnumDescriptorProto,
    ) -> Result<(), Error> {
        let place = Place {
            file: outer.file,
            element: format!("enum {}", &name[1..]),
            module: outer.module.clone(),
            is_proto2: outer.is_proto2,
        };
        let mut numbers = Vec::new();
        for value in &enumeration.value {
            // An alias has no variant.
            if !numbers.contains(&value.number()) {
                numbers.push(value.number());
                self.claim(
                    &place,
                    Kind::Variant,
                    variant(enumeration.name(), value.name()),
                    value.name(),
                )?;
            }
        }
        Ok(())
    }

    fn claim(
        &mut self,
        place: &Place<'_>,
        kind: Kind,
        rust: String,
        proto: &str,
    ) -> Result<(), Error> {
        let scope = match kind {
            Kind::Type | Kind::Module => &place.module,
            Kind::Field | Kind::Variant | Kind::Accessor => &place.element,
        };
        check_name(place.file, &place.element, proto)?;
        // Types and modules share one namespace.
        let namespace = if kind == Kind::Module {
            Kind::Type
        } else {
            kind
        };
        match self
            .taken
            .insert((scope.clone(), namespace, rust.clone()), proto.to_owned())
        {
            None => Ok(()),
            Some(other) if other == proto => {
                let problem = format!(
                    "the message `{proto}` and the module of its nested types would both be `{rust}`: \
                     give it a name with a letter"
                );
                Err(Error::schema(place.file, &place.element, problem))
            }
            Some(other) => {
                let way = match (kind, other.strip_prefix("package ")) {
                    (Kind::Accessor, _) => ": rename one of the fields".to_owned(),
                    (_, Some(package)) => format!(
                        ": generate the package in a run and into a folder of its own, and give this run \
                         `extern_path=.{package}=RUST_PATH`"
                    ),
                    _ => String::new(),
                };
                let problem = format!("`{other}` and `{proto}` would both be {kind} `{rust}`{way}");
                Err(Error::schema(place.file, &place.element, problem))
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "type",
            Self::Module => "module",
            Self::Field => "field",
            Self::Variant => "variant",
            Self::Accessor => "accessor",
        })
    }
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message
        .options
        .as_ref()
        .is_some_and(prost_types::MessageOptions::map_entry)
}

/// Returns the name of a oneof's enum. prost-build makes it differ from the types nested beside it,
/// including map entries.
fn oneof_type(message: &DescriptorProto, oneof: &str) -> String {
    let name = upper_camel(oneof);
    let nested = message.nested_type.iter().map(DescriptorProto::name);
    let enums = message.enum_type.iter().map(EnumDescriptorProto::name);
    if nested.chain(enums).any(|other| upper_camel(other) == name) {
        format!("{name}OneOf")
    } else {
        name
    }
}

/// Returns the accessors that prost derives for a field: those of enums and of optional scalars.
fn accessors(
    is_proto2: bool,
    message: &DescriptorProto,
    field: &FieldDescriptorProto,
) -> Vec<String> {
    let rust = snake(field.name());
    let plain = rust.strip_prefix("r#").unwrap_or(&rust);
    let named = |prefix: &str| format!("{prefix}_{plain}");
    let entry = message.nested_type.iter().find(|nested| {
        is_map_entry(nested)
            && field
                .type_name()
                .ends_with(&format!(".{}.{}", message.name(), nested.name()))
    });
    if let Some(entry) = entry {
        let is_enum = entry.field.iter().any(|part| part.r#type() == Type::Enum);
        return if is_enum {
            let name = keyword_maps::named(&rust);
            vec![format!("get_{name}"), format!("insert_{name}")]
        } else {
            Vec::new()
        };
    }
    match (field.r#type(), field.label()) {
        (Type::Message | Type::Group, _) => Vec::new(),
        (Type::Enum, Label::Repeated) => vec![plain.to_owned(), named("push")],
        (Type::Enum, _) => vec![plain.to_owned(), named("set")],
        (_, Label::Optional) if is_proto2 || field.proto3_optional() => vec![plain.to_owned()],
        _ => Vec::new(),
    }
}

/// Returns whether prost-build writes a module for the types in the message.
fn has_module(message: &DescriptorProto) -> bool {
    let has_oneof = message
        .field
        .iter()
        .any(|field| field.oneof_index.is_some() && !field.proto3_optional());
    has_oneof
        || !message.enum_type.is_empty()
        || message
            .nested_type
            .iter()
            .any(|nested| !is_map_entry(nested))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::schema;

    fn check_text(body: &str, options: &Options) -> Result<(), Error> {
        let text = format!("syntax = \"proto2\"; package a.b; {body}");
        let other = r#"syntax = "proto3"; package a.b.other; message M {}"#;
        let files = [("a.proto", text.as_str()), ("other.proto", other)];
        check(
            &schema(&files, &["a.proto", "other.proto"], options)?,
            options,
        )
    }

    #[test]
    fn two_elements_of_one_rust_name_are_an_error_that_names_both() {
        for (body, expected) in [
            (
                "enum Color { COLOR_RED = 0; Red = 1; }",
                "a.proto: enum a.b.Color: `COLOR_RED` and `Red` would both be variant `Red`",
            ),
            (
                "message M { optional int32 get_x = 1; optional int32 GetX = 2; }",
                "a.proto: message a.b.M: `get_x` and `GetX` would both be field `get_x`",
            ),
            (
                "message M { oneof One { int32 x = 1; int32 X = 2; } }",
                "a.proto: oneof a.b.M.One: `x` and `X` would both be variant `X`",
            ),
            (
                "message M { optional int32 One = 1; oneof one { int32 x = 2; } }",
                "a.proto: message a.b.M: `one` and `One` would both be field `one`",
            ),
            (
                "message M { message FooBar {} enum foo_bar { A = 0; } }",
                "a.proto: message a.b.M: `FooBar` and `foo_bar` would both be type `FooBar`",
            ),
            (
                "message FooBar {} message Foo_Bar {}",
                "a.proto: package a.b: `FooBar` and `Foo_Bar` would both be type `FooBar`",
            ),
            (
                "message Other { message Nested {} }",
                "a.proto: package a.b: `package a.b.other` and `Other` would both be module `other`: \
                 generate the package in a run and into a folder of its own, and give this run \
                 `extern_path=.a.b.other=RUST_PATH`",
            ),
            (
                "enum E { A = 0; } message M { optional E kind = 1; optional E set_kind = 2; }",
                "a.proto: message a.b.M: `kind` and `set_kind` would both be accessor `set_kind`: rename one of the fields",
            ),
            (
                "enum E { A = 0; } message M { map<int32, E> m = 5; optional string get_m = 7; }",
                "a.proto: message a.b.M: `m` and `get_m` would both be accessor `get_m`: rename one of the fields",
            ),
            (
                "enum E { A = 0; } message M { repeated E a = 1; optional int32 push_a = 2; }",
                "a.proto: message a.b.M: `a` and `push_a` would both be accessor `push_a`: rename one of the fields",
            ),
            (
                "message M { message Kind {} message KindOneOf {} oneof kind { int32 a = 1; } }",
                "a.proto: message a.b.M: `KindOneOf` and `kind` would both be type `KindOneOf`",
            ),
            (
                "message _1 { message Nested {} }",
                "a.proto: package a.b: the message `_1` and the module of its nested types would both be `_1`: \
                 give it a name with a letter",
            ),
            (
                "message _ {}",
                "a.proto: package a.b: `_` has no Rust form, which needs a letter or a digit: rename it",
            ),
            (
                "message M {} service __ { rpc C(M) returns (M); }",
                "a.proto: package a.b: `__` has no Rust form, which needs a letter or a digit: rename it",
            ),
        ] {
            let error = check_text(body, &Options::default()).expect_err(body);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn names_that_prost_distinguishes_are_no_conflict() {
        for body in [
            "enum Color { option allow_alias = true; COLOR_RED = 0; RED = 0; }",
            "message M { map<string, int32> x = 1; map<string, int32> y = 2; }",
            "message M { optional int32 x = 1; oneof y { int32 X = 2; } }",
            "enum E { A = 0; } message M { optional E x = 1; repeated int32 set_x = 2; }",
            "enum E { A = 0; } message M { map<int32, E> type = 1; optional int32 get_type = 2; }",
            "message Other {}",
            "message M { message Nested {} oneof nested { int32 x = 1; } }",
        ] {
            check_text(body, &Options::default()).expect(body);
        }
    }

    #[test]
    fn elements_that_are_not_generated_do_not_conflict() {
        let body = "enum Color { COLOR_RED = 0; Red = 1; }";
        for parameter in ["messages=false", "extern_path=.a.b.Color=::c::Color"] {
            let options = Options::parse(parameter).expect(parameter);
            check_text(body, &options).expect(parameter);
        }
    }
}
