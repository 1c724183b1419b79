//! The schema: all files in one order, and the part that each contributes to the generated code.
//!
//! A compiler lists the files to generate and adds their imports. Generated code must be complete,
//! so a file whose types the listed files use contributes its messages, unless `extern_path` maps
//! them. An import that only defines options contributes nothing.
//!
//! The order is by name with imports first, and does not depend on the command line.
//!
//! Created by both front ends; read by all steps of the generator.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::{DescriptorProto, FileDescriptorProto};

use crate::descriptor;
use crate::enum_defaults;
use crate::error::Error;
use crate::full_names::types;
use crate::options::Options;
use crate::validate;

/// The part that a file contributes to the generated code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The messages and services of a listed file.
    Whole,
    /// The messages of an imported file whose types are used.
    Messages,
    /// Nothing of an imported file.
    Nothing,
}

/// The files, imports first.
#[derive(Debug)]
pub(crate) struct Schema {
    files: Vec<(FileDescriptorProto, Part)>,
    /// The index of each file by its name.
    index: BTreeMap<String, usize>,
}

impl Schema {
    /// Creates a schema from the files of a compiler; those in `to_generate` are listed.
    pub(crate) fn new(
        files: Vec<FileDescriptorProto>,
        to_generate: &[String],
        options: &Options,
    ) -> Result<Self, Error> {
        let mut by_name = BTreeMap::new();
        for file in files {
            let file = descriptor::normalise(file)?;
            by_name.insert(file.name().to_owned(), file);
        }
        enum_defaults::canonical(by_name.values_mut());
        let named: BTreeSet<&str> = to_generate.iter().map(String::as_str).collect();
        if let Some(missing) = named.iter().find(|name| !by_name.contains_key(**name)) {
            return Err(Error::Request(format!(
                "{missing} is listed to be generated, but its descriptor is missing"
            )));
        }
        validate::check(by_name.values())?;
        let used = used_files(&by_name, &named, options);
        let order: Vec<String> = imports_first(|name| by_name.get(name), named.iter().copied())
            .into_iter()
            .map(|file| file.name().to_owned())
            .collect();
        let index = order.iter().cloned().zip(0..).collect();
        let files = order
            .into_iter()
            .filter_map(|name| by_name.remove(&name))
            .map(|file| {
                let part = match file.name() {
                    name if named.contains(name) => Part::Whole,
                    name if used.contains(name) => Part::Messages,
                    _ => Part::Nothing,
                };
                check_syntax(&file, part)?;
                Ok((file, part))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { files, index })
    }

    /// Returns all files, imports first.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&FileDescriptorProto, Part)> {
        self.files.iter().map(|(file, part)| (file, *part))
    }

    /// Returns the files in `of` and all of their imports, imports first. The order does not depend
    /// on other files of the schema.
    pub(crate) fn with_imports<'a>(
        &'a self,
        of: impl IntoIterator<Item = &'a str>,
    ) -> impl Iterator<Item = &'a FileDescriptorProto> {
        let find = |name: &str| self.index.get(name).map(|&at| &self.files[at].0);
        imports_first(find, of).into_iter()
    }
}

/// Checks the syntax. A file that contributes nothing may have any syntax, because none of its
/// types are used.
fn check_syntax(file: &FileDescriptorProto, part: Part) -> Result<(), Error> {
    match file.syntax() {
        "" | "proto3" => Ok(()),
        _ if part == Part::Nothing => Ok(()),
        "editions" => Err(editions(file.name())),
        other => {
            let problem = format!("syntax `{other}` is not supported; proto2 and proto3 are");
            Err(Error::schema(file.name(), "", problem))
        }
    }
}

/// Returns the error of a file of editions whose code is needed.
pub(crate) fn editions(file: &str) -> Error {
    let problem = "editions are not supported yet, except in files imported for their options only; \
                   proto2 and proto3 are";
    Error::schema(file, "", problem.to_owned())
}

/// Returns the files that are not listed but define a type that generated code mentions.
fn used_files(
    files: &BTreeMap<String, FileDescriptorProto>,
    named: &BTreeSet<&str>,
    options: &Options,
) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    if !options.messages {
        return used;
    }
    let mut defined_in = BTreeMap::new();
    for file in files.values() {
        for name in types(file) {
            defined_in.insert(name, file.name());
        }
    }
    let mut queue: Vec<(&str, bool)> = named.iter().map(|name| (*name, true)).collect();
    while let Some((name, whole)) = queue.pop() {
        let Some(file) = files.get(name) else {
            continue;
        };
        for mention in mentions(file, whole && (options.client || options.server)) {
            let Some(definer) = defined_in
                .get(mention)
                .filter(|_| !options.is_extern(mention))
            else {
                continue;
            };
            if !named.contains(definer) && used.insert((*definer).to_owned()) {
                queue.push((definer, false));
            }
        }
    }
    used
}

/// Returns the full names of the types of a file's fields and, if they are generated, its methods.
fn mentions(file: &FileDescriptorProto, services: bool) -> BTreeSet<&str> {
    fn fields<'a>(message: &'a DescriptorProto, names: &mut BTreeSet<&'a str>) {
        names.extend(
            message
                .field
                .iter()
                .filter_map(|field| field.type_name.as_deref()),
        );
        for nested in &message.nested_type {
            fields(nested, names);
        }
    }
    let mut names = BTreeSet::new();
    for message in &file.message_type {
        fields(message, &mut names);
    }
    if services {
        for method in file.service.iter().flat_map(|service| &service.method) {
            names.extend([method.input_type(), method.output_type()]);
        }
    }
    names
}

/// Returns `roots` and all of their imports, depth first, in the order of the import statements.
fn imports_first<'a>(
    find: impl Fn(&str) -> Option<&'a FileDescriptorProto>,
    roots: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a FileDescriptorProto> {
    fn visit<'a>(
        find: &impl Fn(&str) -> Option<&'a FileDescriptorProto>,
        name: &'a str,
        seen: &mut BTreeSet<&'a str>,
        order: &mut Vec<&'a FileDescriptorProto>,
    ) {
        if let Some(file) = find(name)
            && seen.insert(name)
        {
            for import in &file.dependency {
                visit(find, import, seen, order);
            }
            order.push(file);
        }
    }
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    for root in roots {
        visit(&find, root, &mut seen, &mut order);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::schema;

    const FILES: [(&str, &str); 4] = [
        (
            "options.proto",
            r#"syntax = "proto3"; package options; message Unused {}"#,
        ),
        (
            "deep.proto",
            r#"syntax = "proto3"; package deep; message Deep {}"#,
        ),
        (
            "shared.proto",
            r#"syntax = "proto3"; package shared; import "deep.proto"; message Date { deep.Deep deep = 1; }
               service Hidden { rpc Call(Date) returns (Date); }"#,
        ),
        (
            "api.proto",
            r#"syntax = "proto3"; package api; import "shared.proto"; import "options.proto";
               import "google/protobuf/empty.proto";
               service Api { rpc Call(shared.Date) returns (google.protobuf.Empty); }"#,
        ),
    ];

    fn parts(to_generate: &[&str], parameter: &str) -> Vec<(String, Part)> {
        let options = Options::parse(parameter).expect("valid");
        let schema = schema(&FILES, to_generate, &options).expect("complete");
        schema
            .files()
            .map(|(file, part)| (file.name().to_owned(), part))
            .collect()
    }

    #[test]
    fn a_file_contributes_the_parts_that_generated_code_needs() {
        use Part::{Messages, Nothing, Whole};
        let names = [
            "deep.proto",
            "shared.proto",
            "options.proto",
            "google/protobuf/empty.proto",
            "api.proto",
        ];
        for (parameter, expected) in [
            ("", [Messages, Messages, Nothing, Nothing, Whole]),
            (
                "extern_path=.shared=::shared",
                [Nothing, Nothing, Nothing, Nothing, Whole],
            ),
            (
                "extern_path=.deep=::deep",
                [Nothing, Messages, Nothing, Nothing, Whole],
            ),
            (
                "messages=false",
                [Nothing, Nothing, Nothing, Nothing, Whole],
            ),
            (
                "client=false,server=false",
                [Nothing, Nothing, Nothing, Nothing, Whole],
            ),
        ] {
            let expected: Vec<_> = names.map(str::to_owned).into_iter().zip(expected).collect();
            assert_eq!(parts(&["api.proto"], parameter), expected, "{parameter}");
        }
    }

    #[test]
    fn the_order_of_the_command_line_does_not_matter() {
        let names = ["api.proto", "deep.proto", "options.proto"];
        let reversed = ["options.proto", "deep.proto", "api.proto"];
        assert_eq!(parts(&names, ""), parts(&reversed, ""));
    }

    #[test]
    fn a_closure_of_files_is_complete_with_imports_first() {
        let schema = schema(&FILES, &["api.proto"], &Options::default()).expect("complete");
        let names: Vec<_> = schema
            .with_imports(["shared.proto"])
            .map(prost_types::FileDescriptorProto::name)
            .collect();
        assert_eq!(names, ["deep.proto", "shared.proto"]);
    }

    #[test]
    fn a_file_to_generate_must_have_a_descriptor() {
        let error = schema(&FILES, &["none.proto"], &Options::default()).expect_err("missing");
        assert_eq!(
            error.to_string(),
            "code generator request: none.proto is listed to be generated, but its descriptor is missing"
        );
    }
}
