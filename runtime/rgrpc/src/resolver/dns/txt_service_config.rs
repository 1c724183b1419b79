//! Service configs in TXT records: the choice that applies to this client.
//!
//! Called by the lookup, on the resolver's task.
//!
//! Source: gRFC A2, `doc/service_config.md` of the gRPC documents; grpc-go `canaryingSC`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// The prefix of a record's text that holds a service config.
const ATTRIBUTE: &str = "grpc_config=";

/// The language of this implementation, as in `clientLanguage`.
pub(super) const LANGUAGE: &str = "rust";

/// The properties of this client that a choice can depend on.
#[derive(Clone, Debug)]
pub(super) struct ClientProperties<'a> {
    pub(super) host_name: &'a str,
    /// The percentile of this client: a random number from 0 to 99.
    pub(super) percentile: u64,
}

impl ClientProperties<'_> {
    /// The service config for this client in TXT records. `None`: there is none for it.
    pub(super) fn choose<'a>(
        &self,
        records: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<String>, TxtProblem> {
        let mut texts = records.into_iter();
        let Some(json) = texts.find_map(|text| text.strip_prefix(ATTRIBUTE)) else {
            return Ok(None);
        };
        let choices: Vec<Value> =
            serde_json::from_str(json).map_err(|error| TxtProblem::Json(Arc::new(error)))?;
        for (index, choice) in choices.iter().enumerate() {
            let of_choice = |problem| TxtProblem::Choice { index, problem };
            if self.matches(choice).map_err(of_choice)? {
                return match choice.get("serviceConfig") {
                    Some(config) => Ok(Some(config.to_string())),
                    None => Err(of_choice(ChoiceProblem::NoServiceConfig)),
                };
            }
        }
        Ok(None)
    }

    fn matches(&self, choice: &Value) -> Result<bool, ChoiceProblem> {
        let choice = choice.as_object().ok_or(ChoiceProblem::NoObject)?;
        let mut matches = true;
        if let Some(languages) = choice.get("clientLanguage") {
            matches &= strings("clientLanguage", languages)?
                .iter()
                .any(|language| language.eq_ignore_ascii_case(LANGUAGE));
        }
        if let Some(percentage) = choice.get("percentage") {
            let percentage = percentage.as_u64().filter(|percentage| *percentage <= 100);
            let percentage = percentage.ok_or(ChoiceProblem::Percentage)?;
            matches &= self.percentile < percentage;
        }
        // grpc-go spells it `clientHostName` and accepts both spellings.
        let hosts = choice.get("clientHostname");
        if let Some(hosts) = hosts.or_else(|| choice.get("clientHostName")) {
            matches &= strings("clientHostname", hosts)?.contains(&self.host_name);
        }
        Ok(matches)
    }
}

fn strings<'a>(field: &'static str, list: &'a Value) -> Result<Vec<&'a str>, ChoiceProblem> {
    let strings = list
        .as_array()
        .map(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    strings.flatten().ok_or(ChoiceProblem::Strings(field))
}

/// The error of the service config in a TXT record.
#[derive(Clone, Debug)]
pub(super) struct TxtRecordError {
    /// The name of the record.
    pub(super) name: String,
    pub(super) problem: TxtProblem,
}

/// The problem of a record.
#[derive(Clone, Debug)]
pub(super) enum TxtProblem {
    /// It is not a JSON list.
    Json(Arc<serde_json::Error>),
    /// A choice cannot be read.
    Choice {
        index: usize,
        problem: ChoiceProblem,
    },
}

/// The problem of a choice.
#[derive(Clone, Copy, Debug)]
pub(super) enum ChoiceProblem {
    NoObject,
    NoServiceConfig,
    Percentage,
    /// This field is not a list of strings.
    Strings(&'static str),
}

impl fmt::Display for TxtRecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the TXT record of {}: {}", self.name, self.problem)
    }
}

impl Error for TxtRecordError {}

impl fmt::Display for TxtProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => {
                write!(f, "{ATTRIBUTE} is not followed by a JSON list: {error}")
            }
            Self::Choice { index, problem } => write!(f, "choice {index}: {problem}"),
        }
    }
}

impl fmt::Display for ChoiceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoObject => f.write_str("an object is expected"),
            Self::NoServiceConfig => f.write_str("serviceConfig is missing"),
            Self::Percentage => f.write_str("percentage: 0 to 100 is expected"),
            Self::Strings(field) => write!(f, "{field}: a list of strings is expected"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: ClientProperties<'_> = ClientProperties {
        host_name: "shop-7",
        percentile: 30,
    };

    /// A record with choices of numbered configs, each with these conditions.
    fn choices(conditions: &[&str]) -> String {
        let choice = |(number, conditions): (usize, &&str)| {
            format!(r#"{{{conditions}"serviceConfig": {{"number": {number}}}}}"#)
        };
        let choices: Vec<_> = conditions.iter().enumerate().map(choice).collect();
        format!("grpc_config=[{}]", choices.join(","))
    }

    #[test]
    fn the_first_choice_that_matches_this_client_is_chosen() {
        for (conditions, number) in [
            (&[""] as &[_], Some(0)),
            (&[], None),
            (&[r#""clientLanguage": ["go", "RUST"],"#], Some(0)),
            (&[r#""clientLanguage": ["go"],"#, ""], Some(1)),
            (&[r#""clientLanguage": [],"#], None),
            (&[r#""percentage": 30,"#, r#""percentage": 31,"#], Some(1)),
            (&[r#""percentage": 0,"#], None),
            (&[r#""percentage": 100,"#], Some(0)),
            (&[r#""clientHostname": ["shop-8", "shop-7"],"#], Some(0)),
            (&[r#""clientHostname": ["SHOP-7"],"#, ""], Some(1)),
            (&[r#""clientHostName": ["shop-8"],"#, ""], Some(1)),
            (
                &[
                    r#""clientHostname": ["shop-7"], "percentage": 10,"#,
                    r#""clientHostname": ["shop-7"], "clientLanguage": ["rust"],"#,
                    "",
                ],
                Some(1),
            ),
        ] {
            let expected = number.map(|number| format!("{{\"number\":{number}}}"));
            let chosen = CLIENT.choose([&*choices(conditions)]);
            assert_eq!(chosen.expect("valid"), expected, "{conditions:?}");
        }
    }

    #[test]
    fn other_records_are_ignored() {
        for records in [&[] as &[_], &["v=spf1 -all"], &["GRPC_CONFIG=[]", ""]] {
            let chosen = CLIENT.choose(records.iter().copied());
            assert_eq!(chosen.expect("valid"), None, "{records:?}");
        }
        let beside = ["v=spf1 -all", &*choices(&[""])];
        assert!(matches!(CLIENT.choose(beside), Ok(Some(_))));
    }

    #[test]
    fn an_error_names_the_choice_and_the_field() {
        for (record, problem) in [
            ("grpc_config=", "no"),
            ("grpc_config={}", "not followed by a JSON list"),
            ("grpc_config=[1]", "choice 0: an object is expected"),
            ("grpc_config=[{}]", "choice 0: serviceConfig is missing"),
            (
                r#"grpc_config=[{"percentage": 0}, {"percentage": 101}]"#,
                "choice 1: percentage: 0 to 100",
            ),
            (
                r#"grpc_config=[{"clientLanguage": "rust"}]"#,
                "choice 0: clientLanguage: a list of strings",
            ),
            (
                r#"grpc_config=[{"clientHostname": [1]}]"#,
                "choice 0: clientHostname: a list of strings",
            ),
        ] {
            let error = CLIENT.choose([record]).expect_err(record).to_string();
            assert!(error.contains(problem), "{record}: {error}");
        }
    }
}
