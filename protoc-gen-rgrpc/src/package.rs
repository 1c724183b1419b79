//! From a schema to files: one per package, and `mod.rs`.
//!
//! Both front ends meet here, so what they generate for the same files is the same.

use std::collections::BTreeMap;

use prost_build::Module;
use prost_types::FileDescriptorProto;
use syn::parse_quote;

use crate::error::Error;
use crate::messages::Messages;
use crate::names::{Namespace, upper_camel};
use crate::options::Options;
use crate::schema::{Part, Schema};
use crate::service::{self, Service};
use crate::{conflicts, deprecated, descriptor, literal, module_tree};

/// The version of the contract between generated code and runtime. The runtime lists those it
/// supports in `codegen::assert_version`.
const CONTRACT_VERSION: u32 = 1;

/// A generated file.
#[derive(Debug)]
pub(crate) struct OutputFile {
    /// Its name within the output folder.
    pub(crate) name: String,
    /// Its text.
    pub(crate) content: String,
}

/// Generates everything.
pub(crate) fn generate(schema: &Schema, options: &Options) -> Result<Vec<OutputFile>, Error> {
    conflicts::check(schema, options)?;
    let messages = Messages::generate(schema, options)?;
    let deprecations = deprecated::Deprecations::of(schema);

    let mut outputs = Vec::new();
    let mut tree = Vec::new();
    for (module, package) in packages(schema, messages) {
        let name = module_tree::file_name(&module);
        let failed = |error: syn::Error| Error::Generated {
            file: name.clone(),
            problem: error.to_string(),
        };
        let mut file = syn::parse_file(&package.messages).map_err(failed)?;
        let allow_deprecated = deprecations.mark(&mut file.items);
        if file.items.is_empty() && package.services.is_empty() {
            continue;
        }
        let items = package
            .items(schema, &deprecations, options)
            .map_err(failed)?;
        file.items.extend(items);
        let content = format!("{}{}", package.header(), prettyplease::unparse(&file));
        outputs.push(OutputFile { name, content });
        tree.push((module, allow_deprecated));
    }
    outputs.push(OutputFile {
        name: "mod.rs".to_owned(),
        content: module_tree::render(&tree),
    });
    Ok(outputs)
}

/// What one package's file is made of.
#[derive(Default)]
struct Package<'a> {
    files: Vec<(&'a FileDescriptorProto, Part)>,
    messages: String,
    services: Vec<(&'a FileDescriptorProto, prost_build::Service)>,
}

/// The packages of the files that contribute, each with its part of what prost-build made.
fn packages(schema: &Schema, mut messages: Messages) -> BTreeMap<Module, Package<'_>> {
    let mut packages: BTreeMap<Module, Package<'_>> = BTreeMap::new();
    let mut services = messages.services.into_iter();
    for (file, part) in schema.files() {
        if part == Part::Nothing {
            continue;
        }
        let module = Module::from_protobuf_package_name(file.package());
        let package = packages.entry(module.clone()).or_default();
        package.files.push((file, part));
        if let Some(text) = messages.modules.remove(&module) {
            package.messages = text;
        }
        if part == Part::Whole {
            let its_services = services.by_ref().take(file.service.len());
            package
                .services
                .extend(its_services.map(|service| (file, service)));
        }
    }
    packages
}

impl Package<'_> {
    fn header(&self) -> String {
        let mut header = module_tree::header();
        for (file, _) in &self.files {
            header.push_str(&format!("// source: {}\n", file.name()));
        }
        header
    }

    /// The items after the messages.
    fn items(
        &self,
        schema: &Schema,
        deprecations: &deprecated::Deprecations,
        options: &Options,
    ) -> syn::Result<Vec<syn::Item>> {
        let runtime: syn::Path = syn::parse_str(&options.runtime_path)?;
        let version = proc_macro2::Literal::u32_unsuffixed(CONTRACT_VERSION);
        let mut items: Vec<syn::Item> =
            vec![parse_quote! { const _: () = #runtime::codegen::assert_version(#version); }];

        let is_named = self.files.iter().any(|(_, part)| *part == Part::Whole);
        let descriptor_set = options.file_descriptor_set && is_named;
        if descriptor_set {
            items.push(self.file_descriptor_set(schema));
        }

        let mut types = self.type_names();
        let mut values = Namespace::of(["FILE_DESCRIPTOR_SET"]);
        let services = self
            .services
            .iter()
            .map(|(file, service)| (file.name(), service));
        let names = service::claim_names(
            services.clone().map(|(_, service)| service),
            &mut types,
            &mut values,
        );
        for ((file, service), names) in services.zip(names) {
            let service = Service::new(service, file, names, &types, deprecations, &runtime)?;
            items.extend(service.constants());
            if options.server {
                items.push(service.server_trait(options.require_methods));
                items.push(service.desc(descriptor_set));
                items.push(service.register());
            }
            if options.client {
                items.extend(service.client());
            }
        }
        Ok(items)
    }

    fn file_descriptor_set(&self, schema: &Schema) -> syn::Item {
        let own = self.files.iter().map(|(file, _)| file.name());
        let bytes = literal::byte_string(&descriptor::encode(schema.with_imports(own)));
        parse_quote! {
            /// The encoded `google.protobuf.FileDescriptorSet` of this package's files and of all
            /// they import, for server reflection and other tools.
            pub const FILE_DESCRIPTOR_SET: &[u8] = #bytes;
        }
    }

    /// The names of the messages and enums in the package's module, whether they are generated or
    /// the user's own.
    fn type_names(&self) -> Namespace {
        Namespace::of(self.files.iter().flat_map(|(file, _)| {
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
}
