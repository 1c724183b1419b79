//! The library's front end, for build scripts.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, io};

use prost_types::FileDescriptorProto;

use crate::compiler::{self, Compiled};
use crate::descriptor;
use crate::error::Error;
use crate::external::{self, Program};
use crate::folder;
use crate::options::Options;
use crate::package;
use crate::schema::Schema;

/// Generates code with the embedded compiler. Its options are the plugin's, by the same names.
///
/// An option with an unacceptable value is reported by [`compile_protos`](Self::compile_protos), so
/// that calls can be chained.
///
/// ```no_run
/// # fn main() -> Result<(), protoc_gen_rgrpc::Error> {
/// protoc_gen_rgrpc::Builder::new()
///     .server(false)
///     .bytes(".")
///     .extern_path(".shared", "::shared::proto")
///     .compile_protos(&["proto/route_guide.proto"], &["proto"])
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing is generated until `compile_protos` or `compile_fds` is called"]
pub struct Builder {
    options: Options,
    /// The first option that was not acceptable.
    rejected: Option<Error>,
    out_dir: Option<PathBuf>,
    file_descriptor_set_path: Option<PathBuf>,
    /// The compiler, if it is not the embedded one.
    program: Option<Program>,
}

impl Builder {
    /// A builder with every option at its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether to generate messages and enums. Without, they are expected where the services'
    /// module would have them, or where [`extern_path`](Self::extern_path) says. Default: true.
    pub fn messages(self, generate: bool) -> Self {
        self.switch("messages", generate)
    }

    /// Sets whether to generate client stubs. Default: true.
    pub fn client(self, generate: bool) -> Self {
        self.switch("client", generate)
    }

    /// Sets whether to generate service traits, their descriptors and register functions. Default: true.
    pub fn server(self, generate: bool) -> Self {
        self.switch("server", generate)
    }

    /// Sets whether every method of a service trait must be implemented. Without, a method that is not
    /// answers UNIMPLEMENTED, so that a method added to a `.proto` file breaks no server. Default:
    /// false.
    pub fn require_methods(self, require: bool) -> Self {
        self.switch("require_methods", require)
    }

    /// Sets whether each file with services has its descriptors and those of its imports as a constant,
    /// which server reflection answers from: `A_B_DESCRIPTOR_SET` for `a/b.proto`. They take about as
    /// many bytes as the `.proto` files without comments, and only in binaries that use them.
    /// Default: true.
    pub fn file_descriptor_set(self, embed: bool) -> Self {
        self.switch("file_descriptor_set", embed)
    }

    /// Sets whether messages implement [`prost::Name`]: their full name and type URL
    /// (`type.googleapis.com/routeguide.Point`), by which `prost_types::Any` packs and unpacks them.
    /// Default: false, as with prost-build, since it adds an implementation for each message that
    /// most programs do not use.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), protoc_gen_rgrpc::Error> {
    /// protoc_gen_rgrpc::Builder::new()
    ///     .type_names(true)
    ///     .compile_protos(&["proto/route_guide.proto"], &["proto"])
    /// # }
    /// ```
    ///
    /// Then `Any::from_msg(&point)` and `any.to_msg::<Point>()` compile.
    pub fn type_names(self, implement: bool) -> Self {
        self.switch("type_names", implement)
    }

    /// Sets the name of the file that includes all others, or none if it is empty. A build script needs
    /// none, [`include_protos!`] includes its folder. Default: `mod.rs`.
    ///
    /// [`include_protos!`]: https://docs.rs/rgrpc/latest/rgrpc/macro.include_protos.html
    pub fn mod_file(self, name: impl AsRef<str>) -> Self {
        self.set("mod_file", name.as_ref())
    }

    /// The path by which generated code reaches the runtime. Default: `::rgrpc`.
    pub fn runtime_path(self, path: impl AsRef<str>) -> Self {
        self.set("runtime_path", path.as_ref())
    }

    /// Uses types that exist already: what is at or below `proto` (`.pkg` or `.pkg.Message`) is not
    /// generated, but found at or below `rust`. Repeatable.
    pub fn extern_path(self, proto: impl AsRef<str>, rust: impl AsRef<str>) -> Self {
        self.set(
            "extern_path",
            &format!("{}={}", proto.as_ref(), rust.as_ref()),
        )
    }

    /// `bytes::Bytes` instead of `Vec<u8>` for the `bytes` fields that match: `.` all,
    /// `.pkg.Message` those of a message, `Message.field` by suffix. A `Bytes` shares the memory of
    /// the message it was decoded from. Repeatable.
    pub fn bytes(self, path: impl AsRef<str>) -> Self {
        self.set("bytes", path.as_ref())
    }

    /// Boxes the fields that match. Recursive ones are boxed anyway. Repeatable.
    pub fn boxed(self, path: impl AsRef<str>) -> Self {
        self.set("boxed", path.as_ref())
    }

    /// Adds an attribute such as `#[derive(Hash)]` to the messages, enums and oneofs that match.
    /// Repeatable.
    pub fn type_attribute(self, path: impl AsRef<str>, attribute: impl AsRef<str>) -> Self {
        self.set(
            "type_attribute",
            &format!("{}={}", path.as_ref(), attribute.as_ref()),
        )
    }

    /// Adds an attribute to the fields that match. Repeatable.
    pub fn field_attribute(self, path: impl AsRef<str>, attribute: impl AsRef<str>) -> Self {
        self.set(
            "field_attribute",
            &format!("{}={}", path.as_ref(), attribute.as_ref()),
        )
    }

    /// The folder to write to; it is created if need be. Default: `OUT_DIR`, which cargo sets for a
    /// build script.
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(folder.into());
        self
    }

    /// Also writes the descriptors of all files as an encoded `FileDescriptorSet`. A relative path
    /// is below the output folder. With the plugin, `protoc --descriptor_set_out` or `buf build -o`
    /// does this.
    pub fn file_descriptor_set_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.file_descriptor_set_path = Some(path.into());
        self
    }

    /// Compiles with the `protoc` at `path`, or found by that name, instead of the embedded compiler,
    /// for `.proto` files that the embedded one does not accept. The code is the same.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), protoc_gen_rgrpc::Error> {
    /// protoc_gen_rgrpc::Builder::new()
    ///     .protoc("protoc")
    ///     .compile_protos(&["proto/route_guide.proto"], &["proto"])
    /// # }
    /// ```
    pub fn protoc(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(Program::Protoc(path.into()));
        self
    }

    /// Compiles with the `buf` at `path`, or found by that name, instead of the embedded compiler,
    /// which finds imports in the modules of a workspace and in their dependencies. The one include
    /// folder of [`compile_protos`](Self::compile_protos) is the input of `buf build`: a module or a
    /// workspace. In a build script, cargo is told of the whole folder.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), protoc_gen_rgrpc::Error> {
    /// protoc_gen_rgrpc::Builder::new()
    ///     .buf("buf")
    ///     .compile_protos(&["proto/route_guide.proto"], &["proto"])
    /// # }
    /// ```
    pub fn buf(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(Program::Buf(path.into()));
        self
    }

    /// Compiles `protos`, found below `includes`, and writes the code. In a build script, tells cargo
    /// to run it again when a file that was read changes.
    ///
    /// Files that are imported need not be listed: messages whose types are used are generated with
    /// them. Services are generated for the listed files only. A file whose text did not change is
    /// not written again.
    ///
    /// A build script may call this several times. The code of all calls is then in one folder, and
    /// [`include_protos!`] includes all of it; files in `OUT_DIR` that an earlier build generated are
    /// removed. A file that two calls generate differently, because their options differ, is an
    /// error.
    ///
    /// [`include_protos!`]: https://docs.rs/rgrpc/latest/rgrpc/macro.include_protos.html
    ///
    /// # Errors
    ///
    /// When an option is not acceptable, a file does not compile or has no Rust form, or a file
    /// cannot be written. The text of the [`Error`] names the place.
    pub fn compile_protos(
        self,
        protos: &[impl AsRef<Path>],
        includes: &[impl AsRef<Path>],
    ) -> Result<(), Error> {
        if let Some(error) = self.rejected {
            return Err(error);
        }
        let Compiled {
            files,
            to_generate,
            read,
        } = match &self.program {
            None => compiler::compile(protos, includes)?,
            Some(program) => program.compile(protos, includes, &self.target_folder()?)?,
        };
        if build_script().is_some() {
            // Nobody reads: then nobody needs to know.
            let _ = io::stdout().write_all(rerun_if_changed(&read).as_bytes());
        }
        self.generate(files, &to_generate)
    }

    /// Writes the code for an encoded `google.protobuf.FileDescriptorSet` instead of `.proto` files:
    /// `protoc --include_imports --include_source_info -o set.binpb …`, or
    /// `buf build --as-file-descriptor-set -o set.binpb`. `protos` are the names in the set of the
    /// files whose services are generated, and whose messages are; all files if it is empty. The set
    /// must have all that they import. Without source information the code has no comments.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// println!("cargo::rerun-if-changed=proto/set.binpb");
    /// let set = std::fs::read("proto/set.binpb")?;
    /// protoc_gen_rgrpc::Builder::new().compile_fds(&set, &["route_guide.proto"])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails when an option is not acceptable, the set is not one or lacks a file, a file has no Rust form,
    /// or a file cannot be written.
    pub fn compile_fds(self, set: &[u8], protos: &[impl AsRef<str>]) -> Result<(), Error> {
        if let Some(error) = self.rejected {
            return Err(error);
        }
        let files = external::decode(set)?;
        let mut to_generate: Vec<String> =
            protos.iter().map(|name| name.as_ref().to_owned()).collect();
        if to_generate.is_empty() {
            to_generate.extend(files.iter().map(|file| file.name().to_owned()));
        }
        self.generate(files, &to_generate)
    }

    /// Writes the code of `files`, of which those in `to_generate` were named.
    fn generate(
        self,
        files: Vec<FileDescriptorProto>,
        to_generate: &[String],
    ) -> Result<(), Error> {
        let out_dir = self.target_folder()?;
        let schema = Schema::new(files, to_generate, &self.options)?;
        let files = package::generate(&schema, &self.options)?;
        let mod_file = self.options.mod_file.as_deref();
        match build_script() {
            Some(cargos) => {
                let is_cargos = out_dir.starts_with(cargos);
                folder::write_for_build_script(&out_dir, files, mod_file, is_cargos)?;
            }
            None => folder::write(&out_dir, files, mod_file)?,
        }
        if let Some(path) = self.file_descriptor_set_path {
            let set = descriptor::encode(schema.files().map(|(file, _)| file));
            folder::write_if_changed(&out_dir.join(path), &set)?;
        }
        Ok(())
    }

    fn target_folder(&self) -> Result<PathBuf, Error> {
        let folder = self.out_dir.clone();
        folder.or_else(build_script).ok_or(Error::NoOutDir)
    }

    fn switch(self, option: &str, on: bool) -> Self {
        self.set(option, if on { "true" } else { "false" })
    }

    fn set(mut self, option: &str, value: &str) -> Self {
        if let Err(error) = self.options.set(option, value) {
            self.rejected.get_or_insert(error);
        }
        self
    }
}

/// Generates code for `protos`, found below `includes`, with every option at its default: what a
/// build script usually needs. See [`Builder::compile_protos`].
///
/// # Errors
///
/// As [`Builder::compile_protos`].
pub fn compile_protos(
    protos: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<(), Error> {
    Builder::new().compile_protos(protos, includes)
}

/// The folder that cargo gives a build script, if this is one.
fn build_script() -> Option<PathBuf> {
    env::var_os("OUT_DIR").map(PathBuf::from)
}

/// The lines by which a build script tells cargo what it read.
fn rerun_if_changed(files: &[PathBuf]) -> String {
    files
        .iter()
        .map(|file| format!("cargo::rerun-if-changed={}\n", file.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_told_of_every_file_that_was_read() {
        let files = ["proto/a.proto", "proto/b.proto"].map(PathBuf::from);
        assert_eq!(
            rerun_if_changed(&files),
            "cargo::rerun-if-changed=proto/a.proto\ncargo::rerun-if-changed=proto/b.proto\n"
        );
    }
}
