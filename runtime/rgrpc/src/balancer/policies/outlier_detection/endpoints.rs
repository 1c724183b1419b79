use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::algorithms::{by_failure_percentage, by_success_rate};
use super::call_counter::{CallCounter, CallCounts};
use super::config::OutlierDetectionConfig;
use super::ejection::Ejection;
use crate::io::Address;
use crate::resolver::{Endpoint, EndpointKey};

/// The endpoints of the last update, with how their calls go and which are ejected.
#[derive(Default)]
pub(super) struct Endpoints {
    all: Vec<Monitored>,
    /// Places in `all`. Of endpoints that share an address the first one has it.
    by_address: HashMap<Address, usize>,
}

struct Monitored {
    key: EndpointKey,
    counter: Arc<CallCounter>,
    ejection: Ejection,
}

impl Endpoints {
    /// These are the endpoints from now on. Those that are known keep what is known of them.
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
            let place = self.all.len();
            for address in key.addresses() {
                self.by_address.entry(address.clone()).or_insert(place);
            }
            let known = old.remove(&key);
            self.all.push(known.unwrap_or_else(|| Monitored {
                key,
                counter: Arc::default(),
                ejection: Ejection::default(),
            }));
        }
    }

    /// Whether the endpoint with this address is ejected.
    pub(super) fn is_ejected(&self, address: &Address) -> bool {
        let place = self.by_address.get(address);
        place.is_some_and(|place| self.all[*place].ejection.is_ejected())
    }

    /// What pickers count by.
    pub(super) fn counters(&self) -> HashMap<Address, Arc<CallCounter>> {
        let by_address = self.by_address.iter();
        by_address
            .map(|(address, place)| (address.clone(), Arc::clone(&self.all[*place].counter)))
            .collect()
    }

    /// The calls up to now do not count.
    pub(super) fn forget_calls(&self) {
        for endpoint in &self.all {
            endpoint.counter.take();
        }
    }

    /// No endpoint is ejected, nor ever was.
    pub(super) fn restore_all(&mut self) {
        for endpoint in &mut self.all {
            endpoint.ejection = Ejection::default();
        }
    }

    /// An interval has ended: ejects outliers, and restores those whose time is over. `random` is
    /// in [0, 1).
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

    /// Ejects the endpoints at these places, each with a probability of `enforcement` percent, as
    /// long as less than `max_percent` are. One that is ejected already is not ejected twice.
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
        for place in outliers {
            let endpoint = &mut self.all[*place];
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
