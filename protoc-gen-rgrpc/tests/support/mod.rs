//! The shared code of the tests of both front ends: folders to write to, and schemas to read.

// Each test file uses only a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns the repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Creates an empty folder for the test `name`.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder for tests is writable");
    folder
}

/// Reads the files of a folder and its subfolders, by path.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, String> {
    fn add(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("the folder exists") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                add(root, &path, files);
                continue;
            }
            let name = path.strip_prefix(root).expect("below").to_string_lossy();
            let text = fs::read_to_string(&path).expect("generated files are text");
            files.insert(name.replace('\\', "/"), text);
        }
    }
    let mut files = BTreeMap::new();
    add(folder, folder, &mut files);
    files
}

/// Returns the include folder and the files of the schemas for all ways of generation.
pub(crate) fn schemas() -> BTreeMap<PathBuf, Vec<String>> {
    let list =
        fs::read_to_string(root().join("tests/codegen/schemas")).expect("the list of schemas");
    let mut schemas: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let listed = list.lines().filter(|line| !line.starts_with('#'));
    // These requests come from a compiler that drops blank lines of block comments.
    // tests/codegen/run compares with compilers that keep them.
    for line in listed.filter(|line| !line.ends_with("/block_comments.proto")) {
        let (include, file) = line.split_once(' ').expect("INCLUDE FILE");
        schemas
            .entry(root().join(include))
            .or_default()
            .push(file.to_owned());
    }
    schemas
}
