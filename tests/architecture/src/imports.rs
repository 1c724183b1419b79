//! The imports between the files of a crate, and between the entries of its folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::module::Modules;

/// The files of a crate, each with the files whose items it uses. Paths are relative to its `src`.
pub struct Imports(BTreeMap<PathBuf, BTreeSet<PathBuf>>);

impl Imports {
    /// Reads the imports of the crate whose source is in a folder.
    ///
    /// # Panics
    /// A file cannot be read or parsed, or imports `*`.
    #[must_use]
    pub fn of(source: &Path) -> Self {
        let modules = Modules::read(source);
        let mut imports: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
        for (id, module) in modules.iter() {
            let used = imports.entry(module.file.clone()).or_default();
            let paths = module.used.iter();
            let files = paths.filter_map(|path| modules.definition(id, path));
            used.extend(files.map(Path::to_owned));
            used.remove(&module.file);
        }
        Self(imports)
    }

    /// The folders with files, the root first.
    #[must_use]
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let files = self.0.keys();
        let folders = files.flat_map(|file| file.ancestors().skip(1));
        folders.map(Path::to_owned).collect()
    }

    /// Returns the imports between the entries of a folder, which are its files and its subfolders. A
    /// subfolder has the imports of all its files. `mod.rs`, `lib.rs` and `main.rs` speak for the
    /// folder and are left out.
    #[must_use]
    pub fn between_entries(&self, folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (file, used) in &self.0 {
            let Some(from) = entry(folder, file) else {
                continue;
            };
            let to = used.iter().filter_map(|used| entry(folder, used));
            let to: Vec<_> = to.filter(|to| *to != from).collect();
            all.entry(from).or_default().extend(to);
        }
        all
    }

    /// Returns the imports of one entry of a folder by another: pairs of files.
    #[must_use]
    pub fn between(&self, folder: &Path, from: &str, to: &str) -> Vec<(&Path, &Path)> {
        let files = self.0.iter();
        let files = files.filter(|(file, _)| entry(folder, file).as_deref() == Some(from));
        let pairs = files.flat_map(|(file, used)| used.iter().map(move |used| (file, used)));
        pairs
            .filter(|(_, used)| entry(folder, used).as_deref() == Some(to))
            .map(|(file, used)| (file.as_path(), used.as_path()))
            .collect()
    }
}

/// The entry of a folder that a file is, or is in.
fn entry(folder: &Path, file: &Path) -> Option<String> {
    let first = file.strip_prefix(folder).ok()?.iter().next()?.to_str()?;
    let first = first.strip_suffix(".rs").unwrap_or(first);
    (!["mod", "lib", "main"].contains(&first)).then(|| first.to_owned())
}
