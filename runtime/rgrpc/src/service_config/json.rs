//! Typed reading of a JSON document. Each value knows its path, for errors.
//!
//! The rules are those of protobuf's JSON mapping, which defines service configs: null means
//! absent, and a number may be written as a string.
//!
//! Called by the parser of service configs, and by those of policies' configs.

use std::time::Duration;

use serde_json::{Map, Value};

use super::ServiceConfigError;
use super::duration::SignedDuration;
use super::field_log::{self, FieldLog};

/// Parses a document as JSON.
pub(crate) fn parse(json: &str) -> Result<Value, ServiceConfigError> {
    serde_json::from_str(json).map_err(|error| {
        ServiceConfigError::new("", format!("the service config is not JSON: {error}"))
    })
}

/// A value in a service config. It knows its path, for errors.
///
/// The rules are those of protobuf's JSON mapping: null means absent, and a number may be written
/// as a string.
#[derive(Debug)]
pub struct ConfigValue<'a> {
    value: &'a Value,
    path: String,
    log: FieldLog,
}

/// An object in a service config.
#[derive(Debug)]
pub struct ConfigObject<'a> {
    fields: &'a Map<String, Value>,
    path: String,
    log: FieldLog,
}

impl<'a> ConfigValue<'a> {
    /// Creates the value of a whole document.
    pub(crate) fn root(value: &'a Value) -> Self {
        Self::at("", value, &FieldLog::default())
    }

    /// A value at a path. `log` records the fields that are read.
    pub(crate) fn at(path: &str, value: &'a Value, log: &FieldLog) -> Self {
        Self {
            value,
            path: path.to_owned(),
            log: log.clone(),
        }
    }

    /// The value as JSON.
    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// The value as an object.
    ///
    /// # Errors
    /// The value has another type.
    pub fn object(&self) -> Result<ConfigObject<'a>, ServiceConfigError> {
        match self.value {
            Value::Object(fields) => {
                self.log.record(&self.path, fields);
                Ok(ConfigObject {
                    fields,
                    path: self.path.clone(),
                    log: self.log.clone(),
                })
            }
            _ => Err(self.expected("an object")),
        }
    }

    /// The values of a list, in order.
    ///
    /// # Errors
    /// The value has another type.
    pub fn items(&self) -> Result<impl Iterator<Item = Self>, ServiceConfigError> {
        let Value::Array(items) = self.value else {
            return Err(self.expected("a list"));
        };
        Ok(items.iter().enumerate().map(|(index, value)| Self {
            value,
            path: format!("{}[{index}]", self.path),
            log: self.log.clone(),
        }))
    }

    /// The value as a string.
    ///
    /// # Errors
    /// The value has another type.
    pub fn text(&self) -> Result<&'a str, ServiceConfigError> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    /// The value as a boolean.
    ///
    /// # Errors
    /// The value has another type.
    pub fn flag(&self) -> Result<bool, ServiceConfigError> {
        let flag = self.value.as_bool();
        flag.ok_or_else(|| self.expected("true or false"))
    }

    /// The value as a whole number of at least 0.
    ///
    /// # Errors
    /// The value has another type or is out of range.
    pub fn whole_number(&self) -> Result<u64, ServiceConfigError> {
        let number = match self.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.expected("a whole number of at least 0"))
    }

    /// The value as a whole number from 0 to `max`.
    ///
    /// # Errors
    /// The value has another type or is out of range.
    pub fn whole_number_up_to(&self, max: u32) -> Result<u32, ServiceConfigError> {
        u32::try_from(self.whole_number()?)
            .ok()
            .filter(|number| *number <= max)
            .ok_or_else(|| self.expected(&format!("a whole number of at most {max}")))
    }

    /// The value as a finite number.
    ///
    /// # Errors
    /// The value has another type or is not finite.
    pub fn number(&self) -> Result<f64, ServiceConfigError> {
        let number = match self.value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number
            .filter(|number| number.is_finite())
            .ok_or_else(|| self.expected("a number"))
    }

    /// The value as a duration of at least 0, such as `"1.5s"`.
    ///
    /// # Errors
    /// The value is no duration, or a negative one.
    pub fn duration(&self) -> Result<Duration, ServiceConfigError> {
        self.text()
            .ok()
            .and_then(SignedDuration::parse)
            .and_then(SignedDuration::non_negative)
            .ok_or_else(|| self.expected("a duration of at least 0 such as \"1.5s\""))
    }

    /// The value as a duration with a sign, for a field whose error names its own bound.
    pub(super) fn signed_duration(&self) -> Result<SignedDuration, ServiceConfigError> {
        SignedDuration::parse(self.text()?)
            .ok_or_else(|| self.expected(r#"a number of seconds such as "1.5s""#))
    }

    /// Creates the error "`what` is expected, got …", for example with "a positive number".
    #[must_use]
    pub fn expected(&self, what: &str) -> ServiceConfigError {
        let got = match self.value {
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            value => value.to_string(),
        };
        self.error(format!("{what} is expected, got {got}"))
    }

    /// Creates an error about this value.
    #[must_use]
    pub fn error(&self, problem: impl Into<String>) -> ServiceConfigError {
        ServiceConfigError::new(&self.path, problem)
    }
}

impl<'a> ConfigObject<'a> {
    /// The value of an optional field. `None` if it is absent or null.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<ConfigValue<'a>> {
        self.log.mark_read(&self.path, name);
        let value = self.fields.get(name).filter(|value| !value.is_null())?;
        Some(self.value_of(name, value))
    }

    /// The value of a required field.
    ///
    /// # Errors
    /// The field is absent or null.
    pub fn required(&self, name: &str) -> Result<ConfigValue<'a>, ServiceConfigError> {
        self.field(name)
            .ok_or_else(|| ServiceConfigError::new(self.path_of(name), "this field is required"))
    }

    /// The names and values of all fields that are not null.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, ConfigValue<'a>)> {
        self.log.mark_all_read(&self.path);
        let present = self.fields.iter().filter(|(_, value)| !value.is_null());
        present.map(|(name, value)| (name.as_str(), self.value_of(name, value)))
    }

    /// The name and value of the only field.
    ///
    /// # Errors
    /// The object has no field, or more than one.
    pub fn only_field(&self) -> Result<(&'a str, ConfigValue<'a>), ServiceConfigError> {
        self.log.mark_all_read(&self.path);
        let mut fields = self.fields.iter();
        match (fields.next(), fields.next()) {
            (Some((name, value)), None) => Ok((name, self.value_of(name, value))),
            _ => Err(ServiceConfigError::new(
                &self.path,
                format!("one field is expected, got {}", self.fields.len()),
            )),
        }
    }

    /// Marks all fields as known, although none is read: none is reported as unknown.
    pub(super) fn ignore(&self) {
        self.log.mark_all_read(&self.path);
    }

    fn value_of(&self, name: &str, value: &'a Value) -> ConfigValue<'a> {
        ConfigValue {
            value,
            path: self.path_of(name),
            log: self.log.clone(),
        }
    }

    fn path_of(&self, name: &str) -> String {
        field_log::join(&self.path, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_be_written_as_a_string() {
        for (json, whole, number) in [
            ("7", Some(7), Some(7.0)),
            (r#""7""#, Some(7), Some(7.0)),
            ("0", Some(0), Some(0.0)),
            ("-1", None, Some(-1.0)),
            ("1.5", None, Some(1.5)),
            (r#""1.5""#, None, Some(1.5)),
            (r#""NaN""#, None, None),
            (r#""inf""#, None, None),
            (r#""""#, None, None),
            (
                "18446744073709551616",
                None,
                Some(18_446_744_073_709_551_616.0),
            ),
            ("true", None, None),
            ("[]", None, None),
        ] {
            let value = parse(json).expect(json);
            let node = ConfigValue::root(&value);
            assert_eq!(node.whole_number().ok(), whole, "{json}");
            assert_eq!(node.number().ok(), number, "{json}");
        }
    }

    #[test]
    fn a_whole_number_can_have_a_maximum() {
        let message = "a whole number of at most 100 is expected, got 101";
        for (json, expected) in [
            ("0", Ok(0)),
            (r#""100""#, Ok(100)),
            ("101", Err(message.to_owned())),
            (
                "-1",
                Err("a whole number of at least 0 is expected, got -1".to_owned()),
            ),
        ] {
            let value = parse(json).expect(json);
            let number = ConfigValue::root(&value).whole_number_up_to(100);
            assert_eq!(number.map_err(|error| error.to_string()), expected);
        }
    }

    #[test]
    fn all_fields_that_are_not_null_are_listed_with_their_paths() {
        let value = parse(r#"{"a": {"c": 1, "b": "x", "d": null}}"#).expect("JSON");
        let root = ConfigValue::root(&value).object().expect("an object");
        let a = root.required("a").and_then(|a| a.object()).expect("a");
        let fields = a.fields().map(|(name, value)| (name, value.path));
        let expected = [("b", "a.b".to_owned()), ("c", "a.c".to_owned())];
        assert_eq!(fields.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_path_names_fields_and_list_indices() {
        let value = parse(r#"{"a": {"b": [0, {"c": "x"}]}}"#).expect("JSON");
        let root = ConfigValue::root(&value).object().expect("an object");
        let a = root.required("a").and_then(|a| a.object()).expect("a");
        let b = a.required("b").expect("b");
        let second = b.items().expect("a list").nth(1).expect("two");
        let c = second.object().and_then(|object| object.required("c"));
        let error = c.expect("c").flag().expect_err("a string").to_string();
        assert_eq!(error, r#"a.b[1].c: true or false is expected, got "x""#);
    }
}
