//! Messages, enums, and the Rust types of a service's methods, by prost-build.
//!
//! Called by the generator for each `.proto` file.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::rc::Rc;

use prost_build::{Config, Module, Service, ServiceGenerator};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

use crate::docs::Comments;
use crate::error::Error;
use crate::full_names::{scope, types};
use crate::names::{snake, upper_camel};
use crate::options::Options;
use crate::schema::{Part, Schema};
use crate::well_known;

/// The output of prost-build for a schema.
pub(crate) struct Messages {
    /// The code of the messages by the name of the `.proto` file, not formatted.
    pub(crate) texts: BTreeMap<String, String>,
    /// The services by the name of the `.proto` file, for listed files that have services.
    pub(crate) services: BTreeMap<String, Vec<Service>>,
}

impl Messages {
    /// Runs prost-build over the whole schema.
    pub(crate) fn generate(schema: &Schema, options: &Options) -> Result<Self, Error> {
        let services = Rc::new(RefCell::new(Vec::new()));
        let mut config = Config::new();
        config
            .prost_path(format!("{}::prost", options.runtime_path))
            .compile_well_known_types()
            .service_generator(Box::new(Collector(Rc::clone(&services))))
            .bytes(&options.bytes);
        if options.type_names {
            // The type URLs of the well-known types have this domain.
            config
                .enable_type_names()
                .type_name_domain(["."], "type.googleapis.com");
        }
        for path in &options.boxed {
            config.boxed(path);
        }
        for (path, attribute) in &options.type_attributes {
            config.type_attribute(path, attribute);
        }
        for (path, attribute) in &options.field_attributes {
            config.field_attribute(path, attribute);
        }
        for (proto, rust) in extern_types(schema, options) {
            config.extern_path(proto, rust);
        }
        let mut requests = Vec::new();
        let mut comments = Comments::default();
        for (file, part) in schema.files() {
            if part == Part::Nothing {
                hide_types(file, options, &mut config);
            }
            // For prost-build a module is only a unit of output. Paths between types follow the
            // package.
            let module = Module::from_parts([file.name()]);
            let mut file = reduced(file, part, options);
            comments.replace(&mut file);
            requests.push((module, file));
        }
        let mut generated = config
            .generate(requests)
            .map_err(|error| Error::Compile(error.to_string()))?;
        let mut texts = BTreeMap::new();
        let mut by_file = BTreeMap::new();
        let mut services = services.take().into_iter().map(|mut service| {
            comments.restore(&mut service.comments);
            for method in &mut service.methods {
                comments.restore(&mut method.comments);
            }
            service
        });
        for (file, part) in schema.files() {
            let text = generated.remove(&Module::from_parts([file.name()]));
            if let Some(text) = text.filter(|_| options.messages) {
                texts.insert(file.name().to_owned(), comments.restore_text(&text));
            }
            if part == Part::Whole && !file.service.is_empty() {
                let its_services = services.by_ref().take(file.service.len()).collect();
                by_file.insert(file.name().to_owned(), its_services);
            }
        }
        Ok(Self {
            texts,
            services: by_file,
        })
    }
}

/// Resolves the extern paths for each type below them. prost-build could do this, but converts the
/// case of a raw identifier in a path.
fn extern_types(schema: &Schema, options: &Options) -> BTreeMap<String, String> {
    let mut paths: BTreeMap<String, String> = options.extern_paths.iter().cloned().collect();
    let names: BTreeSet<String> = schema.files().flat_map(|(file, _)| types(file)).collect();
    for name in &names {
        let covering = options
            .extern_paths
            .iter()
            .filter_map(|(proto, rust)| {
                Some((proto, rust, name.strip_prefix(proto)?.strip_prefix('.')?))
            })
            .min_by_key(|(_, _, rest)| rest.len());
        if let Some((proto, rust, rest)) = covering
            && !paths.contains_key(name)
        {
            paths.insert(name.clone(), below(rust, names.contains(proto), rest));
        }
    }
    let prost = format!("{}::prost", options.runtime_path);
    for (name, rust) in well_known::all(&prost) {
        let rest = name.strip_prefix(".google.protobuf.").unwrap_or(name);
        let otherwise = || below(&format!("{prost}_types"), false, rest);
        paths
            .entry(name.to_owned())
            .or_insert_with(|| rust.unwrap_or_else(otherwise));
    }
    paths
}

/// Returns the Rust path of the type `rest` below `rust`. `rust` is a package or, if `is_type`, a
/// message, whose nested types are in the module of its name.
fn below(rust: &str, is_type: bool, rest: &str) -> String {
    let base = match rust.rsplit_once("::") {
        Some((outer, last)) if is_type => format!("{outer}::{}", snake(last)),
        None if is_type => snake(rust),
        _ => rust.to_owned(),
    };
    let (modules, last) = rest.rsplit_once('.').unwrap_or(("", rest));
    let modules = modules
        .split('.')
        .filter(|part| !part.is_empty())
        .map(snake);
    let path: Vec<String> = iter::once(base)
        .chain(modules)
        .chain([upper_camel(last)])
        .collect();
    path.join("::")
}

/// Keeps prost-build from writing the types of a file. They stay in its graph of messages, in which
/// it looks up the type of every field.
fn hide_types(file: &FileDescriptorProto, options: &Options, config: &mut Config) {
    const NEVER_MENTIONED: &str = "hidden";
    let messages = file.message_type.iter().map(DescriptorProto::name);
    let enums = file.enum_type.iter().map(EnumDescriptorProto::name);
    for name in messages.chain(enums) {
        let name = format!("{}.{name}", scope(file));
        if !options.is_extern(&name) {
            config.extern_path(name, NEVER_MENTIONED);
        }
    }
}

/// Returns the file in the form for prost-build.
fn reduced(file: &FileDescriptorProto, part: Part, options: &Options) -> FileDescriptorProto {
    let mut file = file.clone();
    if part != Part::Whole {
        file.service.clear();
    }
    if part == Part::Nothing {
        // No code is written for it, and prost-build panics on an unknown syntax.
        file.syntax = None;
    }
    if !options.messages {
        file.message_type.clear();
        file.enum_type.clear();
    }
    file
}

/// A service generator that collects the services with their resolved types.
struct Collector(Rc<RefCell<Vec<Service>>>);

impl ServiceGenerator for Collector {
    fn generate(&mut self, service: Service, buf: &mut String) {
        self.0.borrow_mut().push(service);
        // prost-build omits a module without output.
        buf.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_below_an_extern_path_is_in_the_modules_of_prosts_rules() {
        for (rust, is_type, rest, expected) in [
            ("::shared::r#type", false, "Date", "::shared::r#type::Date"),
            (
                "::shared",
                false,
                "v1.calendar_day.Era",
                "::shared::v1::calendar_day::Era",
            ),
            (
                "::shared",
                false,
                "Outer.Inner.Kind",
                "::shared::outer::inner::Kind",
            ),
            ("::shared::Outer", true, "Inner", "::shared::outer::Inner"),
            ("Struct", true, "Kind", "r#struct::Kind"),
        ] {
            assert_eq!(below(rust, is_type, rest), expected, "{rust} {rest}");
        }
    }
}
