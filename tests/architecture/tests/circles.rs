//! No import circle between the files and subfolders of a folder, at every level.
//!
//! This includes circles between files anywhere: such files are in different entries of the smallest
//! folder that has them all. Only imports between a `mod.rs` and the modules below it are free: a child
//! uses the items of its parent by `super`.

use std::path::Path;

use rgrpc_architecture::{Imports, circles};

/// The folders of the crates, from the root of the repository.
const CRATES: &[&str] = &[
    "runtime/rgrpc",
    "runtime/http2",
    "runtime/macros",
    "protoc-gen-rgrpc",
];

#[test]
fn no_entries_of_a_folder_use_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut problems = Vec::new();
    for name in CRATES {
        let imports = Imports::of(&root.join(name).join("src"));
        for folder in imports.folders() {
            let entries = imports.between_entries(&folder);
            for circle in circles(&entries) {
                problems.push(format!("{name}/src/{}: {circle:?}", folder.display()));
                for from in &circle {
                    for to in entries[from].intersection(&circle) {
                        let pairs = imports.between(&folder, from, to).into_iter();
                        problems.extend(pairs.map(|(file, used)| {
                            format!("  {} uses {}", file.display(), used.display())
                        }));
                    }
                }
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
