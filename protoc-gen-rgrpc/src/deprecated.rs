//! The option `deprecated` of messages, enums and map fields.
//!
//! prost-build handles the option for other fields, enum values and oneof variants. This module
//! adds the rest to its code. It also allows deprecated types where they are mentioned, because
//! generated code must not warn.
//!
//! The implementations that prost's derives place beside a deprecated type mention it, and only an
//! attribute of the surrounding module reaches them. For a nested type this is a module of
//! prost-build. For the others it is the package's module, which the including macro writes.
//!
//! Called by the generator, on the code of prost-build.

use std::collections::BTreeSet;

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, parse_quote};

use crate::names::{snake, upper_camel};
use crate::schema::Schema;

/// The deprecated elements of a schema. Paths are Rust paths within the package's module:
/// `outer::Inner`.
#[derive(Default)]
pub(crate) struct Deprecations {
    types: BTreeSet<String>,
    /// The last segments of `types`, which identify mentions.
    type_names: BTreeSet<String>,
    map_fields: BTreeSet<(String, String)>,
}

impl Deprecations {
    /// Collects the deprecated elements that the code of a file may mention: those of the file and
    /// of its imports. Other files of the schema do not affect its code.
    pub(crate) fn of(schema: &Schema, file: &FileDescriptorProto) -> Self {
        let mut deprecations = Self::default();
        for file in schema.with_imports([file.name()]) {
            deprecations.add_file(file);
        }
        deprecations
    }

    fn add_file(&mut self, file: &FileDescriptorProto) {
        for message in &file.message_type {
            self.add_message("", message);
        }
        self.add_enums("", &file.enum_type);
    }

    fn add_message(&mut self, scope: &str, message: &DescriptorProto) {
        let name = upper_camel(message.name());
        let path = format!("{scope}{name}");
        for field in &message.field {
            let is_map = message.nested_type.iter().any(|nested| {
                nested
                    .options
                    .as_ref()
                    .is_some_and(prost_types::MessageOptions::map_entry)
                    && field.type_name().ends_with(&format!(
                        ".{}.{}",
                        message.name(),
                        nested.name()
                    ))
            });
            if is_map
                && field
                    .options
                    .as_ref()
                    .is_some_and(prost_types::FieldOptions::deprecated)
            {
                self.map_fields.insert((path.clone(), snake(field.name())));
            }
        }
        if message
            .options
            .as_ref()
            .is_some_and(prost_types::MessageOptions::deprecated)
        {
            self.add_type(path, name);
        }
        let nested_scope = format!("{scope}{}::", snake(message.name()));
        for nested in &message.nested_type {
            self.add_message(&nested_scope, nested);
        }
        self.add_enums(&nested_scope, &message.enum_type);
    }

    fn add_enums(&mut self, scope: &str, enums: &[EnumDescriptorProto]) {
        for enumeration in enums {
            if enumeration
                .options
                .as_ref()
                .is_some_and(prost_types::EnumOptions::deprecated)
            {
                let name = upper_camel(enumeration.name());
                self.add_type(format!("{scope}{name}"), name);
            }
        }
    }

    fn add_type(&mut self, path: String, name: String) {
        self.types.insert(path);
        self.type_names.insert(name);
    }

    /// Returns whether a type mentions a deprecated type, or one of the same name.
    pub(crate) fn mentions(&self, ty: &syn::Type) -> bool {
        let mut mention = Mention {
            names: &self.type_names,
            found: false,
        };
        mention.visit_type(ty);
        mention.found
    }

    /// Adds the attributes to the items of a file.
    pub(crate) fn mark(&self, items: &mut [Item]) {
        if !self.types.is_empty() || !self.map_fields.is_empty() {
            self.mark_scope("", items);
        }
    }

    /// Returns whether one of the items is deprecated, so that the surrounding module must allow
    /// it.
    fn mark_scope(&self, scope: &str, items: &mut [Item]) -> bool {
        let mut marked = false;
        for item in items {
            let mut mention = Mention {
                names: &self.type_names,
                found: false,
            };
            mention.visit_item(item);
            let (attributes, path) = match item {
                Item::Struct(item) => {
                    let path = format!("{scope}{}", item.ident);
                    for field in &mut item.fields {
                        let name = field
                            .ident
                            .as_ref()
                            .map(ToString::to_string)
                            .unwrap_or_default();
                        if self.map_fields.contains(&(path.clone(), name)) {
                            field.attrs.push(parse_quote! { #[deprecated] });
                        }
                    }
                    (&mut item.attrs, Some(path))
                }
                Item::Enum(item) => (&mut item.attrs, Some(format!("{scope}{}", item.ident))),
                Item::Impl(item) => (&mut item.attrs, None),
                Item::Mod(item) => {
                    if let Some((_, items)) = &mut item.content
                        && self.mark_scope(&format!("{scope}{}::", item.ident), items)
                    {
                        item.attrs.push(allow());
                    }
                    continue;
                }
                _ => continue,
            };
            if path.is_some_and(|path| self.types.contains(&path)) {
                attributes.push(parse_quote! { #[deprecated] });
                marked = true;
            } else if mention.found {
                attributes.push(allow());
            }
        }
        marked
    }
}

/// Returns `#[allow(deprecated)]`.
pub(crate) fn allow() -> Attribute {
    parse_quote! { #[allow(deprecated)] }
}

/// A visitor that looks for a path whose last segment is one of the names.
struct Mention<'a> {
    names: &'a BTreeSet<String>,
    found: bool,
}

impl<'ast> Visit<'ast> for Mention<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.found |= path
            .segments
            .last()
            .is_some_and(|last| self.names.contains(&last.ident.to_string()));
        visit::visit_path(self, path);
    }
}
