//! The layers of ARCHITECTURE.md: a folder of `src` names only folders below it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders and files of `src` from the top layer down, each with those that it may name.
/// Whatever [`EVERYWHERE`] lists may be named by all.
const LAYERS: &[(&str, &[&str])] = &[
    (
        "client",
        &[
            "backoff",
            "balancer",
            "buffer_pool",
            "call",
            "codec",
            "connectivity_state",
            "credentials",
            "extensions",
            "interceptor",
            "io",
            "memory_budget",
            "metadata",
            "resolver",
            "select_biased",
            "service_config",
            "side",
            "stats",
            "status",
            "task",
            "transport",
            "method_name",
        ],
    ),
    (
        "server",
        &[
            "buffer_pool",
            "call",
            "cancel_reason",
            "codec",
            "credentials",
            "extensions",
            "interceptor",
            "io",
            "memory_budget",
            "metadata",
            "select_biased",
            "side",
            "stats",
            "status",
            "task",
            "transport",
            "descriptor",
        ],
    ),
    (
        "balancer",
        &[
            "connectivity_state",
            "extensions",
            "io",
            "metadata",
            "resolver",
            "service_config",
            "status",
        ],
    ),
    (
        "call",
        &[
            "buffer_pool",
            "codec",
            "credentials",
            "extensions",
            "interceptor",
            "io",
            "metadata",
            "service_config",
            "side",
            "stats",
            "status",
            "task",
            "transport",
            "descriptor",
            "method_name",
        ],
    ),
    (
        "transport",
        &[
            "buffer_pool",
            "cancel_reason",
            "disconnect_reason",
            "extensions",
            "interceptor",
            "io",
            "memory_budget",
            "metadata",
            "prefix",
            "read_demand",
            "side",
            "stats",
            "status",
            "task",
            "select_biased",
            "method_name",
        ],
    ),
    (
        "stats",
        &[
            "cancel_reason",
            "disconnect_reason",
            "extensions",
            "interceptor",
            "io",
            "metadata",
            "side",
            "status",
            "task",
            "descriptor",
        ],
    ),
    (
        "interceptor",
        &[
            "cancel_reason",
            "codec",
            "extensions",
            "io",
            "metadata",
            "side",
            "status",
            "prefix",
            "task",
        ],
    ),
    (
        "codec",
        &[
            "buffer_pool",
            "prefix",
            "read_demand",
            "side",
            "status",
            "task",
        ],
    ),
    (
        "resolver",
        &[
            "attributes",
            "backoff",
            "credentials",
            "extensions",
            "io",
            "select_biased",
            "status",
        ],
    ),
    ("service_config", &["status"]),
    (
        "credentials",
        &[
            "attributes",
            "extensions",
            "io",
            "metadata",
            "side",
            "status",
            "task",
        ],
    ),
    ("task", &["status"]),
    ("status", &["metadata"]),
    ("metadata", &[]),
    ("io", &["attributes", "extensions"]),
    ("attributes", &[]),
    ("backoff", &[]),
    ("buffer_pool", &[]),
    ("cancel_reason", &[]),
    ("connectivity_state", &[]),
    ("disconnect_reason", &["side"]),
    ("extensions", &[]),
    ("memory_budget", &[]),
    ("prefix", &[]),
    ("read_demand", &[]),
    ("select_biased", &[]),
    ("side", &[]),
    ("error_text", &[]),
    ("lock", &[]),
    ("method_name", &["descriptor"]),
    ("descriptor", &[]),
    ("codegen", &[]),
];

/// Helpers without a place in the layers.
const EVERYWHERE: &[&str] = &["error_text", "lock"];

#[test]
fn a_layer_names_only_those_below_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let named = names(&source);
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut problems = Vec::new();
    for (folder, names) in &named {
        let Some(allowed) = layers.get(folder.as_str()) else {
            problems.push(format!("{folder} is in no layer"));
            continue;
        };
        for (name, file) in names {
            if name != folder
                && named.contains_key(name)
                && !allowed.contains(&name.as_str())
                && !EVERYWHERE.contains(&name.as_str())
            {
                problems.push(format!("{folder} names {name}, in {file}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(
        named["client"].contains_key("balancer"),
        "imports are found"
    );
}

#[test]
fn the_table_has_no_circle() {
    for (at, (folder, allowed)) in LAYERS.iter().enumerate() {
        for name in *allowed {
            let below = LAYERS.iter().position(|(other, _)| other == name);
            assert!(
                below.is_some_and(|below| below > at),
                "{folder} may name {name}"
            );
        }
    }
}

#[test]
fn no_file_names_an_environment_variable_of_the_tests() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in files(&source) {
        let text = fs::read_to_string(&path).expect("a file");
        assert!(!text.contains("RGRPC_"), "{}", path.display());
    }
}

/// The names that each folder or file of `src` uses, each with one file that uses it.
fn names(source: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for path in files(source) {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_test = name == "tests.rs" || name.starts_with("test_") || name.ends_with("_test.rs");
        let relative = path.strip_prefix(source).expect("below src");
        let in_tests = relative.iter().any(|part| part == "tests");
        if !name.ends_with(".rs") || is_test || in_tests {
            continue;
        }
        let Some(top) = relative.iter().next().and_then(|top| top.to_str()) else {
            continue;
        };
        let top = top.trim_end_matches(".rs");
        if top == "lib" {
            continue;
        }
        let names = all.entry(top.to_owned()).or_default();
        for name in named_in(&fs::read_to_string(&path).expect("a file")) {
            names
                .entry(name)
                .or_insert_with(|| relative.display().to_string());
        }
    }
    all
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false => files.push(path),
        }
    }
    files
}

/// The parts of this crate that a file names outside of its tests and comments.
fn named_in(text: &str) -> BTreeSet<String> {
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = group.split("};").next().unwrap_or_default();
                names.extend(group.split(',').map(first_word));
            }
            None => {
                names.insert(first_word(rest));
            }
        }
    }
    names
}

fn first_word(text: &str) -> String {
    let text = text.trim_start();
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}
