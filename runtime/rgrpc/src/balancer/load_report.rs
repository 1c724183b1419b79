use std::collections::HashMap;

use prost::Message;

use crate::metadata::Metadata;

/// The trailer in which a backend reports its load with a call.
const TRAILER: &str = "endpoint-load-metrics-bin";

/// The load of a backend, as it reports it itself. What it does not report is 0.
///
/// The message `xds.data.orca.v3.OrcaLoadReport`, which comes with the trailers of a call, in
/// `endpoint-load-metrics-bin`, or as the answer of the service
/// `xds.service.orca.v3.OpenRcaService`.
///
/// Source: gRFC A51.
#[derive(Clone, PartialEq, Message)]
#[non_exhaustive]
pub struct LoadReport {
    /// The use of the CPU; 1.0 is all that the backend should use. It may be more.
    #[prost(double, tag = "1")]
    pub cpu_utilization: f64,
    /// The use of memory, from 0 to 1.
    #[prost(double, tag = "2")]
    pub mem_utilization: f64,
    /// Costs of the call, by name.
    #[prost(map = "string, double", tag = "4")]
    pub request_cost: HashMap<String, f64>,
    /// Uses of resources, by name.
    #[prost(map = "string, double", tag = "5")]
    pub utilization: HashMap<String, f64>,
    /// Calls a second.
    #[prost(double, tag = "6")]
    pub rps_fractional: f64,
    /// Failed calls a second.
    #[prost(double, tag = "7")]
    pub eps: f64,
    /// Other metrics, by name.
    #[prost(map = "string, double", tag = "8")]
    pub named_metrics: HashMap<String, f64>,
    /// The use that the application reports itself; 1.0 is all that it should be.
    #[prost(double, tag = "9")]
    pub application_utilization: f64,
}

impl LoadReport {
    /// The one that came with a call's trailers, if it can be read.
    pub(crate) fn from_trailer(trailer: &Metadata) -> Option<Self> {
        let bytes = trailer.get_bytes(TRAILER)?;
        match Self::decode(bytes) {
            Ok(report) => Some(report),
            Err(error) => {
                tracing::debug!(%error, "a backend's load report cannot be read");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_from_the_trailer() {
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
    fn what_cannot_be_read_is_no_report() {
        let mut trailer = Metadata::new();
        trailer.append(TRAILER, &b"\xff"[..]).expect("valid");
        assert_eq!(LoadReport::from_trailer(&trailer), None);
    }
}
