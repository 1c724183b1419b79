//! The method configs of a service config, by method.
//!
//! Parsed with the service config; looked up when a call begins, on the caller's task, without a
//! lock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rustc_hash::FxBuildHasher;

use super::json::ConfigValue;
use super::{MethodConfig, ServiceConfigError};

/// The entries of `methodConfig`, indexed by method.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MethodConfigs {
    configs: Vec<MethodConfig>,
    /// Indices into `configs`. The key is `/service/method` for a method, `/service/` for the other
    /// methods of a service, and empty for all other methods.
    by_path: HashMap<String, usize, FxBuildHasher>,
}

impl MethodConfigs {
    pub(super) fn parse(list: Option<ConfigValue<'_>>) -> Result<Self, ServiceConfigError> {
        let mut parsed = Self::default();
        if let Some(list) = list {
            for entry in list.items()? {
                parsed.add(&entry)?;
            }
        }
        Ok(parsed)
    }

    /// The config of a method: the one for its name, else for its service, else the default.
    pub(crate) fn get(&self, path: &str) -> Option<&MethodConfig> {
        // Most channels have no method configs.
        if self.by_path.is_empty() {
            return None;
        }
        let find = |key: &str| self.by_path.get(key);
        let service = || path.rfind('/').map_or("", |slash| &path[..=slash]);
        let index = find(path).or_else(|| find(service())).or_else(|| find(""));
        index.and_then(|index| self.configs.get(*index))
    }

    /// All configs, mutable.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut MethodConfig> {
        self.configs.iter_mut()
    }

    fn add(&mut self, entry: &ConfigValue<'_>) -> Result<(), ServiceConfigError> {
        // grpc-go ignores an entry without a name: it applies to no method.
        let object = entry.object()?;
        let Some(names) = object.field("name") else {
            object.ignore();
            return Ok(());
        };
        for name in names.items()? {
            match self.by_path.entry(parse_name(&name)?) {
                Entry::Vacant(vacant) => {
                    vacant.insert(self.configs.len());
                }
                Entry::Occupied(taken) => {
                    let named = match taken.key().as_str() {
                        "" => "the default",
                        path => path,
                    };
                    return Err(name.error(format!("{named} is configured a second time")));
                }
            }
        }
        self.configs.push(MethodConfig::parse(entry)?);
        Ok(())
    }
}

/// Parses a name into a key of `by_path`.
fn parse_name(name: &ConfigValue<'_>) -> Result<String, ServiceConfigError> {
    let object = name.object()?;
    let part = |field| match object.field(field) {
        Some(part) => part.text(),
        None => Ok(""),
    };
    match (part("service")?, part("method")?) {
        ("", "") => Ok(String::new()),
        ("", method) => Err(name.error(format!("the method {method:?} has no service"))),
        (service, method) => Ok(format!("/{service}/{method}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn parse(json: &str) -> Result<MethodConfigs, String> {
        let value = json::parse(json).expect(json);
        MethodConfigs::parse(Some(ConfigValue::root(&value))).map_err(|error| error.to_string())
    }

    #[test]
    fn the_most_specific_name_wins() {
        let configs = parse(
            r#"[
                {"name": [{"service": "a.B", "method": "C"}, {"service": "x"}], "timeout": "1s"},
                {"name": [{"service": "a.B", "method": ""}], "timeout": "2s"},
                {"name": [{}], "timeout": "3s"},
                {"timeout": "4s"},
                {"name": [], "timeout": "5s"}
            ]"#,
        )
        .expect("valid");
        for (path, seconds) in [
            ("/a.B/C", 1),
            ("/x/anything", 1),
            ("/a.B/D", 2),
            ("/a.B/c", 2),
            ("/a.BC/C", 3),
            ("/a/B/C", 3),
            ("a.B/C", 3),
            ("", 3),
        ] {
            let timeout = configs.get(path).and_then(|config| config.timeout);
            assert_eq!(
                timeout.map(|timeout| timeout.as_secs()),
                Some(seconds),
                "{path}"
            );
        }
    }

    #[test]
    fn a_method_without_an_entry_has_no_config() {
        let configs = parse(r#"[{"name": [{"service": "a.B", "method": "C"}]}]"#).expect("valid");
        assert!(configs.get("/a.B/C").is_some());
        for path in ["/a.B/D", "/a.B/", "/b/C", "", "/"] {
            assert_eq!(configs.get(path), None, "{path}");
        }
    }

    #[test]
    fn invalid_and_duplicate_names_are_errors() {
        for (json, expected) in [
            (
                r#"[{"name": [{"method": "C"}]}]"#,
                r#"[0].name[0]: the method "C" has no service"#,
            ),
            (
                r#"[{"name": [{"service": "", "method": "C"}]}]"#,
                r#"[0].name[0]: the method "C" has no service"#,
            ),
            (
                r#"[{"name": [{"service": 1}]}]"#,
                "[0].name[0].service: a string is expected, got 1",
            ),
            (
                r#"[{"name": "a.B"}]"#,
                r#"[0].name: a list is expected, got "a.B""#,
            ),
            (
                r#"[{"name": ["a.B"]}]"#,
                r#"[0].name[0]: an object is expected, got "a.B""#,
            ),
            (
                r#"[{"name": [{}]}, {"name": [{"service": "a"}, {"service": ""}]}]"#,
                "[1].name[1]: the default is configured a second time",
            ),
            (
                r#"[{"name": [{"service": "a"}, {"service": "a", "method": ""}]}]"#,
                "[0].name[1]: /a/ is configured a second time",
            ),
            (
                r#"[{"name": [{"service": "a", "method": "b"}]},
                    {"name": [{"service": "a", "method": "b"}]}]"#,
                "[1].name[0]: /a/b is configured a second time",
            ),
            (
                r#"[{"name": [{}], "timeout": true}]"#,
                "[0].timeout: a string is expected, got true",
            ),
        ] {
            assert_eq!(parse(json), Err(expected.to_owned()), "{json}");
        }
    }
}
