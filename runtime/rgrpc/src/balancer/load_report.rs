//! The load reports of backends (ORCA).
//!
//! Parsed from the trailers of an attempt, on the task that polls the call, and received by the
//! channel's monitors; read by `weighted_round_robin` and by users' pickers.

use std::collections::HashMap;

use prost::Message;

use crate::metadata::Metadata;

/// The key of the trailer with a backend's load report.
const TRAILER: &str = "endpoint-load-metrics-bin";

/// A backend's report of its own load. Absent fields are 0.
///
/// The message `xds.data.orca.v3.OrcaLoadReport`. It comes in a call's trailers, as
/// `endpoint-load-metrics-bin`, or from the service `xds.service.orca.v3.OpenRcaService`.
///
/// Source: gRFC A51.
#[derive(Clone, PartialEq, Message)]
#[non_exhaustive]
pub struct LoadReport {
    /// The CPU utilization. 1.0 is the intended maximum; it may be more.
    #[prost(double, tag = "1")]
    pub cpu_utilization: f64,
    /// The memory utilization, from 0 to 1.
    #[prost(double, tag = "2")]
    pub mem_utilization: f64,
    /// The costs of the call, by name.
    #[prost(map = "string, double", tag = "4")]
    pub request_cost: HashMap<String, f64>,
    /// The utilization of resources, by name.
    #[prost(map = "string, double", tag = "5")]
    pub utilization: HashMap<String, f64>,
    /// The number of calls per second.
    #[prost(double, tag = "6")]
    pub rps_fractional: f64,
    /// The number of failed calls per second.
    #[prost(double, tag = "7")]
    pub eps: f64,
    /// Other metrics, by name.
    #[prost(map = "string, double", tag = "8")]
    pub named_metrics: HashMap<String, f64>,
    /// The utilization as the application measures it. 1.0 is the intended maximum.
    #[prost(double, tag = "9")]
    pub application_utilization: f64,
}

impl LoadReport {
    /// Parses the report in a call's trailers. `None` if there is none or it is invalid.
    pub(crate) fn from_trailer(trailer: &Metadata) -> Option<Self> {
        let bytes = trailer.get_bytes(TRAILER)?;
        match Self::decode(bytes) {
            Ok(report) => Some(report),
            Err(error) => {
                tracing::debug!(%error, "a backend's load report is invalid");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_parsed_from_the_trailer() {
        let report = LoadReport {
            cpu_utilization: 0.5,
            rps_fractional: 100.0,
            utilization: HashMap::from([("disk".to_owned(), 0.25)]),
            ..LoadReport::default()
        };
        let mut trailer = Metadata::new();
        assert_eq!(LoadReport::from_trailer(&trailer), None);
        trailer
            .append(TRAILER, report.encode_to_vec())
            .expect("valid");
        assert_eq!(LoadReport::from_trailer(&trailer), Some(report));
    }

    #[test]
    fn an_invalid_report_is_ignored() {
        let mut trailer = Metadata::new();
        trailer.append(TRAILER, &b"\xff"[..]).expect("valid");
        assert_eq!(LoadReport::from_trailer(&trailer), None);
    }
}
