//! Targets of channels: what is accepted has an authority, and can be written in full.

use crate::client::authority;
use crate::resolver::{ResolverOptions, ResolverRegistry, Target};

/// Takes the octets as a target, if they are text.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (target, builder) = match ResolverRegistry::new().parse(text, "dns") {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(target.to_string(), text);
    assert_eq!(target.scheme(), builder.scheme());
    let again = Target::parse(&in_full(&target)).expect("a target in full");
    assert_eq!(again.scheme(), target.scheme(), "{text:?}");
    assert_eq!(again.authority(), target.authority(), "{text:?}");
    assert_eq!(again.path(), target.path(), "{text:?}");
    assert_eq!(again.query(), target.query(), "{text:?}");

    let built = builder.build(&target, &ResolverOptions::default());
    if let Err(problem) = &built {
        assert!(!problem.to_string().is_empty());
    }
    let authority = authority::of_target(&builder.authority(&target));
    assert!(
        authority::host(&authority).is_ok() && !authority.contains('@'),
        "{text:?} has the authority {authority:?}"
    );
}

fn in_full(target: &Target) -> String {
    let scheme = target.scheme();
    let authority = escaped(target.authority()).replace('/', "%2F");
    let path = escaped(target.path());
    let query = match target.query() {
        Some(query) => format!("?{query}"),
        None => String::new(),
    };
    if authority.is_empty() && !path.starts_with("//") {
        format!("{scheme}:{path}{query}")
    } else {
        format!("{scheme}://{authority}{path}{query}")
    }
}

fn escaped(part: &str) -> String {
    part.replace('%', "%25")
        .replace('?', "%3F")
        .replace('#', "%23")
}
