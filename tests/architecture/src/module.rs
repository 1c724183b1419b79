//! The modules of a crate, parsed from its source files, and the item that a path of one leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Item, ItemMod};

use crate::paths;
use crate::test_code::is_test_code;

/// The modules of a crate, the root first.
pub(crate) struct Modules(Vec<Module>);

/// The place of a module in [`Modules`].
pub(crate) type ModuleId = usize;

/// A module.
pub(crate) struct Module {
    parent: Option<ModuleId>,
    /// The file, relative to the crate's `src`. Modules within a file share it.
    pub(crate) file: PathBuf,
    children: BTreeMap<String, ModuleId>,
    /// The names that `use` items bring into scope, each with its path.
    names: BTreeMap<String, paths::Path>,
    /// The paths that the module's code uses.
    pub(crate) used: Vec<paths::Path>,
}

impl Modules {
    /// Reads the modules below `lib.rs`, or else `main.rs`.
    ///
    /// # Panics
    /// A file cannot be read or parsed.
    pub(crate) fn read(source: &Path) -> Self {
        let root = ["lib.rs", "main.rs"]
            .into_iter()
            .find(|root| source.join(root).exists())
            .unwrap_or_else(|| panic!("{}: no lib.rs and no main.rs", source.display()));
        let mut this = Self(Vec::new());
        this.read_file(source, Path::new(root), Path::new(""), None);
        this
    }

    /// The modules, the root first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ModuleId, &Module)> {
        self.0.iter().enumerate()
    }

    /// Returns the file that defines the item to which a path in the code of a module leads. `None`
    /// for an item of another crate.
    pub(crate) fn definition(&self, from: ModuleId, path: &[String]) -> Option<&Path> {
        // A single name is no module, whose items have longer paths, but perhaps a local variable
        // with a module's name.
        if path.len() == 1 && !self.0[from].names.contains_key(&path[0]) {
            return None;
        }
        let module = self.follow(from, path, &mut BTreeSet::new())?;
        Some(&self.0[module].file)
    }

    /// Returns the module that a path leads to, or that defines the item it leads to. `seen` has the
    /// names that were followed, so that one which leads to itself ends.
    fn follow<'a>(
        &'a self,
        from: ModuleId,
        path: &[String],
        seen: &mut BTreeSet<(ModuleId, &'a str)>,
    ) -> Option<ModuleId> {
        let module = &self.0[from];
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.within(0, rest, seen),
            "self" => self.within(from, rest, seen),
            "super" => self.within(module.parent?, rest, seen),
            name if module.children.contains_key(name) || module.names.contains_key(name) => {
                self.within(from, path, seen)
            }
            // Another crate, or an item of this module.
            _ => None,
        }
    }

    /// As [`Self::follow`], for the rest of a path, after the module's own.
    fn within<'a>(
        &'a self,
        id: ModuleId,
        path: &[String],
        seen: &mut BTreeSet<(ModuleId, &'a str)>,
    ) -> Option<ModuleId> {
        let module = &self.0[id];
        let Some((first, rest)) = path.split_first() else {
            return Some(id);
        };
        if first == "super" {
            return self.within(module.parent?, rest, seen);
        }
        let child = module.children.get(first);
        let name = module.names.get_key_value(first);
        match (child, name) {
            // A function may have the name of its module. More segments follow the module alone.
            (Some(child), _) if !rest.is_empty() || name.is_none() => {
                self.within(*child, rest, seen)
            }
            // The `use` item that gives a macro its path leads to itself: the macro is defined here.
            (_, Some((name, _))) if !seen.insert((id, name)) => Some(id),
            (_, Some((_, path))) => {
                let path: Vec<String> = path.iter().chain(rest).cloned().collect();
                self.follow(id, &path, seen)
            }
            // No `use` item has brought it into scope: it is defined here.
            _ => Some(id),
        }
    }

    /// Reads a file and the modules below it. `folder` is that of its child modules.
    fn read_file(
        &mut self,
        source: &Path,
        file: &Path,
        folder: &Path,
        parent: Option<ModuleId>,
    ) -> ModuleId {
        let path = source.join(file);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let parsed =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.read_items(source, file, folder, parent, &parsed.items)
    }

    fn read_items(
        &mut self,
        source: &Path,
        file: &Path,
        folder: &Path,
        parent: Option<ModuleId>,
        items: &[Item],
    ) -> ModuleId {
        let id = self.0.len();
        self.0.push(Module {
            parent,
            file: file.to_owned(),
            children: BTreeMap::new(),
            names: BTreeMap::new(),
            used: Vec::new(),
        });
        for item in items {
            if is_test_code(paths::attributes(item)) {
                continue;
            }
            match item {
                Item::Mod(item) if is_elsewhere(item) => {}
                Item::Mod(item) => {
                    let child = self.read_module(source, file, folder, id, item);
                    self.0[id].children.insert(item.ident.to_string(), child);
                }
                Item::Use(item) => {
                    let names = paths::of_use(item);
                    let paths = names.iter().map(|(_, path)| path.clone());
                    self.0[id].used.extend(paths);
                    // `use … as _` brings no name.
                    let names = names.into_iter().filter(|(name, _)| name != "_");
                    self.0[id].names.extend(names);
                }
                item => self.0[id].used.extend(paths::in_item(item)),
            }
        }
        id
    }

    fn read_module(
        &mut self,
        source: &Path,
        file: &Path,
        folder: &Path,
        parent: ModuleId,
        item: &ItemMod,
    ) -> ModuleId {
        let below = folder.join(item.ident.to_string());
        if let Some((_, items)) = &item.content {
            return self.read_items(source, file, &below, Some(parent), items);
        }
        let beside = below.with_extension("rs");
        let file = match source.join(&beside).exists() {
            true => beside,
            false => below.join("mod.rs"),
        };
        self.read_file(source, &file, &below, Some(parent))
    }
}

/// Returns whether a module's file is outside of the crate, as that of the fuzz targets.
fn is_elsewhere(item: &ItemMod) -> bool {
    let mut attributes = item.attrs.iter();
    attributes.any(|attribute| attribute.path().is_ident("path"))
}
