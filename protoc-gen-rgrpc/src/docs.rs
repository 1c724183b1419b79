//! Placeholders for comments, which keep prost-build from changing them.
//!
//! prost-build writes comments differently with its feature `cleanup-markdown`, which any crate of
//! a user's workspace may enable. So each comment is replaced by a [`Comments::placeholder`], and
//! [`Comments::restore`] inserts the comments into the text of prost-build.
//!
//! Called before and after prost-build, by `messages.rs`.

use prost_types::FileDescriptorProto;
use prost_types::source_code_info::Location;

/// A word without a meaning in Markdown.
const PLACEHOLDER: &str = "RgrpcComment";

/// The comments, by the index in their placeholder.
#[derive(Debug, Default)]
pub(crate) struct Comments(Vec<prost_build::Comments>);

impl Comments {
    /// Replaces the comments of a file by placeholders.
    pub(crate) fn replace(&mut self, file: &mut FileDescriptorProto) {
        let locations = file.source_code_info.iter_mut();
        for location in locations.flat_map(|source| &mut source.location) {
            self.placeholder(location);
        }
    }

    fn placeholder(&mut self, location: &mut Location) {
        let lines = |text: Option<String>| {
            let text = text.unwrap_or_default();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let comments = prost_build::Comments {
            leading_detached: Vec::new(),
            leading: lines(location.leading_comments.take()),
            trailing: lines(location.trailing_comments.take()),
        };
        location.leading_detached_comments.clear();
        if !comments.leading.is_empty() || !comments.trailing.is_empty() {
            location.leading_comments = Some(format!("{PLACEHOLDER}{}", self.0.len()));
            self.0.push(comments);
        }
    }

    /// Restores the comments of a service or a method.
    pub(crate) fn restore(&self, comments: &mut prost_build::Comments) {
        if let [line] = &comments.leading[..]
            && let Some(original) = self.of(line)
        {
            *comments = original.clone();
        }
    }

    /// Restores the comments in the text of messages.
    pub(crate) fn restore_text(&self, text: &str) -> String {
        let mut restored = String::with_capacity(text.len() * 2);
        for line in text.lines() {
            let comment = line.trim_start().strip_prefix("///");
            if let Some(original) = comment.and_then(|comment| self.of(comment)) {
                original.append_with_indent(0, &mut restored);
            } else {
                restored.push_str(line);
                restored.push('\n');
            }
        }
        restored
    }

    fn of(&self, line: &str) -> Option<&prost_build::Comments> {
        let number = line.trim().strip_prefix(PLACEHOLDER)?;
        self.0.get(number.parse::<usize>().ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comments_of_a_text_are_restored() {
        let mut comments = Comments::default();
        let mut location = Location {
            leading_comments: Some(" One * two.\n\n     Code?\n".to_owned()),
            trailing_comments: Some("trailing\n".to_owned()),
            leading_detached_comments: vec!["detached".to_owned()],
            ..Location::default()
        };
        comments.placeholder(&mut location);
        assert_eq!(location.leading_comments.as_deref(), Some("RgrpcComment0"));
        assert_eq!(location.trailing_comments, None);

        let text = "/// RgrpcComment0\npub struct A {\n    /// RgrpcComment1\n}\n";
        assert_eq!(
            comments.restore_text(text),
            "/// One * two.\n///\n///      Code?\n///\n/// trailing\npub struct A {\n    /// RgrpcComment1\n}\n"
        );
        let mut service = prost_build::Comments {
            leading: vec![" RgrpcComment0".to_owned()],
            ..Default::default()
        };
        comments.restore(&mut service);
        assert_eq!(service.leading, [" One * two.", "", "     Code?"]);
        assert_eq!(service.trailing, ["trailing"]);
    }

    #[test]
    fn an_element_without_comments_stays_without() {
        let mut location = Location::default();
        Comments::default().placeholder(&mut location);
        assert_eq!(location, Location::default());
    }
}
