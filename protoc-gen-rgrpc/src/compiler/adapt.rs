//! The changes of a file's descriptor before protox links it.
//!
//! protox differs from protoc: it looks up names in all files of a run, follows only every other
//! public import, knows an older descriptor.proto, and is stricter about JSON names of fields. So
//! this module resolves names as protoc does, imports all public imports directly, and removes the
//! rest. [`restore`] adds back what is part of the descriptor.

use std::collections::BTreeMap;

use prost_types::uninterpreted_option::NamePart;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    UninterpretedOption,
};

use crate::descriptor::json_name;

/// The options of a current descriptor.proto that protox does not know. The generator uses none.
const NEWER_OPTIONS: [&str; 10] = [
    "debug_redact",
    "declaration",
    "deprecated_legacy_json_field_conflicts",
    "edition_defaults",
    "feature_support",
    "features",
    "retention",
    "targets",
    "unverified_lazy",
    "verification",
];

/// Returns the changed form of the first file. The others are the files that it can see.
pub(super) fn adapt(visible: &[&FileDescriptorProto]) -> FileDescriptorProto {
    let Some((file, others)) = visible.split_first() else {
        return FileDescriptorProto::default();
    };
    let mut file = (*file).clone();
    for other in others {
        if !file.dependency.iter().any(|import| import == other.name()) {
            file.dependency.push(other.name().to_owned());
        }
    }
    let names = Names::of(visible);
    let scope = file.package().to_owned();
    let is_proto3 = file.syntax() == "proto3";
    if let Some(options) = &mut file.options {
        names.options(&join(&scope, "_"), &mut options.uninterpreted_option);
    }
    for message in &mut file.message_type {
        names.message(&scope, message, is_proto3);
    }
    for enumeration in &mut file.enum_type {
        names.enumeration(&scope, enumeration);
    }
    for extension in &mut file.extension {
        names.field(&scope, extension);
    }
    for service in &mut file.service {
        let scope = join(&scope, service.name());
        if let Some(options) = &mut service.options {
            names.options(&scope, &mut options.uninterpreted_option);
        }
        for method in &mut service.method {
            let scope = join(&scope, method.name());
            if let Some(options) = &mut method.options {
                names.options(&scope, &mut options.uninterpreted_option);
            }
            names.type_name(&scope, &mut method.input_type);
            names.type_name(&scope, &mut method.output_type);
        }
    }
    file
}

/// Restores the imports and field names of a linked file.
pub(super) fn restore(file: &mut FileDescriptorProto, original: &FileDescriptorProto) {
    file.dependency.clone_from(&original.dependency);
    for (message, original) in file.message_type.iter_mut().zip(&original.message_type) {
        restore_message(message, original);
    }
}

fn restore_message(message: &mut DescriptorProto, original: &DescriptorProto) {
    for (field, original) in message.field.iter_mut().zip(&original.field) {
        if field.name != original.name {
            field.name.clone_from(&original.name);
            field.json_name.clone_from(&original.json_name);
        }
    }
    for (nested, original) in message.nested_type.iter_mut().zip(&original.nested_type) {
        restore_message(nested, original);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A package or a service.
    Scope,
    Type,
    Extension {
        is_float: bool,
    },
    Other,
}

/// The names that a file can see, without leading dots.
struct Names(BTreeMap<String, Kind>);

impl Names {
    fn of(files: &[&FileDescriptorProto]) -> Self {
        let mut names = Self(BTreeMap::new());
        for file in files {
            let mut package = String::new();
            for part in file.package().split('.') {
                package = join(&package, part);
                names.0.entry(package.clone()).or_insert(Kind::Scope);
            }
            names.add_types(&package, &file.message_type, &file.enum_type);
            names.add_extensions(&package, &file.extension);
            for service in &file.service {
                let name = join(&package, service.name());
                for method in &service.method {
                    names.0.insert(join(&name, method.name()), Kind::Other);
                }
                names.0.insert(name, Kind::Scope);
            }
        }
        names
    }

    fn add_types(
        &mut self,
        scope: &str,
        messages: &[DescriptorProto],
        enums: &[EnumDescriptorProto],
    ) {
        for message in messages {
            let name = join(scope, message.name());
            for field in &message.field {
                self.0.insert(join(&name, field.name()), Kind::Other);
            }
            for oneof in &message.oneof_decl {
                self.0.insert(join(&name, oneof.name()), Kind::Other);
            }
            self.add_types(&name, &message.nested_type, &message.enum_type);
            self.add_extensions(&name, &message.extension);
            self.0.insert(name, Kind::Type);
        }
        for enumeration in enums {
            // Enum values are siblings of their enum.
            for value in &enumeration.value {
                self.0.insert(join(scope, value.name()), Kind::Other);
            }
            self.0.insert(join(scope, enumeration.name()), Kind::Type);
        }
    }

    fn add_extensions(&mut self, scope: &str, extensions: &[FieldDescriptorProto]) {
        use prost_types::field_descriptor_proto::Type;
        for extension in extensions {
            let is_float = extension.type_name.is_none()
                && matches!(extension.r#type(), Type::Float | Type::Double);
            let name = join(scope, extension.name());
            self.0.insert(name, Kind::Extension { is_float });
        }
    }

    /// Resolves `name` within `scope` to its full name. The innermost scope that has the first part
    /// of the name decides.
    fn resolve(&self, scope: &str, name: &str, types: bool) -> Option<(String, Kind)> {
        if let Some(full) = name.strip_prefix('.') {
            return Some((full.to_owned(), *self.0.get(full)?));
        }
        let first = name.split('.').next().unwrap_or(name);
        let mut scope = scope;
        while let Some((outer, _)) = scope.rsplit_once('.') {
            scope = outer;
            match self.0.get(&join(scope, first)) {
                Some(Kind::Scope | Kind::Type) if first.len() < name.len() => {
                    let full = join(scope, name);
                    let kind = *self.0.get(&full)?;
                    return Some((full, kind));
                }
                Some(kind) if first.len() == name.len() && (!types || *kind == Kind::Type) => {
                    return Some((join(scope, name), *kind));
                }
                _ => {}
            }
        }
        Some((name.to_owned(), *self.0.get(name)?))
    }

    /// Makes a name absolute, if it is the name of a type.
    fn type_name(&self, scope: &str, name: &mut Option<String>) {
        if let Some(name) = name
            && let Some((full, Kind::Type)) = self.resolve(scope, name, true)
        {
            *name = format!(".{full}");
        }
    }

    fn message(&self, scope: &str, message: &mut DescriptorProto, is_proto3: bool) {
        let scope = join(scope, message.name());
        let options = message.options.as_ref();
        let is_legacy = options.is_some_and(|options| {
            options.uninterpreted_option.iter().any(|option| {
                option.identifier_value() == "true"
                    && matches!(option.name.as_slice(), [part]
                        if part.name_part == "deprecated_legacy_json_field_conflicts")
            })
        });
        if is_legacy {
            rename_json_conflicts(&mut message.field, JsonConflicts::None);
        } else if is_proto3 {
            rename_json_conflicts(&mut message.field, JsonConflicts::Proto3);
        } else {
            rename_json_conflicts(&mut message.field, JsonConflicts::Proto2);
        }
        if let Some(options) = &mut message.options {
            self.options(&scope, &mut options.uninterpreted_option);
        }
        for field in message.field.iter_mut().chain(&mut message.extension) {
            self.field(&scope, field);
        }
        for oneof in &mut message.oneof_decl {
            let scope = join(&scope, oneof.name());
            if let Some(options) = &mut oneof.options {
                self.options(&scope, &mut options.uninterpreted_option);
            }
        }
        for range in &mut message.extension_range {
            if let Some(options) = &mut range.options {
                self.options(&join(&scope, "_"), &mut options.uninterpreted_option);
            }
        }
        for nested in &mut message.nested_type {
            self.message(&scope, nested, is_proto3);
        }
        for enumeration in &mut message.enum_type {
            self.enumeration(&scope, enumeration);
        }
    }

    fn enumeration(&self, scope: &str, enumeration: &mut EnumDescriptorProto) {
        let name = join(scope, enumeration.name());
        if let Some(options) = &mut enumeration.options {
            self.options(&name, &mut options.uninterpreted_option);
        }
        for value in &mut enumeration.value {
            let scope = join(scope, value.name());
            if let Some(options) = &mut value.options {
                self.options(&scope, &mut options.uninterpreted_option);
            }
        }
    }

    fn field(&self, scope: &str, field: &mut FieldDescriptorProto) {
        let scope = join(scope, field.name());
        self.type_name(&scope, &mut field.type_name);
        self.type_name(&scope, &mut field.extendee);
        if let Some(options) = &mut field.options {
            self.options(&scope, &mut options.uninterpreted_option);
        }
    }

    fn options(&self, scope: &str, options: &mut Vec<UninterpretedOption>) {
        options.retain(|option| {
            !matches!(option.name.as_slice(), [NamePart { name_part, is_extension: false }, ..]
                if NEWER_OPTIONS.contains(&name_part.as_str()))
        });
        for option in options {
            let mut takes_float = true;
            for part in option.name.iter_mut().filter(|part| part.is_extension) {
                if let Some((full, Kind::Extension { is_float })) =
                    self.resolve(scope, &part.name_part, false)
                {
                    part.name_part = format!(".{full}");
                    takes_float = is_float;
                }
            }
            let number = match option.identifier_value() {
                "inf" => f64::INFINITY,
                "nan" => f64::NAN,
                _ => continue,
            };
            // The last part of a longer name is a field of a type that is unknown here.
            if takes_float || option.name.len() > 1 {
                option.identifier_value = None;
                option.double_value = Some(number);
            }
        }
    }
}

/// The JSON name conflicts that protoc refuses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum JsonConflicts {
    /// All conflicts.
    Proto3,
    /// Conflicts of explicit names. protoc only warns of the others.
    Proto2,
    /// No conflicts.
    None,
}

/// Renames fields whose JSON names conflict for protox, but not for protoc or only with a warning.
fn rename_json_conflicts(fields: &mut [FieldDescriptorProto], judge: JsonConflicts) {
    let mut seen: Vec<(String, String, Option<String>)> = Vec::new();
    for (at, field) in fields.iter_mut().enumerate() {
        let default = json_name(field.name());
        let custom = field.json_name.clone().filter(|name| *name != default);
        let plain = field.name().replace('_', "").to_ascii_lowercase();
        let is_same = |other: &(String, String, Option<String>)| {
            let (other_plain, other_default, other_custom) = other;
            let name = custom.as_ref().unwrap_or(&default);
            let other_name = other_custom.as_ref().unwrap_or(other_default);
            *other_plain == plain || name == other_name
        };
        // protoc refuses these too, and protox reports them.
        let is_error = |other: &(String, String, Option<String>)| {
            let (_, other_default, other_custom) = other;
            let names_coincide = custom.as_ref().unwrap_or(&default)
                == other_custom.as_ref().unwrap_or(other_default);
            match judge {
                JsonConflicts::Proto3 => names_coincide || *other_default == default,
                JsonConflicts::Proto2 => {
                    names_coincide && custom.is_some() && other_custom.is_some()
                }
                JsonConflicts::None => false,
            }
        };
        if seen.iter().any(is_same) && !seen.iter().any(is_error) {
            let name = format!("rgrpc_renamed_{at}");
            field.name = Some(name.clone());
            field.json_name = Some(name);
        }
        seen.push((plain, default, custom));
    }
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() {
        name.to_owned()
    } else {
        format!("{scope}.{name}")
    }
}
