//! Random schemas with awkward names: the generator gives an error that names the element, or code
//! that parses and in which no scope has two items of one name.
//!
//! A seed makes a schema, the same each time. `RGRPC_RANDOM_SCHEMAS` names a folder in which the
//! schemas and their code stay, one folder for each seed: `tests/codegen/run` compiles them.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use protoc_gen_rgrpc::Builder;
use quote::ToTokens as _;
use syn::Item;

const SEEDS: u64 = 300;

#[test]
fn a_random_schema_has_an_error_that_names_the_element_or_code_without_two_items_of_one_name() {
    let kept = std::env::var_os("RGRPC_RANDOM_SCHEMAS").map(PathBuf::from);
    let root = match &kept {
        Some(folder) => folder.clone(),
        None => support::folder("random-schemas"),
    };
    let mut generated = 0;
    let mut refused = 0;
    for seed in 1..=SEEDS {
        let folder = root.join(format!("seed{seed}"));
        let files = Schema::random(seed);
        fs::create_dir_all(folder.join("proto")).expect("writable");
        for (name, text) in &files {
            fs::write(folder.join("proto").join(name), text).expect("writable");
        }
        let names: Vec<&String> = files.iter().map(|(name, _)| name).collect();
        let result = Builder::new()
            .out_dir(&folder)
            .compile_protos(&names, &[folder.join("proto")]);
        match result {
            Ok(()) => {
                check_code(seed, &folder);
                generated += 1;
            }
            Err(error) => {
                let error = error.to_string();
                let names_file = names.iter().any(|name| error.starts_with(name.as_str()));
                let names_element = error.contains('`') || error.contains('\'');
                assert!(names_file && names_element, "seed {seed}: {error}");
                refused += 1;
                fs::remove_dir_all(&folder).expect("writable");
            }
        }
    }
    // Schemas of which nearly all were refused would test little.
    assert!(
        generated >= SEEDS / 3 && refused >= SEEDS / 30,
        "{generated} of {SEEDS} schemas have code, {refused} an error"
    );
}

// ---- the code ----

/// The items of all modules: what is in a scope by namespace and name, with the place of each.
#[derive(Default)]
struct Items(BTreeMap<(String, &'static str, String), String>);

fn check_code(seed: u64, folder: &Path) {
    let mut items = Items::default();
    let mut packages = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() || path.ends_with("mod.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable");
        let place = format!("seed {seed}: {}", path.display());
        let module = text
            .lines()
            .find_map(|line| line.strip_prefix("// module:"))
            .expect("a header")
            .trim();
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{place}: {error}"));
        let mut outer = String::new();
        for part in module.split("::").filter(|part| !part.is_empty()) {
            if packages.insert(format!("{outer}::{part}")) {
                items.add(&outer, "type", part, &format!("{place}: its package"));
            }
            outer = format!("{outer}::{part}");
        }
        items.add_all(&outer, &file.items, &place);
    }
}

impl Items {
    fn add(&mut self, scope: &str, namespace: &'static str, name: &str, place: &str) {
        let key = (scope.to_owned(), namespace, name.to_owned());
        if let Some(other) = self.0.insert(key, place.to_owned()) {
            panic!("{place}: {namespace} `{name}` of `{scope}` is in {other} as well");
        }
    }

    fn add_all(&mut self, scope: &str, items: &[Item], place: &str) {
        for item in items {
            match item {
                Item::Struct(item) => {
                    let name = item.ident.to_string();
                    self.add(scope, "type", &name, place);
                    if !matches!(item.fields, syn::Fields::Named(_)) {
                        self.add(scope, "value", &name, place);
                    }
                    for field in item.fields.iter().filter_map(|field| field.ident.as_ref()) {
                        self.add(
                            &format!("{scope}::{name}"),
                            "field",
                            &field.to_string(),
                            place,
                        );
                    }
                }
                Item::Enum(item) => {
                    let name = item.ident.to_string();
                    self.add(scope, "type", &name, place);
                    for variant in &item.variants {
                        let variant = variant.ident.to_string();
                        self.add(&format!("{scope}::{name}"), "variant", &variant, place);
                    }
                }
                Item::Trait(item) => {
                    let name = item.ident.to_string();
                    self.add(scope, "type", &name, place);
                    for method in &item.items {
                        if let syn::TraitItem::Fn(method) = method {
                            let method = method.sig.ident.to_string();
                            self.add(&format!("{scope}::{name}"), "method", &method, place);
                        }
                    }
                }
                Item::Impl(item) if item.trait_.is_none() => {
                    let name = item.self_ty.to_token_stream().to_string();
                    for member in &item.items {
                        let member = match member {
                            syn::ImplItem::Fn(member) => member.sig.ident.to_string(),
                            syn::ImplItem::Const(member) => member.ident.to_string(),
                            _ => continue,
                        };
                        self.add(&format!("{scope}::{name}"), "member", &member, place);
                    }
                }
                Item::Type(item) => self.add(scope, "type", &item.ident.to_string(), place),
                Item::Mod(item) => {
                    let name = item.ident.to_string();
                    self.add(scope, "type", &name, place);
                    if let Some((_, items)) = &item.content {
                        self.add_all(&format!("{scope}::{name}"), items, place);
                    }
                }
                Item::Fn(item) => self.add(scope, "value", &item.sig.ident.to_string(), place),
                Item::Static(item) => self.add(scope, "value", &item.ident.to_string(), place),
                Item::Const(item) if item.ident != "_" => {
                    self.add(scope, "value", &item.ident.to_string(), place);
                }
                _ => {}
            }
        }
    }
}

// ---- the schemas ----

const TYPE_NAMES: [&str; 44] = [
    "M",
    "Foo",
    "foo",
    "FOO",
    "foo_bar",
    "FooBar",
    "fooBar",
    "Option",
    "String",
    "Vec",
    "Box",
    "Self",
    "self",
    "Result",
    "Ok",
    "Err",
    "Some",
    "None",
    "Status",
    "Request",
    "Response",
    "Metadata",
    "Send",
    "Sync",
    "Default",
    "Clone",
    "Debug",
    "Message",
    "Enumeration",
    "Oneof",
    "type",
    "crate",
    "super",
    "Result_",
    "_1",
    "A1",
    "a_1",
    "Prost",
    "prost",
    "core",
    "std",
    "Client",
    "FooClient",
    "u32",
];

const FIELD_NAMES: [&str; 36] = [
    "a",
    "b",
    "kind",
    "Kind",
    "set_kind",
    "value",
    "key",
    "self",
    "Self",
    "type",
    "crate",
    "super",
    "fn",
    "async",
    "gen",
    "foo_bar",
    "fooBar",
    "foo_bar_",
    "_x",
    "x_",
    "x1",
    "x_1",
    "clear",
    "encode",
    "decode",
    "merge",
    "encoded_len",
    "default",
    "clone",
    "message",
    "tag",
    "buf",
    "option",
    "string",
    "as_str_name",
    "true",
];

const METHOD_NAMES: [&str; 20] = [
    "Get", "get", "GetX", "get_x", "New", "new", "Clone", "Self", "self", "Type", "Drop", "Into",
    "From", "Call", "Invoke", "async", "Default", "M", "Send", "_1",
];

const PACKAGES: [&str; 14] = [
    "",
    "p",
    "p.q",
    "p.foo",
    "p.foo_bar",
    "p.m",
    "self",
    "p.self",
    "type.crate",
    "core",
    "std.prost",
    "google.p",
    "rgrpc",
    "Upper.Case",
];

const SCALARS: [&str; 8] = [
    "int32", "string", "bytes", "bool", "double", "sint64", "fixed32", "uint64",
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// A message or an enum that fields may have.
#[derive(Clone)]
struct Type {
    name: String,
    is_enum: bool,
    is_proto3: bool,
}

struct Schema {
    random: Random,
    is_proto3: bool,
    /// What the file can see: its own types so far, and those of its imports.
    types: Vec<Type>,
    /// The names that are taken, as full names.
    taken: BTreeSet<String>,
    text: String,
}

impl Schema {
    /// The files of a schema: name and text.
    fn random(seed: u64) -> Vec<(String, String)> {
        let mut schema = Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            is_proto3: false,
            types: Vec::new(),
            taken: BTreeSet::new(),
            text: String::new(),
        };
        let count = 1 + schema.random.below(3);
        let mut files = Vec::new();
        // Each file imports all before it: some publicly, which changes nothing for the next one.
        for at in 0..count {
            schema.text.clear();
            schema.is_proto3 = !schema.random.one_in(3);
            let syntax = if schema.is_proto3 { "proto3" } else { "proto2" };
            let package = schema.random.of(&PACKAGES);
            writeln!(schema.text, "syntax = \"{syntax}\";").expect("a string");
            if !package.is_empty() {
                writeln!(schema.text, "package {package};").expect("a string");
            }
            for import in 0..at {
                let public = if schema.random.one_in(2) {
                    "public "
                } else {
                    ""
                };
                writeln!(schema.text, "import {public}\"f{import}.proto\";").expect("a string");
            }
            let mut scope = String::new();
            for part in package.split('.').filter(|part| !part.is_empty()) {
                scope = format!("{scope}.{part}");
                schema.taken.insert(scope.clone());
            }
            for _ in 0..1 + schema.random.below(4) {
                schema.add_type(&scope, 2);
            }
            for _ in 0..schema.random.below(3) {
                schema.add_service(&scope);
            }
            files.push((format!("f{at}.proto"), schema.text.clone()));
        }
        files
    }

    /// Takes a name of the scope; `None` if it is taken already.
    fn take(&mut self, scope: &str, name: &str) -> Option<String> {
        let full = format!("{scope}.{name}");
        self.taken.insert(full.clone()).then_some(full)
    }

    fn add_type(&mut self, scope: &str, depth: usize) {
        let name = self.random.of(&TYPE_NAMES);
        let Some(full) = self.take(scope, name) else {
            return;
        };
        let is_enum = self.random.one_in(3);
        self.types.push(Type {
            name: full.clone(),
            is_enum,
            is_proto3: self.is_proto3,
        });
        if is_enum {
            self.add_enum(scope, name);
        } else {
            self.add_message(&full, name, depth);
        }
    }

    fn add_enum(&mut self, scope: &str, name: &str) {
        writeln!(self.text, "enum {name} {{").expect("a string");
        // Values are siblings of their enum. They often begin with its name.
        let prefix = name.to_uppercase();
        let count = 1 + self.random.below(3);
        let mut written = 0;
        for at in 0..6 {
            let value = match self.random.below(3) {
                0 => format!("{prefix}_{}", self.random.of(&FIELD_NAMES).to_uppercase()),
                1 => format!("{prefix}_{}V{at}", self.taken.len()),
                _ => self.random.of(&TYPE_NAMES).to_owned(),
            };
            if written < count && self.take(scope, &value).is_some() {
                writeln!(self.text, "{value} = {written};").expect("a string");
                written += 1;
            }
        }
        if written == 0 {
            let value = format!("ONLY_VALUE_{}", self.taken.len());
            writeln!(self.text, "{value} = 0;").expect("a string");
        }
        self.text.push_str("}\n");
    }

    fn add_message(&mut self, full: &str, name: &str, depth: usize) {
        writeln!(self.text, "message {name} {{").expect("a string");
        if depth > 0 {
            for _ in 0..self.random.below(3) {
                self.add_type(full, depth - 1);
            }
        }
        let mut number = 0;
        for _ in 0..self.random.below(5) {
            if self.random.one_in(5) {
                self.add_oneof(full, &mut number);
                continue;
            }
            let name = self.random.of(&FIELD_NAMES);
            if self.take(full, name).is_none() {
                continue;
            }
            number += 1;
            let ty = self.field_type();
            let line = if self.random.one_in(5) {
                format!("map<string, {ty}> {name} = {number};")
            } else {
                let label = match (self.is_proto3, self.random.below(4)) {
                    (_, 0) => "repeated ",
                    (false, 1) => "required ",
                    (true, 1 | 2) => "",
                    _ => "optional ",
                };
                format!("{label}{ty} {name} = {number};")
            };
            self.text.push_str(&line);
            self.text.push('\n');
        }
        self.text.push_str("}\n");
    }

    fn add_oneof(&mut self, full: &str, number: &mut i32) {
        let name = self.random.of(&FIELD_NAMES);
        if self.take(full, name).is_none() {
            return;
        }
        writeln!(self.text, "oneof {name} {{").expect("a string");
        for at in 0..1 + self.random.below(3) {
            let mut name = self.random.of(&FIELD_NAMES).to_owned();
            if self.take(full, &name).is_none() {
                name = format!("only{number}x{at}");
            }
            *number += 1;
            let ty = self.field_type();
            writeln!(self.text, "{ty} {name} = {number};").expect("a string");
        }
        self.text.push_str("}\n");
    }

    fn field_type(&mut self) -> String {
        if !self.types.is_empty() && self.random.one_in(2) {
            let at = self.random.below(self.types.len());
            let chosen = &self.types[at];
            // proto3 takes no enums of proto2.
            if !(chosen.is_enum && self.is_proto3 && !chosen.is_proto3) {
                return chosen.name.clone();
            }
        }
        self.random.of(&SCALARS).to_owned()
    }

    fn add_service(&mut self, scope: &str) {
        let messages: Vec<String> = self
            .types
            .iter()
            .filter(|chosen| !chosen.is_enum)
            .map(|chosen| chosen.name.clone())
            .collect();
        let name = self.random.of(&TYPE_NAMES);
        if messages.is_empty() {
            return;
        }
        let Some(full) = self.take(scope, name) else {
            return;
        };
        writeln!(self.text, "service {name} {{").expect("a string");
        for _ in 0..self.random.below(4) {
            let method = self.random.of(&METHOD_NAMES);
            if self.take(&full, method).is_some() {
                let input = &messages[self.random.below(messages.len())];
                let output = &messages[self.random.below(messages.len())];
                let [from, to] =
                    [(); 2].map(|()| if self.random.one_in(3) { "stream " } else { "" });
                writeln!(
                    self.text,
                    "rpc {method}({from}{input}) returns ({to}{output});"
                )
                .expect("a string");
            }
        }
        self.text.push_str("}\n");
    }
}
