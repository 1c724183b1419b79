//! The output folder of a build script.
//!
//! The macros include all generated files of a folder, so the folder must hold exactly those of
//! this build. A build script may call the generator several times, and cargo keeps `OUT_DIR`
//! between builds. [`write`] records the files of this process, and a list in the folder has those
//! of the previous build.
//!
//! Called by the build script's front end, after the generator.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::output::OutputFile;

/// The name of the list of the last build's files.
const LIST: &str = "rgrpc-files.txt";

/// The files that this process wrote as a build script, by folder. cargo runs a build script in its
/// own process, so these are the files of one build.
static WRITTEN: Mutex<BTreeMap<PathBuf, Written>> = Mutex::new(BTreeMap::new());

#[derive(Default)]
struct Written {
    /// The files of the previous build.
    before: BTreeSet<String>,
    /// The files of this build, with their texts.
    files: BTreeMap<String, String>,
}

/// Writes files. An unchanged file is not written again, except `mod_file` if other files were
/// added: cargo, which watches the compiled files, then detects a change.
pub(crate) fn write(
    folder: &Path,
    files: Vec<OutputFile>,
    mod_file: Option<&str>,
) -> Result<(), Error> {
    let mut added = false;
    let (last, files): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|file| Some(file.name.as_str()) == mod_file);
    for file in files {
        let path = folder.join(file.name);
        added |= !path.exists();
        write_if_changed(&path, file.content.as_bytes())?;
    }
    for file in last {
        let path = folder.join(file.name);
        if added {
            fs::write(&path, file.content).map_err(|source| Error::Io { path, source })?;
        } else {
            write_if_changed(&path, file.content.as_bytes())?;
        }
    }
    Ok(())
}

/// Writes files for a build script, in addition to those of earlier calls. It fails if an earlier
/// call wrote one of the files with another text, because the code of one call would be lost. In
/// cargo's `OUT_DIR`, it removes the files of the previous build that this build does not write.
pub(crate) fn write_for_build_script(
    folder: &Path,
    files: Vec<OutputFile>,
    mod_file: Option<&str>,
    is_cargos: bool,
) -> Result<(), Error> {
    let mut folders = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    let written = folders.entry(folder.to_owned()).or_insert_with(|| Written {
        before: fs::read_to_string(folder.join(LIST))
            .map(|list| list.lines().map(str::to_owned).collect())
            .unwrap_or_default(),
        files: BTreeMap::new(),
    });
    for file in &files {
        if written
            .files
            .get(&file.name)
            .is_some_and(|earlier| *earlier != file.content)
        {
            return Err(Error::Twice {
                path: folder.join(&file.name),
            });
        }
    }
    for file in &files {
        written
            .files
            .insert(file.name.clone(), file.content.clone());
    }
    write(folder, files, mod_file)?;
    if !is_cargos {
        return Ok(());
    }
    for stale in written
        .before
        .iter()
        .filter(|name| !written.files.contains_key(*name))
    {
        // A later call may write it again. A missing file need not be removed.
        let _ = fs::remove_file(folder.join(stale));
    }
    let list: String = written
        .files
        .keys()
        .map(|name| format!("{name}\n"))
        .collect();
    write_if_changed(&folder.join(LIST), list.as_bytes())
}

/// Writes a file if its text differs. cargo treats a rewritten file as changed and recompiles
/// everything that includes it.
pub(crate) fn write_if_changed(path: &Path, content: &[u8]) -> Result<(), Error> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let failed = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, content).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    fn file(name: &str, content: &str) -> OutputFile {
        OutputFile {
            name: name.to_owned(),
            content: content.to_owned(),
        }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("rgrpc-folder-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    /// The state of a new process.
    fn next_build() {
        WRITTEN
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn names(folder: &Path) -> Vec<String> {
        let list = fs::read_dir(folder).expect("there");
        let mut names: Vec<String> = list
            .map(|entry| {
                entry
                    .expect("readable")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| name != LIST)
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_has_the_files_of_all_calls_and_none_of_the_previous_build() {
        let folder = folder("builds");
        let build = |calls: &[&str]| {
            next_build();
            for name in calls {
                write_for_build_script(&folder, vec![file(name, "text")], None, true)
                    .expect("writable");
            }
        };
        build(&["a.pb.rs", "b.pb.rs"]);
        assert_eq!(names(&folder), ["a.pb.rs", "b.pb.rs"]);
        fs::write(folder.join("other.rs"), "").expect("writable");
        build(&["c.pb.rs", "b.pb.rs"]);
        assert_eq!(names(&folder), ["b.pb.rs", "c.pb.rs", "other.rs"]);

        // Two calls that would overwrite each other's code.
        let twice =
            |content| write_for_build_script(&folder, vec![file("b.pb.rs", content)], None, true);
        twice("text").expect("the same");
        let error = twice("other").expect_err("another text").to_string();
        assert!(
            error.contains("b.pb.rs: an earlier call in this build script"),
            "{error}"
        );
        assert_eq!(
            fs::read_to_string(folder.join("b.pb.rs")).expect("there"),
            "text"
        );
        let _ = fs::remove_dir_all(&folder);
    }

    #[test]
    fn mod_rs_is_written_again_when_a_file_is_added() {
        let folder = folder("added");
        let generate = |names: &[&str]| {
            let mut files: Vec<_> = names.iter().map(|name| file(name, "text")).collect();
            files.push(file("mod.rs", "text"));
            write(&folder, files, Some("mod.rs")).expect("writable");
            let written = fs::metadata(folder.join("mod.rs")).and_then(|meta| meta.modified());
            let written = written.expect("there");
            let open = fs::File::options().write(true).open(folder.join("mod.rs"));
            open.and_then(|file| file.set_modified(std::time::UNIX_EPOCH))
                .expect("ours");
            written
        };
        generate(&["a.pb.rs"]);
        assert_eq!(generate(&["a.pb.rs"]), std::time::UNIX_EPOCH);
        assert_ne!(generate(&["a.pb.rs", "b.pb.rs"]), std::time::UNIX_EPOCH);
        let _ = fs::remove_dir_all(&folder);
    }
}
