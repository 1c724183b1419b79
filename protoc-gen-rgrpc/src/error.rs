//! What can go wrong between a `.proto` file and its Rust code, in the words its author needs.
//!
//! One type for both front ends: the plugin puts its text into the response's `error`, `build.rs`
//! returns it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why code could not be generated.
///
/// Its text names the place: file, line and column for a `.proto` file that does not compile; file
/// and element for a schema that has no Rust form; the option for an option. [`Debug`] prints the
/// same text as [`Display`], since a build script usually unwraps.
///
/// [`Debug`]: fmt::Debug
/// [`Display`]: fmt::Display
#[non_exhaustive]
pub enum Error {
    /// An option is unknown or its value is not acceptable.
    Option {
        /// The option's name as it was given.
        option: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A `.proto` file was not found, does not parse, or does not type-check. The text starts with
    /// `file:line:column` when there is such a place.
    Compile(String),
    /// The schema is valid, but an element of it has no Rust form.
    Schema {
        /// The file by its import path.
        file: String,
        /// The element, such as `enum routeguide.Color`; empty when the whole file is meant.
        element: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The bytes on standard input are not a `CodeGeneratorRequest` that a compiler would write.
    Request(String),
    /// The generated text of a package is not Rust. Attributes given as options can cause this.
    Generated {
        /// The package's file.
        file: String,
        /// The parser's words.
        problem: String,
    },
    /// A file could not be written.
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Two calls in one build script generated the same file with different options.
    Twice {
        /// The file.
        path: PathBuf,
    },
    /// No output folder was set, and the environment has no `OUT_DIR`, so this is no build script.
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
                 and its code would be lost; give the calls the same options, or each an `out_dir` \
                 of its own",
                path.display()
            ),
            Self::NoOutDir => f.write_str(
                "no output folder: OUT_DIR is not set, call `out_dir` outside a build script",
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
