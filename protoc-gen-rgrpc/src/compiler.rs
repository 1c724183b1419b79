//! The embedded `.proto` compiler, which makes `protoc` unnecessary.
//!
//! protox refuses some schemas that protoc accepts. Such a schema is compiled again in an
//! equivalent form that protox accepts: [`source`] changes the text of its files, and [`adapt`]
//! changes their descriptors and reverts the changes afterwards.
//!
//! Called by the build script's front end.

mod adapt;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prost_types::FileDescriptorProto;
use protox::file::FileResolver as _;

use crate::block_comments;
use crate::error::Error;
use crate::schema;
use source::Sources;

/// The result of a compilation.
pub(crate) struct Compiled {
    /// The descriptors of all files, including imports.
    pub(crate) files: Vec<FileDescriptorProto>,
    /// The import paths of the compiled files.
    pub(crate) to_generate: Vec<String>,
    /// The paths of the files that were read from disk.
    pub(crate) read: Vec<PathBuf>,
}

/// Compiles `protos`, found below `includes`. Their imports are found there too, or are well-known.
pub(crate) fn compile(
    protos: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<Compiled, Error> {
    let mut compiler = protox::Compiler::new(includes).map_err(failed)?;
    compiler.include_imports(true).include_source_info(true);
    match compiler.open_files(protos) {
        Ok(_) => {
            let paths: BTreeMap<String, PathBuf> = compiler
                .files()
                .filter_map(|file| Some((file.name().to_owned(), file.path()?.to_owned())))
                .collect();
            let mut files = compiler.file_descriptor_set().file;
            for file in &mut files {
                if let Some(Ok(source)) = paths.get(file.name()).map(fs::read_to_string) {
                    restore_comments(file, &source);
                }
            }
            Ok(Compiled {
                files,
                to_generate: to_generate(&compiler),
                read: paths.into_values().collect(),
            })
        }
        // Only these errors concern the content of a file.
        Err(error) if error.is_io() || error.is_file_not_found() || is_shadowed(&error) => {
            Err(failed(error))
        }
        Err(_) => compile_adapted(protos, includes),
    }
}

fn compile_adapted(
    protos: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<Compiled, Error> {
    let sources = Sources::new(includes);
    let named = |path: &dyn AsRef<Path>| {
        let path = path.as_ref();
        let found = sources.resolve_path(path);
        found.unwrap_or_else(|| path.to_string_lossy().into_owned())
    };
    if let Some(name) = protos
        .iter()
        .map(|path| named(path))
        .find(|name| sources.is_editions(name))
    {
        return Err(schema::editions(&name));
    }
    let mut compiler = protox::Compiler::with_file_resolver(sources.clone());
    compiler.include_imports(true).include_source_info(true);
    if let Err(error) = compiler.open_files(protos) {
        return Err(match error.file() {
            Some(name) if sources.is_editions(name) => Error::Compile(format!(
                "{error:?}; the embedded compiler reads files of editions for their options only, and \
                 not all of them: have protoc or buf compile it"
            )),
            _ => failed(error),
        });
    }
    let mut files = compiler.file_descriptor_set().file;
    for file in &mut files {
        sources.restore(file);
    }
    Ok(Compiled {
        files,
        to_generate: to_generate(&compiler),
        read: sources.read(),
    })
}

/// Adds the comments of a file's text to its descriptor.
fn restore_comments(file: &mut FileDescriptorProto, text: &str) {
    if let Some(info) = block_comments::restored(file.name(), text) {
        file.source_code_info = Some(info);
    }
}

fn to_generate(compiler: &protox::Compiler) -> Vec<String> {
    let named = compiler.files().filter(|file| !file.is_import());
    named.map(|file| file.name().to_owned()).collect()
}

/// The debug form has the file, line and column.
#[allow(clippy::needless_pass_by_value)]
fn failed(error: protox::Error) -> Error {
    Error::Compile(format!("{error:?}"))
}

fn is_shadowed(error: &protox::Error) -> bool {
    error.to_string().contains("is shadowed by")
}
