//! The library's front end, for build scripts. A build script calls it on its main thread.

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

/// A code generator for build scripts, with the embedded compiler and the plugin's options.
///
/// Setters can be chained: [`compile_protos`](Self::compile_protos) reports an invalid value.
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
    /// The first invalid option.
    rejected: Option<Error>,
    out_dir: Option<PathBuf>,
    file_descriptor_set_path: Option<PathBuf>,
    /// The external compiler; `None` for the embedded one.
    program: Option<Program>,
}

impl Builder {
    /// Creates a builder with every option at its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether to generate messages and enums. Default: true.
    ///
    /// Without them, the services expect the types in their own module, or where
    /// [`extern_path`](Self::extern_path) says.
    pub fn messages(self, generate: bool) -> Self {
        self.switch("messages", generate)
    }

    /// Sets whether to generate client stubs. Default: true.
    pub fn client(self, generate: bool) -> Self {
        self.switch("client", generate)
    }

    /// Sets whether to generate service traits, service descriptors and register functions.
    /// Default: true.
    pub fn server(self, generate: bool) -> Self {
        self.switch("server", generate)
    }

    /// Sets whether a service trait requires every method. Default: false.
    ///
    /// Without it, a method that is not implemented fails with UNIMPLEMENTED, so that a new method
    /// in a `.proto` file breaks no server.
    pub fn require_methods(self, require: bool) -> Self {
        self.switch("require_methods", require)
    }

    /// Sets whether to embed the file descriptors, which server reflection serves and
    /// interceptors read a method's options in. Default: true.
    ///
    /// Each file with services gets a constant with its descriptors and those of its imports:
    /// `A_B_DESCRIPTOR_SET` for `a/b.proto`. The constant has about as many bytes as the `.proto`
    /// files without comments. Only binaries that use it have it: those with the service's server,
    /// and those with its client, whose interceptors see the [descriptor] of a call.
    ///
    /// [descriptor]: https://docs.rs/rgrpc/latest/rgrpc/struct.OutgoingCall.html#method.descriptor
    pub fn file_descriptor_set(self, embed: bool) -> Self {
        self.switch("file_descriptor_set", embed)
    }

    /// Sets whether messages implement [`prost::Name`]: their full name and type URL
    /// (`type.googleapis.com/routeguide.Point`). Default: false, as in prost-build.
    ///
    /// `prost_types::Any` needs it to pack and unpack a message. It adds an implementation to each
    /// message that most programs do not use.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), protoc_gen_rgrpc::Error> {
    /// protoc_gen_rgrpc::Builder::new()
    ///     .type_names(true)
    ///     .compile_protos(&["proto/route_guide.proto"], &["proto"])
    /// # }
    /// ```
    ///
    /// `Any::from_msg(&point)` and `any.to_msg::<Point>()` then compile.
    pub fn type_names(self, implement: bool) -> Self {
        self.switch("type_names", implement)
    }

    /// Sets the name of the file that includes all others; an empty name omits the file. Default:
    /// `mod.rs`.
    ///
    /// A build script needs no such file, because [`include_protos!`] includes its folder.
    ///
    /// [`include_protos!`]: https://docs.rs/rgrpc/latest/rgrpc/macro.include_protos.html
    pub fn mod_file(self, name: impl AsRef<str>) -> Self {
        self.set("mod_file", name.as_ref())
    }

    /// Sets the Rust path of the runtime crate in generated code. Default: `::rgrpc`.
    pub fn runtime_path(self, path: impl AsRef<str>) -> Self {
        self.set("runtime_path", path.as_ref())
    }

    /// Maps Protobuf types to existing Rust types. Repeatable.
    ///
    /// The types at or below `proto` (`.pkg` or `.pkg.Message`) are not generated. Generated code
    /// finds them at or below `rust`.
    pub fn extern_path(self, proto: impl AsRef<str>, rust: impl AsRef<str>) -> Self {
        self.set(
            "extern_path",
            &format!("{}={}", proto.as_ref(), rust.as_ref()),
        )
    }

    /// Uses `bytes::Bytes` instead of `Vec<u8>` for the `bytes` fields that match. Repeatable.
    ///
    /// The pattern `.` matches all fields, `.pkg.Message` those of a message, and `Message.field`
    /// by suffix. A `Bytes` shares the memory of the received message.
    pub fn bytes(self, path: impl AsRef<str>) -> Self {
        self.set("bytes", path.as_ref())
    }

    /// Boxes the fields that match. Recursive fields are always boxed. Repeatable.
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

    /// Sets the output folder, which is created if it is missing. Default: `OUT_DIR`, which cargo
    /// sets for a build script.
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(folder.into());
        self
    }

    /// Also writes the descriptors of all files as an encoded `FileDescriptorSet`. Default: none.
    ///
    /// A relative path is below the output folder. For the plugin, `protoc --descriptor_set_out` or
    /// `buf build -o` writes the same.
    pub fn file_descriptor_set_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.file_descriptor_set_path = Some(path.into());
        self
    }

    /// Compiles with the `protoc` at `path`, or of that name in `PATH`, instead of the embedded
    /// compiler.
    ///
    /// It is for `.proto` files that the embedded compiler does not accept. The generated code is
    /// the same.
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

    /// Compiles with the `buf` at `path`, or of that name in `PATH`, instead of the embedded
    /// compiler.
    ///
    /// `buf` finds imports in the modules of a workspace and in their dependencies.
    /// [`compile_protos`](Self::compile_protos) needs exactly one include folder, the input of `buf
    /// build`: a module or a workspace. In a build script, cargo watches the whole folder.
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

    /// Compiles `protos`, found below `includes`, and writes the code.
    ///
    /// In a build script, cargo runs the script again when a file that was read changes.
    ///
    /// Imported files need not be listed: their messages are generated if the listed files use
    /// them. Services are generated only for the listed files. A file whose text is unchanged is
    /// not written again.
    ///
    /// A build script may call this method several times. One folder then holds the code of all
    /// calls, and [`include_protos!`] includes all of it. Generated files of an earlier build in
    /// `OUT_DIR` are removed. It is an error if two calls with different options generate the same
    /// file.
    ///
    /// [`include_protos!`]: https://docs.rs/rgrpc/latest/rgrpc/macro.include_protos.html
    ///
    /// # Errors
    ///
    /// An option is invalid, a file does not compile or has no Rust form, or a file cannot be
    /// written. The text of the [`Error`] names the place.
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
            // A closed output means that cargo does not read it.
            let _ = io::stdout().write_all(rerun_if_changed(&read).as_bytes());
        }
        self.generate(files, &to_generate)
    }

    /// Writes the code for an encoded `google.protobuf.FileDescriptorSet` instead of `.proto`
    /// files.
    ///
    /// `protoc --include_imports --include_source_info -o set.binpb …` or `buf build
    /// --as-file-descriptor-set -o set.binpb` writes a set. `protos` lists the files, by their
    /// names in the set, whose services and messages are generated; an empty list means all files.
    /// The set must contain all imports. Without source information the code has no comments.
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
    /// An option is invalid, the set is invalid or lacks a file, a file has no Rust form, or a file
    /// cannot be written.
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

    /// Writes the code of `files`; those in `to_generate` were listed.
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

/// Generates code for `protos`, found below `includes`, with every option at its default.
///
/// This is usually all that a build script needs. See [`Builder::compile_protos`].
///
/// # Errors
///
/// The same as of [`Builder::compile_protos`].
pub fn compile_protos(
    protos: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<(), Error> {
    Builder::new().compile_protos(protos, includes)
}

/// Returns the folder that cargo gives to a build script; `None` outside a build script.
fn build_script() -> Option<PathBuf> {
    env::var_os("OUT_DIR").map(PathBuf::from)
}

/// Returns the lines that tell cargo which files a build script has read.
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
    fn cargo_watches_every_file_that_was_read() {
        let files = ["proto/a.proto", "proto/b.proto"].map(PathBuf::from);
        assert_eq!(
            rerun_if_changed(&files),
            "cargo::rerun-if-changed=proto/a.proto\ncargo::rerun-if-changed=proto/b.proto\n"
        );
    }
}
