use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::WeightedRoundRobinConfig;
use super::picker::WeightedPicker;
use super::scheduler::Scheduler;
use super::weight::{LatestWeight, WeightHistory, weight};
use crate::balancer::{
    Balancer, BalancerUpdate, ChannelControl, EndpointId, EndpointSharding, EndpointsChange,
    LoadReport, PickFirstConfig, SubConnId, SubConnState,
};
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;

/// The policy for one kind of reports.
pub(super) struct WeightedEndpoints {
    config: WeightedRoundRobinConfig,
    reports_out_of_band: bool,
    endpoints: EndpointSharding,
    /// Those that are ready, in the order of the sharding, which is also that of the picker. What
    /// an endpoint has reported is forgotten when it is not ready; a late report goes nowhere then.
    ready: BTreeMap<EndpointId, Weight>,
    picker: Option<Arc<WeightedPicker>>,
    /// When the reports are taken next.
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

    /// Publishes a picker if it would be another one.
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

    /// Takes the reports. The turns of the endpoints that are ready by what is known of them.
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
        let update = BalancerUpdate::new(update.endpoints, config);
        let result = self.endpoints.update(update, control);
        self.publish(control);
        result
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        self.endpoints.resolver_error(error, control);
    }

    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        self.endpoints.subconn_state(subconn, state, control);
    }

    fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        self.endpoints.exit_idle(control);
    }

    fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        _control: &mut dyn ChannelControl,
    ) {
        let child = self.endpoints.child_with(subconn);
        let reported = weight(report, self.config.error_utilization_penalty);
        if let Some(ready) = child.and_then(|child| self.ready.get(&child.id()))
            && let Some(reported) = reported
        {
            ready.latest.set(reported);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let timers = [self.endpoints.wake_at(), self.next_update];
        timers.into_iter().flatten().min()
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        self.endpoints.wake(control);
        self.publish(control);
        let now = control.now();
        if self.next_update.is_some_and(|at| at <= now)
            && let Some(picker) = self.picker.clone()
        {
            picker.set_scheduler(self.schedule(now));
        }
    }
}
