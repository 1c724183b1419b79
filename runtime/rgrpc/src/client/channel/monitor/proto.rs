//! The messages that monitors send and receive, besides
//! [`LoadReport`](crate::balancer::LoadReport).
//!
//! Encoded and decoded by the calls of monitors, on their tasks.

use prost::{Enumeration, Message};

/// `grpc.health.v1.HealthCheckRequest`, of `grpc/health/v1/health.proto`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    pub(super) service: String,
}

/// `grpc.health.v1.HealthCheckResponse`, of the same file.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    pub(super) status: i32,
}

/// `grpc.health.v1.HealthCheckResponse.ServingStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// `xds.service.orca.v3.OrcaLoadReportRequest`, of `xds/service/orca/v3/orca.proto`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct OrcaLoadReportRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) report_interval: Option<prost_types::Duration>,
    #[prost(string, repeated, tag = "2")]
    pub(super) request_cost_names: Vec<String>,
}
