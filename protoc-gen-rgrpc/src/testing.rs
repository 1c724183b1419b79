//! Schemas from source texts, for unit tests.

use std::collections::HashMap;

use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use crate::error::Error;
use crate::options::Options;
use crate::schema::Schema;

struct Texts(HashMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let text = self
            .0
            .get(name)
            .ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, text)
    }
}

/// Returns the schema of `files`; those in `to_generate` are listed.
pub(crate) fn schema(
    files: &[(&str, &str)],
    to_generate: &[&str],
    options: &Options,
) -> Result<Schema, Error> {
    let texts = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    let mut resolver = ChainFileResolver::new();
    resolver.add(Texts(texts));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    compiler
        .open_files(files.iter().map(|(name, _)| name))
        .expect("the test's schema compiles");
    let to_generate: Vec<String> = to_generate.iter().map(|name| (*name).to_owned()).collect();
    Schema::new(compiler.file_descriptor_set().file, &to_generate, options)
}
