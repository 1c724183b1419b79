//! The layers of ARCHITECTURE.md: which entry of `runtime/rgrpc/src`, and which room of its `client/`,
//! may use which other ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rgrpc_architecture::Imports;

/// The entries of a folder from the top layer down, each with those that it uses.
type Table = &'static [(&'static str, &'static [&'static str])];

/// The entries of `src`. Each may use those of [`EVERYWHERE`] too.
const LAYERS: Table = &[
    (
        "client",
        &[
            "attributes",
            "backoff",
            "balancer",
            "buffer_pool",
            "call",
            "channelz",
            "codec",
            "connectivity_state",
            "credentials",
            "entity_id",
            "extensions",
            "interceptor",
            "io",
            "memory_budget",
            "metadata",
            "method_name",
            "prefix",
            "read_demand",
            "resolver",
            "select_biased",
            "service_config",
            "side",
            "stats",
            "status",
            "task",
            "transport",
        ],
    ),
    (
        "server",
        &[
            "buffer_pool",
            "call",
            "cancel_reason",
            "channelz",
            "codec",
            "credentials",
            "descriptor",
            "disconnect_reason",
            "entity_id",
            "extensions",
            "interceptor",
            "io",
            "memory_budget",
            "metadata",
            "prefix",
            "select_biased",
            "side",
            "stats",
            "status",
            "task",
            "transport",
        ],
    ),
    ("channelz", &["connectivity_state", "io", "transport"]),
    (
        "balancer",
        &[
            "attributes",
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
            "cancel_reason",
            "codec",
            "credentials",
            "descriptor",
            "extensions",
            "interceptor",
            "io",
            "metadata",
            "method_name",
            "prefix",
            "read_demand",
            "service_config",
            "side",
            "stats",
            "status",
            "task",
            "transport",
        ],
    ),
    (
        "transport",
        &[
            "buffer_pool",
            "cancel_reason",
            "disconnect_reason",
            "entity_id",
            "extensions",
            "interceptor",
            "io",
            "memory_budget",
            "metadata",
            "method_name",
            "prefix",
            "read_demand",
            "select_biased",
            "side",
            "stats",
            "status",
            "task",
        ],
    ),
    (
        "stats",
        &[
            "descriptor",
            "disconnect_reason",
            "extensions",
            "interceptor",
            "io",
            "metadata",
            "side",
            "task",
        ],
    ),
    (
        "interceptor",
        &["cancel_reason", "metadata", "prefix", "status", "task"],
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
            "entity_id",
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
    ("entity_id", &[]),
    ("extensions", &[]),
    ("memory_budget", &[]),
    ("method_name", &["descriptor"]),
    ("prefix", &[]),
    ("read_demand", &[]),
    ("select_biased", &[]),
    ("side", &[]),
    ("descriptor", &[]),
    ("codegen", &[]),
    ("error_text", &[]),
    ("later", &[]),
    ("lock", &[]),
];

/// Helpers without a place in the layers.
const EVERYWHERE: &[&str] = &["error_text", "later", "lock"];

/// The rooms of `client/`.
const CLIENT: Table = &[
    ("builder", &["channel", "config", "conn"]),
    ("call", &["config", "conn", "connectivity"]),
    ("conn", &["channel", "connectivity"]),
    ("channel", &["config", "connectivity"]),
    ("connectivity", &["config"]),
    ("config", &[]),
];

/// The `src` folders of the runtime's crates.
fn sources() -> Vec<PathBuf> {
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runtime");
    let crates = fs::read_dir(runtime).expect("the folder of the runtime");
    crates
        .map(|entry| entry.expect("a crate").path().join("src"))
        .collect()
}

static RUNTIME: LazyLock<Imports> = LazyLock::new(|| {
    Imports::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runtime/rgrpc/src"))
});

/// Asserts that the entries of a folder use what the table permits, and that each permission is used.
fn assert_layers(folder: &str, table: Table, everywhere: &[&str]) {
    let imports = &RUNTIME;
    let folder = Path::new(folder);
    let entries = imports.between_entries(folder);
    let rows: BTreeMap<&str, &[&str]> = table.iter().copied().collect();
    let mut problems = Vec::new();
    for (from, used) in &entries {
        let Some(permitted) = rows.get(from.as_str()) else {
            problems.push(format!("{from} is not in the table"));
            continue;
        };
        for to in used {
            if !permitted.contains(&to.as_str()) && !everywhere.contains(&to.as_str()) {
                let pairs = imports.between(folder, from, to).into_iter();
                problems.extend(pairs.map(|(file, used)| {
                    format!("{} may not use {}", file.display(), used.display())
                }));
            }
        }
        for permission in *permitted {
            if !used.contains(*permission) {
                problems.push(format!("{from} may use {permission} and does not"));
            }
        }
    }
    for (row, _) in table {
        if !entries.contains_key(*row) {
            problems.push(format!("{row} is in the table and not in the folder"));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Asserts that each entry of a table may use only those below it.
fn assert_order(table: Table) {
    for (at, (entry, permitted)) in table.iter().enumerate() {
        for name in *permitted {
            let place = table.iter().position(|(other, _)| other == name);
            assert!(
                place.is_some_and(|place| place > at),
                "{entry} may use {name}, which is not below it"
            );
        }
    }
}

#[test]
fn a_layer_of_the_runtime_uses_only_those_in_its_row() {
    assert_layers("", LAYERS, EVERYWHERE);
}

#[test]
fn a_room_of_the_client_uses_only_those_in_its_row() {
    assert_layers("client", CLIENT, &[]);
}

#[test]
fn a_row_names_only_those_below_it() {
    assert_order(LAYERS);
    assert_order(CLIENT);
}

#[test]
fn the_runtime_names_no_environment_variable_of_the_tests() {
    for source in sources() {
        for path in files(&source) {
            let text = fs::read_to_string(&path).expect("a file of source");
            assert!(!text.contains("RGRPC_"), "{}", path.display());
        }
    }
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
