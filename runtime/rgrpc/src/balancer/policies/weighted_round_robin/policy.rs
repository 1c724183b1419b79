//! The policy for one kind of load reports: it reads weights and publishes pickers.
//!
//! Called by the channel's task, below a `GracefulSwitch` that replaces it when the kind changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::WeightedRoundRobinConfig;
use super::picker::WeightedPicker;
use super::scheduler::Scheduler;
use super::weight::{LatestWeight, WeightHistory, weight};
use crate::balancer::{
    Balancer, BalancerEvent, BalancerUpdate, ChannelControl, EndpointId, EndpointSharding,
    EndpointsChange, LoadReport, PickFirstConfig, SubConnId, handle_events,
};
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;

/// The child policy for one kind of reports.
pub(super) struct WeightedEndpoints {
    config: WeightedRoundRobinConfig,
    reports_out_of_band: bool,
    endpoints: EndpointSharding,
    /// The READY endpoints, in the order of the sharding and the picker. The reports of an endpoint
    /// that is not READY are dropped; a late report is ignored.
    ready: BTreeMap<EndpointId, Weight>,
    picker: Option<Arc<WeightedPicker>>,
    /// The time of the next update of the weights.
    next_update: Option<Instant>,
}

#[derive(Default)]
struct Weight {
    latest: LatestWeight,
    history: WeightHistory,
}

impl WeightedEndpoints {
    pub(super) fn new(load_reports: Option<Duration>) -> Self {
        let endpoints = EndpointSharding::new();
        Self {
            config: WeightedRoundRobinConfig::default(),
            reports_out_of_band: load_reports.is_some(),
            endpoints: match load_reports {
                Some(interval) => endpoints.with_load_reports(interval),
                None => endpoints,
            },
            ready: BTreeMap::new(),
            picker: None,
            next_update: None,
        }
    }

    fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        match event {
            BalancerEvent::LoadReport(subconn, report) => self.handle_load_report(subconn, report),
            BalancerEvent::Wake => self.handle_wake(control),
            _ => self.endpoints.handle(event, control),
        }
    }

    /// Keeps a report until the next update of the weights.
    fn handle_load_report(&mut self, subconn: SubConnId, report: &LoadReport) {
        let child = self.endpoints.child_with(subconn);
        let reported = weight(report, self.config.error_utilization_penalty);
        if let Some(ready) = child.and_then(|child| self.ready.get(&child.id()))
            && let Some(reported) = reported
        {
            ready.latest.set(reported);
        }
    }

    /// Publishes changes of the endpoints, and updates the weights when it is time.
    fn handle_wake(&mut self, control: &mut dyn ChannelControl) {
        self.endpoints.wake(control);
        self.publish(control);
        let now = control.now();
        if self.next_update.is_some_and(|at| at <= now)
            && let Some(picker) = self.picker.clone()
        {
            picker.set_scheduler(self.schedule(now));
        }
    }

    /// Publishes a picker, if the READY endpoints have changed.
    fn publish(&mut self, control: &mut dyn ChannelControl) {
        if self.endpoints.take_change() != EndpointsChange::Best {
            return;
        }
        let state = self.endpoints.state();
        if state != ConnectivityState::Ready {
            self.ready.clear();
            self.picker = None;
            self.next_update = None;
            let picker = self.endpoints.picker(control);
            return control.update_state(state, picker);
        }
        let mut old = std::mem::take(&mut self.ready);
        let endpoints = self.endpoints.best_children().map(|child| {
            let weight = old.remove(&child.id()).unwrap_or_default();
            let latest = weight.latest.clone();
            self.ready.insert(child.id(), weight);
            (Arc::clone(child.picker()), latest)
        });
        let endpoints = endpoints.collect();
        let penalty = self.config.error_utilization_penalty;
        let call_reports = (!self.reports_out_of_band).then_some(penalty);
        let scheduler = self.schedule(control.now());
        let picker = WeightedPicker::new(endpoints, call_reports, scheduler, control.random());
        let picker = Arc::new(picker);
        self.picker = Some(Arc::clone(&picker));
        control.update_state(state, picker);
    }

    /// Reads the new reports, and builds a scheduler of the READY endpoints.
    fn schedule(&mut self, now: Instant) -> Scheduler {
        self.next_update = Some(now + self.config.update_period());
        let WeightedRoundRobinConfig {
            blackout_period,
            weight_expiration_period,
            ..
        } = self.config;
        let weights = self.ready.values_mut().map(|Weight { latest, history }| {
            if let Some(weight) = latest.take() {
                history.report(weight, now);
            }
            history.weight(now, blackout_period, weight_expiration_period)
        });
        Scheduler::new(&weights.collect::<Vec<_>>())
    }
}

impl Balancer for WeightedEndpoints {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        self.config = *update.config()?;
        let config = Arc::new(PickFirstConfig::default());
        let update = update.with_config(config);
        let result = self.endpoints.update(update, control);
        self.publish(control);
        result
    }

    handle_events!();

    fn wake_at(&self) -> Option<Instant> {
        let timers = [self.endpoints.wake_at(), self.next_update];
        timers.into_iter().flatten().min()
    }
}
