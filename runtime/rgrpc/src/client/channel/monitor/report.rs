//! The reports of monitors.
//!
//! Made on a monitor's task, taken by the channel's.

use crate::balancer::{Health, LoadReport};

/// A report of a monitor.
#[derive(Clone, Debug)]
pub(in crate::client::channel) enum MonitorReport {
    Health(Health),
    Load(Box<LoadReport>),
}
