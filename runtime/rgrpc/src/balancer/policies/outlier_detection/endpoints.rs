//! The endpoints that the policy counts and ejects.
//!
//! Owned by the policy, on the channel's task; pickers share the counters.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::algorithms::{by_failure_percentage, by_success_rate};
use super::call_counter::{CallCounter, CallCounts};
use super::config::OutlierDetectionConfig;
use super::ejection::Ejection;
use crate::io::Address;
use crate::resolver::{Endpoint, EndpointKey};

/// The endpoints of the last update, with their call counters and ejections.
#[derive(Default)]
pub(super) struct Endpoints {
    all: Vec<MonitoredEndpoint>,
    /// Indices into `all`. An address of several endpoints belongs to the first one.
    by_address: HashMap<Address, usize>,
}

struct MonitoredEndpoint {
    key: EndpointKey,
    counter: Arc<CallCounter>,
    ejection: Ejection,
}

impl Endpoints {
    /// Replaces the endpoints. Known endpoints keep their counters and ejections.
    pub(super) fn update(&mut self, endpoints: &[Endpoint]) {
        let old = std::mem::take(&mut self.all).into_iter();
        let mut old: HashMap<_, _> = old.map(|known| (known.key.clone(), known)).collect();
        let mut seen = HashSet::new();
        self.by_address.clear();
        for endpoint in endpoints {
            let key = EndpointKey::from(endpoint);
            if !seen.insert(key.clone()) {
                continue;
            }
            let index = self.all.len();
            for address in key.addresses() {
                self.by_address.entry(address.clone()).or_insert(index);
            }
            let known = old.remove(&key);
            self.all.push(known.unwrap_or_else(|| MonitoredEndpoint {
                key,
                counter: Arc::default(),
                ejection: Ejection::default(),
            }));
        }
    }

    /// Returns true if the endpoint with this address is ejected.
    pub(super) fn is_ejected(&self, address: &Address) -> bool {
        let index = self.by_address.get(address);
        index.is_some_and(|index| self.all[*index].ejection.is_ejected())
    }

    /// The call counters for pickers, by address.
    pub(super) fn counters(&self) -> HashMap<Address, Arc<CallCounter>> {
        let by_address = self.by_address.iter();
        by_address
            .map(|(address, index)| (address.clone(), Arc::clone(&self.all[*index].counter)))
            .collect()
    }

    /// Resets the call counters.
    pub(super) fn forget_calls(&self) {
        for endpoint in &self.all {
            endpoint.counter.take();
        }
    }

    /// Ends all ejections, and resets their multipliers.
    pub(super) fn restore_all(&mut self) {
        for endpoint in &mut self.all {
            endpoint.ejection = Ejection::default();
        }
    }

    /// Ends an interval: ejects outliers, and restores endpoints whose ejection time is over.
    /// `random` returns numbers in [0, 1).
    pub(super) fn end_interval(
        &mut self,
        config: &OutlierDetectionConfig,
        now: Instant,
        random: &mut dyn FnMut() -> f64,
    ) {
        let counts: Vec<CallCounts> = self.all.iter().map(|it| it.counter.take()).collect();
        let max_percent = config.max_ejection_percent;
        if let Some(success_rate) = &config.success_rate {
            let outliers = by_success_rate(success_rate, &counts);
            let enforcement = success_rate.scope.enforcement_percentage;
            self.eject(&outliers, max_percent, enforcement, now, random);
        }
        if let Some(failure_percentage) = &config.failure_percentage {
            let outliers = by_failure_percentage(failure_percentage, &counts);
            let enforcement = failure_percentage.scope.enforcement_percentage;
            self.eject(&outliers, max_percent, enforcement, now, random);
        }
        for endpoint in &mut self.all {
            let was_ejected = endpoint.ejection.is_ejected();
            let (base, max) = (config.base_ejection_time, config.max_ejection_time);
            endpoint.ejection.end_interval(now, base, max);
            if was_ejected && !endpoint.ejection.is_ejected() {
                tracing::info!(addresses = ?endpoint.key.addresses(), "outlier detection has restored an endpoint");
            }
        }
    }

    /// Ejects the endpoints with these indices, each with a probability of `enforcement` percent,
    /// while less than `max_percent` of all are ejected. Ejected endpoints are skipped.
    fn eject(
        &mut self,
        outliers: &[usize],
        max_percent: u32,
        enforcement: u32,
        now: Instant,
        random: &mut dyn FnMut() -> f64,
    ) {
        let ejected = self.all.iter().filter(|it| it.ejection.is_ejected());
        let mut ejected = ejected.count() as u64;
        let max = u64::from(max_percent) * self.all.len() as u64;
        for index in outliers {
            let endpoint = &mut self.all[*index];
            if ejected * 100 >= max {
                return;
            }
            if !endpoint.ejection.is_ejected() && random() * 100.0 < f64::from(enforcement) {
                endpoint.ejection.eject(now);
                ejected += 1;
                let addresses = endpoint.key.addresses();
                tracing::info!(?addresses, "outlier detection has ejected an endpoint");
            }
        }
    }
}
