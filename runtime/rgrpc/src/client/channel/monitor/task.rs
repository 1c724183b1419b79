//! The handle of a monitor's task.
//!
//! Held by the monitors of a SubConn, which the channel's task owns.

use std::sync::{Arc, Mutex};

use tokio::task::AbortHandle;

use super::MonitorReport;
use super::watch::{Backend, Watch, run};
use crate::client::connectivity::MonitorId;
use crate::lock::lock;

/// A monitor at work, as a task of its own, which ends when this is dropped.
pub(super) struct Monitor {
    id: MonitorId,
    /// The latest report, until it is taken: a backend that reports more than the channel's task
    /// can look at takes no memory for it.
    latest: Arc<Mutex<Option<MonitorReport>>>,
    task: AbortHandle,
}

impl Monitor {
    /// Watches a backend. `notify` is called when there is a report to be taken.
    pub(super) fn spawn<W: Watch>(
        id: MonitorId,
        backend: Backend,
        watch: W,
        notify: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let latest = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&latest);
        let report = move |report| {
            let previous = lock(&slot).replace(report);
            if previous.is_none() {
                notify();
            }
        };
        let task = tokio::spawn(run(backend, watch, report));
        Self {
            id,
            latest,
            task: task.abort_handle(),
        }
    }

    pub(super) fn id(&self) -> MonitorId {
        self.id
    }

    /// The latest report since this was last called.
    pub(super) fn take(&self) -> Option<MonitorReport> {
        lock(&self.latest).take()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}
