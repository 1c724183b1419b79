//! The errors of code generation, in terms of the `.proto` file and the options.
//!
//! Both front ends use one type: the plugin puts the text into the response's `error`, and
//! `build.rs` returns the value.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The error of code generation.
///
/// The text names the place: file, line and column of a `.proto` file that does not compile; file
/// and element of a schema that has no Rust form; the name of an option. [`Debug`] prints the same
/// text as [`Display`], because a build script usually unwraps.
///
/// [`Debug`]: fmt::Debug
/// [`Display`]: fmt::Display
#[non_exhaustive]
pub enum Error {
    /// An option is unknown, or its value is invalid.
    Option {
        /// The option's name, as given.
        option: String,
        /// The problem.
        problem: String,
    },
    /// A `.proto` file was not found, does not parse, or has a type error. The text starts with
    /// `file:line:column` if the error has such a place.
    Compile(String),
    /// The schema is valid, but an element of it has no Rust form.
    Schema {
        /// The file by its import path.
        file: String,
        /// The element, such as `enum routeguide.Color`; empty for the whole file.
        element: String,
        /// The problem.
        problem: String,
    },
    /// The bytes on standard input are not a `CodeGeneratorRequest` of a compiler.
    Request(String),
    /// The generated code of a package is not valid Rust. An attribute in an option can cause this.
    Generated {
        /// The name of the package's file.
        file: String,
        /// The error of the parser.
        problem: String,
    },
    /// A file could not be written.
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Two calls in one build script generated the same file with different options.
    Twice {
        /// The path of the file.
        path: PathBuf,
    },
    /// No output folder is set, and the environment has no `OUT_DIR`, as in a build script.
    NoOutDir,
}

impl Error {
    pub(crate) fn option(option: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Option {
            option: option.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn schema(
        file: impl Into<String>,
        element: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self::Schema {
            file: file.into(),
            element: element.into(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option { option, problem } => write!(f, "option `{option}`: {problem}"),
            Self::Compile(text) => f.write_str(text),
            Self::Schema {
                file,
                element,
                problem,
            } if element.is_empty() => {
                write!(f, "{file}: {problem}")
            }
            Self::Schema {
                file,
                element,
                problem,
            } => write!(f, "{file}: {element}: {problem}"),
            Self::Request(problem) => write!(f, "code generator request: {problem}"),
            Self::Generated { file, problem } => {
                write!(f, "{file}: the generated code is not Rust: {problem}")
            }
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Twice { path } => write!(
                f,
                "{}: an earlier call in this build script wrote this file with different options, \
                 and its code would be lost; use the same options, or a separate `out_dir` for each \
                 call",
                path.display()
            ),
            Self::NoOutDir => f.write_str(
                "no output folder: OUT_DIR is not set; outside a build script, call `out_dir`",
            ),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
