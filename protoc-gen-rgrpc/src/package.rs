//! The generator: from a schema to the files of each `.proto` file's messages and services, and
//! `mod.rs`.
//!
//! All front ends call it, so that they generate the same code for the same files.

use std::collections::BTreeMap;

use prost_types::FileDescriptorProto;
use quote::quote;
use syn::parse_quote;

use crate::deprecated::Deprecations;
use crate::error::Error;
use crate::messages::Messages;
use crate::names::{Namespace, shouty, upper_camel};
use crate::options::Options;
use crate::output::{self, Kind, OutputFile};
use crate::schema::{Part, Schema};
use crate::service::{self, Names, Service};
use crate::{conflicts, descriptor, keyword_maps, literal};

/// The version of the interface between generated code and runtime. `codegen::assert_version` of
/// the runtime has the supported versions.
const CONTRACT_VERSION: u32 = 1;

/// Generates all files.
pub(crate) fn generate(schema: &Schema, options: &Options) -> Result<Vec<OutputFile>, Error> {
    conflicts::check(schema, options)?;
    let mut messages = Messages::generate(schema, options)?;
    let mut names = service_names(schema, &messages);
    let mut outputs = Vec::new();
    for (file, part) in schema.files() {
        if part == Part::Nothing {
            continue;
        }
        let generator = Generator::new(schema, file, options)?;
        if let Some(text) = messages.texts.remove(file.name()) {
            outputs.extend(generator.messages(&text)?);
        }
        if let Some(services) = messages.services.remove(file.name()) {
            let names = names.remove(file.name()).unwrap_or_default();
            outputs.push(generator.services(&services, names)?);
        }
    }
    if let Some(name) = &options.mod_file {
        outputs.push(output::mod_file(name, &options.runtime_path));
    }
    Ok(outputs)
}

/// The generator of the files of one `.proto` file.
struct Generator<'a> {
    schema: &'a Schema,
    file: &'a FileDescriptorProto,
    options: &'a Options,
    runtime: syn::Path,
    deprecations: Deprecations,
}

impl<'a> Generator<'a> {
    fn new(
        schema: &'a Schema,
        file: &'a FileDescriptorProto,
        options: &'a Options,
    ) -> Result<Self, Error> {
        Ok(Self {
            schema,
            file,
            options,
            runtime: syn::parse_str(&options.runtime_path)
                .map_err(|error| Error::option("runtime_path", error.to_string()))?,
            deprecations: Deprecations::of(schema, file),
        })
    }

    /// The messages of prost-build, if any.
    fn messages(&self, text: &str) -> Result<Option<OutputFile>, Error> {
        let name = output::name(self.file, Kind::Messages)?;
        let mut parsed = syn::parse_file(text).map_err(|error| not_rust(&name, &error))?;
        if parsed.items.is_empty() {
            return Ok(None);
        }
        self.deprecations.mark(&mut parsed.items);
        keyword_maps::rename(&mut parsed.items);
        parsed.items.insert(0, self.version_check());
        Ok(Some(self.output(name, parsed.items)))
    }

    fn services(
        &self,
        services: &[prost_build::Service],
        names: Vec<Names>,
    ) -> Result<OutputFile, Error> {
        let name = output::name(self.file, Kind::Services)?;
        let items = self
            .service_items(services, names)
            .map_err(|error| not_rust(&name, &error))?;
        Ok(self.output(name, items))
    }

    fn service_items(
        &self,
        services: &[prost_build::Service],
        names: Vec<Names>,
    ) -> syn::Result<Vec<syn::Item>> {
        let Self {
            schema,
            file,
            options,
            runtime,
            deprecations,
        } = self;
        let mut items = vec![self.version_check()];
        let descriptor_set = options
            .file_descriptor_set
            .then(|| service::identifier(&descriptor_set_name(file)))
            .transpose()?;
        if let Some(constant) = &descriptor_set {
            items.push(self.file_descriptor_set(constant));
        }
        let file_name = file.name();
        let descriptor_set = match &descriptor_set {
            Some(constant) => quote! { #constant },
            None => quote! { b"" },
        };
        let types = type_names(schema, file.package());
        for (service, names) in services.iter().zip(names) {
            let file_desc = quote! {
                #runtime::FileDesc { name: #file_name, descriptor_set: #descriptor_set }
            };
            let service = Service::new(service, file_desc, names, &types, deprecations, runtime)?;
            items.extend(service.constants());
            if options.server {
                items.push(service.server_trait(options.require_methods));
                items.push(service.desc());
                items.push(service.register());
            }
            if options.client {
                items.extend(service.client());
            }
        }
        Ok(items)
    }

    fn version_check(&self) -> syn::Item {
        let runtime = &self.runtime;
        let version = proc_macro2::Literal::u32_unsuffixed(CONTRACT_VERSION);
        parse_quote! { const _: () = #runtime::codegen::assert_version(#version); }
    }

    /// Returns the constant with the encoded descriptors. Its bytes are a static, so that a program
    /// has them once.
    fn file_descriptor_set(&self, constant: &proc_macro2::Ident) -> syn::Item {
        let files = self.schema.with_imports([self.file.name()]);
        let bytes = descriptor::encode(files);
        let length = proc_macro2::Literal::usize_unsuffixed(bytes.len());
        let bytes = literal::byte_string(&bytes);
        let doc = format!(
            " The encoded `FileDescriptorSet` of `{}` and of all its imports.",
            self.file.name()
        );
        parse_quote! {
            #[doc = #doc]
            pub const #constant: &[u8] = {
                static BYTES: [u8; #length] = *#bytes;
                &BYTES
            };
        }
    }

    fn output(&self, name: String, items: Vec<syn::Item>) -> OutputFile {
        let file = syn::File {
            shebang: None,
            attrs: Vec::new(),
            items,
        };
        OutputFile {
            name,
            content: output::header(self.file) + &prettyplease::unparse(&file),
        }
    }
}

fn not_rust(file: &str, error: &syn::Error) -> Error {
    Error::Generated {
        file: file.to_owned(),
        problem: error.to_string(),
    }
}

/// Returns the name of the descriptor constant: `a/b.proto` → `A_B_DESCRIPTOR_SET`.
fn descriptor_set_name(file: &FileDescriptorProto) -> String {
    let stem = file.name().strip_suffix(".proto").unwrap_or(file.name());
    let words: String = stem
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect();
    let name = format!("{}_DESCRIPTOR_SET", shouty(&words));
    if name.starts_with(|c: char| c.is_numeric()) {
        return format!("_{name}");
    }
    name
}

/// Returns the names of each listed file's services. Services of a package must have different
/// names, in all of its files.
fn service_names(schema: &Schema, messages: &Messages) -> BTreeMap<String, Vec<Names>> {
    let mut packages: BTreeMap<&str, Vec<(&FileDescriptorProto, &[prost_build::Service])>> =
        BTreeMap::new();
    for (file, _) in schema.files() {
        if let Some(services) = messages.services.get(file.name()) {
            packages
                .entry(file.package())
                .or_default()
                .push((file, services));
        }
    }
    let mut names = BTreeMap::new();
    for (package, files) in packages {
        let mut types = type_names(schema, package);
        let mut values = Namespace::of(files.iter().map(|(file, _)| descriptor_set_name(file)));
        let services = files.iter().flat_map(|(_, services)| *services);
        let mut claimed = service::claim_names(services, &mut types, &mut values).into_iter();
        for (file, services) in files {
            let its_names = claimed.by_ref().take(services.len()).collect();
            names.insert(file.name().to_owned(), its_names);
        }
    }
    names
}

/// Returns the names of the messages and enums in a package's module, both generated and existing
/// ones.
fn type_names(schema: &Schema, package: &str) -> Namespace {
    let files = schema
        .files()
        .filter(|(file, _)| file.package() == package)
        .map(|(file, _)| file);
    Namespace::of(files.flat_map(|file| {
        let messages = file
            .message_type
            .iter()
            .map(|message| upper_camel(message.name()));
        let enums = file
            .enum_type
            .iter()
            .map(|enumeration| upper_camel(enumeration.name()));
        messages.chain(enums).collect::<Vec<_>>()
    }))
}
