//! The load reports of a backend, out of band.
//!
//! Asked by the monitor of a connection, on its task.

use std::time::Duration;

use super::MonitorReport;
use super::proto::OrcaLoadReportRequest;
use super::watch::{End, Watch};
use crate::balancer::LoadReport;
use crate::call::MethodName;

/// Asks a backend for its load: `xds.service.orca.v3.OpenRcaService/StreamCoreMetrics`.
///
/// A server may report less often than it is asked to: grpc-go's has a minimum of 30 s.
///
/// Source: gRFC A51, "Out-of-band reporting"; grpc-go `orca/producer.go`.
#[derive(Debug)]
pub(super) struct LoadWatch {
    interval: Duration,
}

impl LoadWatch {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval }
    }
}

impl Watch for LoadWatch {
    type Request = OrcaLoadReportRequest;
    type Response = LoadReport;

    const METHOD: MethodName =
        MethodName::from_static("/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics");

    fn request(&self) -> OrcaLoadReportRequest {
        OrcaLoadReportRequest {
            // One that cannot be expressed is the server's own.
            report_interval: self.interval.try_into().ok(),
            request_cost_names: Vec::new(),
        }
    }

    fn begun(&self) -> Option<MonitorReport> {
        None
    }

    fn answered(&self, report: LoadReport) -> MonitorReport {
        MonitorReport::Load(Box::new(report))
    }

    fn ended(&self, _end: &End) -> Option<MonitorReport> {
        None
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn the_request_has_the_interval() {
        for (interval, expected) in [
            (Duration::from_secs(30), &b"\x0a\x02\x08\x1e"[..]),
            (Duration::from_nanos(5), b"\x0a\x02\x10\x05"),
            (Duration::ZERO, b"\x0a\x00"),
            (Duration::MAX, b""),
        ] {
            let request = LoadWatch::new(interval).request();
            assert_eq!(request.encode_to_vec(), expected, "{interval:?}");
        }
    }
}
