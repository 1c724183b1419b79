//! The embedded `.proto` compiler: no `protoc` is needed on the machine that builds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prost_types::FileDescriptorProto;

use crate::block_comments;
use crate::error::Error;

/// What the compiler made of the files it was given.
pub(crate) struct Compiled {
    /// All files, imports included.
    pub(crate) files: Vec<FileDescriptorProto>,
    /// The import paths of the files that were given.
    pub(crate) to_generate: Vec<String>,
    /// The files that were read from disk.
    pub(crate) read: Vec<PathBuf>,
}

/// Compiles `protos`, which are found below `includes`. Imports are too, or are well-known.
pub(crate) fn compile(
    protos: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<Compiled, Error> {
    // Its debug form is the one with file, line and column.
    let failed = |error: protox::Error| Error::Compile(format!("{error:?}"));
    let mut compiler = protox::Compiler::new(includes).map_err(failed)?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(protos).map_err(failed)?;
    let named = compiler.files().filter(|file| !file.is_import());
    let to_generate = named.map(|file| file.name().to_owned()).collect();
    let paths: BTreeMap<String, PathBuf> = compiler
        .files()
        .filter_map(|file| Some((file.name().to_owned(), file.path()?.to_owned())))
        .collect();
    let mut files = compiler.file_descriptor_set().file;
    for file in &mut files {
        let source = paths.get(file.name()).map(fs::read_to_string);
        if let Some(Ok(source)) = source
            && let Some(info) = block_comments::restored(file.name(), &source)
        {
            file.source_code_info = Some(info);
        }
    }
    Ok(Compiled {
        files,
        to_generate,
        read: paths.into_values().collect(),
    })
}
