//! What the tests of both front ends share: folders to write to, and schemas to read.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An empty folder for the test called `name`.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder for tests is writable");
    folder
}

/// The files of a folder and of those within, by path.
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

/// The include folder and the files of the schemas that every way of generation is tried on.
pub(crate) fn schemas() -> BTreeMap<PathBuf, Vec<String>> {
    let list =
        fs::read_to_string(root().join("tests/codegen/schemas")).expect("the list of schemas");
    let mut schemas: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let listed = list.lines().filter(|line| !line.starts_with('#'));
    // The requests of these tests come from a compiler that forgets blank lines of block comments.
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
