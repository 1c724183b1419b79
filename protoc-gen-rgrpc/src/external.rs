//! The external compilers of a build script: `protoc` and `buf`.
//!
//! Called by the build script's front end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, process};

use prost_types::{FileDescriptorProto, FileDescriptorSet};

use crate::compiler::Compiled;
use crate::error::Error;
use crate::lossy;

/// An external compiler of `.proto` files.
#[derive(Debug)]
pub(crate) enum Program {
    /// The `protoc` at this path.
    Protoc(PathBuf),
    /// The `buf` at this path.
    Buf(PathBuf),
}

impl Program {
    /// Compiles `protos`, found below `includes`. `protoc` needs a folder to write to.
    pub(crate) fn compile(
        &self,
        protos: &[impl AsRef<Path>],
        includes: &[impl AsRef<Path>],
        scratch: &Path,
    ) -> Result<Compiled, Error> {
        let protos: Vec<PathBuf> = protos.iter().map(|path| on_disk(path, includes)).collect();
        let (encoded, read) = match self {
            Self::Protoc(program) => (protoc(program, &protos, includes, scratch)?, None),
            Self::Buf(program) => {
                let [input] = includes else {
                    let problem =
                        "`compile_protos` needs one include folder: the input of `buf build`";
                    return Err(Error::option("buf", problem));
                };
                let input = input.as_ref();
                // The files may be anywhere in the workspace, so cargo watches the folder.
                (buf(program, &protos, input)?, Some(vec![input.to_owned()]))
            }
        };
        let files = decode(&encoded)?;
        let to_generate = protos
            .iter()
            .map(|proto| import_name(proto, includes, &files))
            .collect::<Result<_, _>>()?;
        let read = read.unwrap_or_else(|| {
            let found = |file: &FileDescriptorProto| {
                let path = on_disk(Path::new(file.name()), includes);
                path.exists().then_some(path)
            };
            files.iter().filter_map(found).collect()
        });
        Ok(Compiled {
            files,
            to_generate,
            read,
        })
    }
}

/// Decodes the files of an encoded `FileDescriptorSet`.
pub(crate) fn decode(encoded: &[u8]) -> Result<Vec<FileDescriptorProto>, Error> {
    lossy::decode(encoded, lossy::SET_FILE)
        .map(|set: FileDescriptorSet| set.file)
        .map_err(|error| Error::Compile(format!("the file descriptor set: {error}")))
}

fn protoc(
    program: &Path,
    protos: &[PathBuf],
    includes: &[impl AsRef<Path>],
    scratch: &Path,
) -> Result<Vec<u8>, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    fs::create_dir_all(scratch).map_err(failed(scratch))?;
    let set = scratch.join(format!("descriptors-{}.binpb", process::id()));
    let mut command = Command::new(program);
    command.args(["--include_imports", "--include_source_info"]);
    for include in includes {
        command.arg("-I").arg(include.as_ref());
    }
    command.arg("-o").arg(&set).args(protos);
    let encoded = run(command).and_then(|_| fs::read(&set).map_err(failed(&set)));
    // A failure to create the file is reported when it is missing.
    let _ = fs::remove_file(&set);
    encoded
}

fn buf(program: &Path, protos: &[PathBuf], input: &Path) -> Result<Vec<u8>, Error> {
    let mut command = Command::new(program);
    command.arg("build").arg(input);
    for proto in protos {
        command.arg("--path").arg(proto);
    }
    command.args(["--as-file-descriptor-set", "-o", "-"]);
    run(command)
}

/// Runs a program and returns its standard output.
fn run(mut command: Command) -> Result<Vec<u8>, Error> {
    let program = PathBuf::from(command.get_program());
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Io {
            path: program.clone(),
            source,
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Error::Compile(match text.trim() {
        "" => format!("{}: {}", program.display(), output.status),
        text => text.to_owned(),
    }))
}

/// Returns the path of a file that may be relative to an include folder.
fn on_disk(proto: impl AsRef<Path>, includes: &[impl AsRef<Path>]) -> PathBuf {
    let proto = proto.as_ref();
    includes
        .iter()
        .map(|include| include.as_ref().join(proto))
        .find(|path| path.is_file())
        .unwrap_or_else(|| proto.to_owned())
}

/// Returns the import path of a file. `buf` may find the files of an input below folders other than
/// the input, so a shorter suffix of the path is accepted if there is no longer one.
fn import_name(
    proto: &Path,
    includes: &[impl AsRef<Path>],
    files: &[FileDescriptorProto],
) -> Result<String, Error> {
    let described = |path: &Path| {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let name = parts.join("/");
        files.iter().any(|file| file.name() == name).then_some(name)
    };
    let below = includes
        .iter()
        .filter_map(|include| proto.strip_prefix(include).ok())
        .find_map(described);
    let ends = (0..proto.iter().count())
        .map(|skipped| proto.iter().skip(skipped).collect::<PathBuf>())
        .find_map(|end| described(&end));
    below.or(ends).ok_or_else(|| {
        Error::Compile(format!(
            "{}: the compiler did not describe it",
            proto.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_imported_by_its_path_below_an_include_folder_or_by_a_described_suffix() {
        let files = ["a/b.proto", "b.proto"].map(|name| FileDescriptorProto {
            name: Some(name.to_owned()),
            ..FileDescriptorProto::default()
        });
        for (proto, includes, expected) in [
            ("proto/a/b.proto", &["proto"][..], Some("a/b.proto")),
            ("proto/a/b.proto", &["other", "proto/a"], Some("b.proto")),
            ("modules/x/proto/a/b.proto", &["modules"], Some("a/b.proto")),
            ("a/b.proto", &["."], Some("a/b.proto")),
            ("c.proto", &["."], None),
        ] {
            let name = import_name(Path::new(proto), includes, &files);
            assert_eq!(name.ok().as_deref(), expected, "{proto}");
        }
    }
}
