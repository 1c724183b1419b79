//! The health check of a backend.
//!
//! Asked by the monitor of a connection, on its task.

use std::borrow::Cow;
use std::sync::Arc;

use super::MonitorReport;
use super::proto::{HealthCheckRequest, HealthCheckResponse, ServingStatus};
use super::watch::{End, Watch};
use crate::balancer::Health;
use crate::call::MethodName;
use crate::io::Address;
use crate::status::Status;

/// Asks a backend whether it serves: `grpc.health.v1.Health/Watch`.
///
/// A backend that does not implement it is taken to serve. One whose answers break off is not,
/// until it is asked again.
///
/// Source: gRFC A17; grpc-go `health/client.go`.
#[derive(Debug)]
pub(super) struct HealthWatch {
    address: Address,
    /// The empty one stands for the server as a whole.
    service: Arc<str>,
}

impl HealthWatch {
    pub(super) fn new(address: Address, service: Arc<str>) -> Self {
        Self { address, service }
    }

    fn health(&self, status: i32) -> Health {
        let says = match ServingStatus::try_from(status) {
            Ok(ServingStatus::Serving) => return Health::Serving,
            Ok(ServingStatus::Unknown) => Cow::Borrowed("UNKNOWN"),
            Ok(ServingStatus::NotServing) => Cow::Borrowed("NOT_SERVING"),
            Ok(ServingStatus::ServiceUnknown) => Cow::Borrowed("SERVICE_UNKNOWN"),
            Err(_) => Cow::Owned(format!("status {status}")),
        };
        let address = &self.address;
        let about = match &*self.service {
            "" => "the server as a whole".to_owned(),
            service => format!("service {service}"),
        };
        let text = format!("the backend {address} says {says} for {about}");
        Health::NotServing(Status::unavailable(text))
    }
}

impl Watch for HealthWatch {
    type Request = HealthCheckRequest;
    type Response = HealthCheckResponse;

    const METHOD: MethodName = MethodName::from_static("/grpc.health.v1.Health/Watch");

    fn request(&self) -> HealthCheckRequest {
        HealthCheckRequest {
            service: self.service.to_string(),
        }
    }

    fn begun(&self) -> Option<MonitorReport> {
        Some(MonitorReport::Health(Health::Unknown))
    }

    fn answered(&self, response: HealthCheckResponse) -> MonitorReport {
        MonitorReport::Health(self.health(response.status))
    }

    fn ended(&self, end: &End) -> Option<MonitorReport> {
        let health = match end {
            End::Unimplemented => Health::Serving,
            End::Broken(problem) => {
                let address = &self.address;
                let text = format!("the health check of the backend {address} failed: {problem}");
                Health::NotServing(Status::unavailable(text))
            }
        };
        Some(MonitorReport::Health(health))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Code;

    fn watch(service: &str) -> HealthWatch {
        HealthWatch::new(Address::Name("backend-1".to_owned()), service.into())
    }

    fn text(report: MonitorReport) -> String {
        match report {
            MonitorReport::Health(Health::NotServing(status)) => {
                assert_eq!(status.code(), Code::Unavailable);
                status.message().to_owned()
            }
            MonitorReport::Health(health) => format!("{health:?}"),
            MonitorReport::Load(_) => panic!("{report:?}"),
        }
    }

    #[test]
    fn a_backend_serves_if_it_says_so_and_not_otherwise() {
        for (service, status, expected) in [
            ("a.B", 1, "Serving"),
            ("", 1, "Serving"),
            (
                "a.B",
                0,
                "the backend backend-1 says UNKNOWN for service a.B",
            ),
            (
                "a.B",
                2,
                "the backend backend-1 says NOT_SERVING for service a.B",
            ),
            (
                "a.B",
                3,
                "the backend backend-1 says SERVICE_UNKNOWN for service a.B",
            ),
            (
                "",
                2,
                "the backend backend-1 says NOT_SERVING for the server as a whole",
            ),
            (
                "a.B",
                17,
                "the backend backend-1 says status 17 for service a.B",
            ),
        ] {
            let response = HealthCheckResponse { status };
            let report = watch(service).answered(response);
            assert_eq!(text(report), expected);
        }
    }

    #[test]
    fn nothing_is_known_as_long_as_there_is_no_answer() {
        let begun = watch("").begun().map(text);
        assert_eq!(begun.as_deref(), Some("Unknown"));
    }

    #[test]
    fn a_backend_that_cannot_be_asked_serves_and_one_that_breaks_off_does_not() {
        let broken =
            |problem| format!("the health check of the backend backend-1 failed: {problem}");
        for (outcome, expected) in [
            (
                Err(Status::unimplemented("no such service")),
                "Serving".to_owned(),
            ),
            (Err(Status::internal("a bug")), broken("INTERNAL: a bug")),
            (
                Err(Status::unavailable("overloaded")),
                broken("UNAVAILABLE: overloaded"),
            ),
            (Ok(()), broken("the backend has ended it with OK")),
        ] {
            let report = watch("a.B").ended(&End::of(outcome));
            assert_eq!(report.map(text), Some(expected));
        }
    }
}
