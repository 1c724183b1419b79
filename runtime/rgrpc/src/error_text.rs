//! The `Debug` form of errors that users see: a `main` that returns an error prints it by `Debug`.
//!
//! Used by the error types of all layers.

use std::error::Error;
use std::fmt;

/// The maximum number of printed causes. It ends a chain that refers to itself.
const MAX_CAUSES: usize = 16;

/// Writes an error's text and, below it, the causes that the text does not repeat.
///
/// The form is that of the crate `anyhow`:
///
/// ```text
/// the text
///
/// Caused by:
///     0: its cause
///     1: the cause of that
/// ```
pub(crate) fn write_with_causes(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error}")?;
    write_causes(error, f)
}

/// Writes the causes of an error, after its text.
pub(crate) fn write_causes(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let causes = causes(error);
    if causes.is_empty() {
        return Ok(());
    }
    f.write_str("\n\nCaused by:")?;
    for (index, cause) in causes.iter().enumerate() {
        match causes[..] {
            [_] => write!(f, "\n    {cause}")?,
            _ => write!(f, "\n    {index}: {cause}")?,
        }
    }
    Ok(())
}

/// Returns the texts of the causes, without those that the previous text contains.
fn causes(error: &dyn Error) -> Vec<String> {
    let mut written = error.to_string();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next
        && causes.len() < MAX_CAUSES
    {
        let text = cause.to_string();
        if !written.contains(&text) {
            causes.push(text.clone());
        }
        written = text;
        next = cause.source();
    }
    causes
}

/// Implements `Debug` for error types as their text with their causes.
macro_rules! debug_is_text {
    ($($error:ty),+ $(,)?) => {
        $(
            impl ::std::fmt::Debug for $error {
                fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                    $crate::error_text::write_with_causes(self, f)
                }
            }
        )+
    };
}

pub(crate) use debug_is_text;

#[cfg(test)]
mod tests {
    use super::*;

    struct Chain(&'static str, Option<Box<Chain>>);

    debug_is_text!(Chain);

    impl fmt::Display for Chain {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Chain {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &dyn Error)
        }
    }

    fn chain(texts: &[&'static str]) -> Option<Box<Chain>> {
        let (first, rest) = texts.split_first()?;
        Some(Box::new(Chain(first, chain(rest))))
    }

    #[test]
    fn the_debug_form_is_the_text_and_the_causes_it_does_not_contain() {
        for (texts, debug) in [
            (&["no route"][..], "no route"),
            (
                &["no config", "no file"],
                "no config\n\nCaused by:\n    no file",
            ),
            (
                &["no config", "no file", "no disk"],
                "no config\n\nCaused by:\n    0: no file\n    1: no disk",
            ),
            (&["no config: no file", "no file"], "no config: no file"),
            (
                &["no config: no file", "no file", "no disk"],
                "no config: no file\n\nCaused by:\n    no disk",
            ),
        ] {
            let error = chain(texts).expect("an error");
            assert_eq!(format!("{error:?}"), debug);
        }
    }

    #[test]
    fn an_endless_chain_is_cut_off() {
        let texts = ["x", "y"].repeat(40);
        let printed = format!("{:?}", chain(&texts).expect("an error"));
        assert_eq!(printed.lines().count(), 3 + MAX_CAUSES);
    }
}
