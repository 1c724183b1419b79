//! `outlier_detection_experimental`: takes endpoints out for a while that fail more calls than they
//! should.
//!
//! ```text
//!  calls ─► CountingPicker ─► the child's picker
//!                │ counts by endpoint
//!                ▼
//!            Endpoints ── each interval: outliers ─► ejected
//!                                                       │
//!  subconn_state ── Ready(health) ─► Ready(NotServing) ◄┘ ─► the child
//! ```
//!
//! The child policy chooses the connections; this one counts how calls end, and tells the child of
//! the connections of an ejected endpoint that they do not serve. They stay connected. So it takes
//! a child whose leaves regard health, as `round_robin` and the like; a `pick_first` that is the
//! child itself does not.
//!
//! Source: gRFC A50, A61 for endpoints; grpc-go `internal/xds/balancer/outlierdetection`.

mod algorithms;
mod call_counter;
mod config;
mod ejection;
mod endpoints;
mod picker;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::call_counter::CallCounter;
use self::config::OutlierDetectionConfig;
use self::endpoints::Endpoints;
use self::picker::CountingPicker;
use crate::balancer::{
    Balancer, BalancerBuilder, BalancerRegistry, BalancerUpdate, BalancerWaker, ChannelControl,
    ChildBalancer, GracefulSwitch, Health, LoadReport, Picker, SubConn, SubConnId, SubConnIndex,
    SubConnOptions, SubConnState,
};
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;
use crate::service_config::{ConfigValue, ServiceConfigError};
use crate::status::Status;

/// An interval of 0 would keep the channel's task busy.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// Builds the policy `outlier_detection_experimental`: takes endpoints out for a while that fail
/// more calls than they should.
///
/// The config, with its defaults:
///
/// ```text
/// {
///     "interval": "10s",
///     "baseEjectionTime": "30s",
///     "maxEjectionTime": "300s",
///     "maxEjectionPercent": 10,
///     "successRateEjection": {
///         "stdevFactor": 1900, "enforcementPercentage": 100,
///         "minimumHosts": 5, "requestVolume": 100
///     },
///     "failurePercentageEjection": {
///         "threshold": 85, "enforcementPercentage": 0,
///         "minimumHosts": 5, "requestVolume": 50
///     },
///     "childPolicy": [{"round_robin": {}}]
/// }
/// ```
///
/// After each `interval` (at least 1 ms) the calls that ended in it are looked at. Any status but
/// OK is a failure. Ejected is:
///
/// - with `successRateEjection`, an endpoint whose share of successes is below the mean of all by
///   more than `stdevFactor`/1000 standard deviations;
/// - with `failurePercentageEjection`, one of whose calls more than `threshold` percent failed;
///
/// each among the endpoints with at least `requestVolume` calls, if there are `minimumHosts` of
/// these, with a probability of `enforcementPercentage`, and while less than `maxEjectionPercent`
/// of all endpoints are ejected. Without either field nothing is counted, and nobody is ejected.
///
/// An endpoint is out for `baseEjectionTime` × how often it was ejected lately, at most
/// `maxEjectionTime`; each interval in which it is not out counts as one ejection less.
/// `childPolicy` is required.
///
/// Source: gRFC A50, A61; grpc-go `internal/xds/balancer/outlierdetection`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutlierDetectionBuilder;

impl BalancerBuilder for OutlierDetectionBuilder {
    fn name(&self) -> &str {
        "outlier_detection_experimental"
    }

    fn parse_config(
        &self,
        config: &ConfigValue<'_>,
        registry: &BalancerRegistry,
    ) -> Result<Arc<dyn Any + Send + Sync>, ServiceConfigError> {
        Ok(Arc::new(OutlierDetectionConfig::parse(config, registry)?))
    }

    fn build(&self) -> Box<dyn Balancer> {
        Box::new(OutlierDetection {
            child: ChildBalancer::new(Box::new(GracefulSwitch::new())),
            endpoints: Endpoints::default(),
            subconns: SubConnIndex::default(),
            detection: None,
        })
    }
}

struct OutlierDetection {
    child: ChildBalancer,
    endpoints: Endpoints,
    /// The connections that the child has created.
    subconns: SubConnIndex<Watched>,
    /// `None` before the first update, and when the config asks for no ejections.
    detection: Option<Detection>,
}

/// What there is while calls are counted.
struct Detection {
    config: Arc<OutlierDetectionConfig>,
    interval_start: Instant,
    counters: Arc<HashMap<Address, Arc<CallCounter>>>,
}

impl Detection {
    fn interval_end(&self) -> Instant {
        self.interval_start + self.config.interval.max(SHORTEST_INTERVAL)
    }
}

/// What is known of a connection.
struct Watched {
    address: Address,
    /// As the channel has it; `None` while it is not connected.
    health: Option<Health>,
    /// What the child was told last.
    is_ejected: bool,
}

impl Watched {
    /// What the child is to see while the connection is ready and has this health.
    fn shown(&self, health: &Health) -> SubConnState {
        SubConnState::Ready(if self.is_ejected {
            let address = &self.address;
            Health::NotServing(Status::unavailable(format!(
                "{address}: outlier detection has ejected this endpoint"
            )))
        } else {
            health.clone()
        })
    }
}

impl OutlierDetection {
    /// Calls the child, and says whether it has published.
    fn call(
        &mut self,
        control: &mut dyn ChannelControl,
        what: impl FnOnce(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) -> bool {
        let mut control = WatchingControl {
            above: control,
            subconns: &mut self.subconns,
        };
        what(&mut self.child, &mut control)
    }

    /// Calls the child, and publishes what it has published.
    fn forward(
        &mut self,
        control: &mut dyn ChannelControl,
        what: impl FnOnce(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) {
        if self.call(control, what) {
            self.publish(control);
        }
    }

    fn publish(&self, control: &mut dyn ChannelControl) {
        let picker = Arc::clone(self.child.picker());
        let picker = match &self.detection {
            Some(detection) => {
                let counters = Arc::clone(&detection.counters);
                Arc::new(CountingPicker::new(picker, counters))
            }
            None => picker,
        };
        control.update_state(self.child.state(), picker);
    }

    /// Begins, goes on or ends to count, as the config says.
    fn configure(&mut self, config: &OutlierDetectionConfig, now: Instant) {
        if !config.is_counting() {
            self.detection = None;
            self.endpoints.restore_all();
            return;
        }
        let running = self.detection.as_ref();
        let interval_start = running.map(|detection| detection.interval_start);
        if interval_start.is_none() {
            self.endpoints.forget_calls();
        }
        self.detection = Some(Detection {
            config: Arc::new(config.clone()),
            interval_start: interval_start.unwrap_or(now),
            counters: Arc::new(self.endpoints.counters()),
        });
    }

    /// Tells the child of the connections that are ejected now and were not, and the other way
    /// round. Says whether it has published.
    fn tell_ejections(&mut self, control: &mut dyn ChannelControl) -> bool {
        let mut changes = Vec::new();
        for (id, watched) in self.subconns.held_mut() {
            let is_ejected = self.endpoints.is_ejected(&watched.address);
            if is_ejected != watched.is_ejected {
                watched.is_ejected = is_ejected;
                let health = watched.health.as_ref();
                changes.extend(health.map(|health| (id, watched.shown(health))));
            }
        }
        changes.sort_unstable_by_key(|(id, _)| *id);
        let mut published = false;
        for (id, state) in changes {
            published |= self.call(control, |child, control| {
                child.subconn_state(id, &state, control)
            });
        }
        published
    }
}

impl Balancer for OutlierDetection {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let config = update.config::<OutlierDetectionConfig>()?;
        self.endpoints.update(&update.endpoints);
        self.configure(config, control.now());
        let policy = Arc::new(config.child_policy.clone());
        let update = BalancerUpdate::new(update.endpoints, policy);
        let mut result = Ok(());
        self.call(control, |child, control| {
            let (published, updated) = child.update(update, control);
            result = updated;
            published
        });
        self.tell_ejections(control);
        self.publish(control);
        result
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        self.forward(control, |child, control| {
            child.resolver_error(error, control)
        });
    }

    fn subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        let mut shown = state.clone();
        if let Some(watched) = self.subconns.get_mut(subconn) {
            watched.is_ejected = self.endpoints.is_ejected(&watched.address);
            watched.health = match state {
                SubConnState::Ready(health) => {
                    shown = watched.shown(health);
                    Some(health.clone())
                }
                _ => None,
            };
        }
        self.forward(control, |child, control| {
            child.subconn_state(subconn, &shown, control)
        });
    }

    fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        self.forward(control, ChildBalancer::exit_idle);
    }

    fn load_report(
        &mut self,
        subconn: SubConnId,
        report: &LoadReport,
        control: &mut dyn ChannelControl,
    ) {
        self.forward(control, |child, control| {
            child.load_report(subconn, report, control)
        });
    }

    fn wake_at(&self) -> Option<Instant> {
        let own = self.detection.as_ref().map(Detection::interval_end);
        [own, self.child.wake_at()].into_iter().flatten().min()
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        let mut published = false;
        let now = control.now();
        if let Some(detection) = &mut self.detection
            && detection.interval_end() <= now
        {
            detection.interval_start = now;
            let random = &mut || control.random();
            self.endpoints.end_interval(&detection.config, now, random);
            published |= self.tell_ejections(control);
        }
        published |= self.call(control, ChildBalancer::wake);
        if published {
            self.publish(control);
        }
    }
}

/// What the child sees of its channel: all, but that its connections are noted down.
struct WatchingControl<'a> {
    above: &'a mut dyn ChannelControl,
    subconns: &'a mut SubConnIndex<Watched>,
}

impl ChannelControl for WatchingControl<'_> {
    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn {
        let watched = Watched {
            address: address.clone(),
            health: None,
            is_ejected: false,
        };
        let subconn = self.above.create_subconn(address, options);
        self.subconns.insert(&subconn, watched);
        subconn
    }

    fn update_state(&mut self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        self.above.update_state(state, picker);
    }

    fn resolve_now(&mut self) {
        self.above.resolve_now();
    }

    fn waker(&self) -> BalancerWaker {
        self.above.waker()
    }

    fn now(&self) -> Instant {
        self.above.now()
    }

    fn random(&mut self) -> f64 {
        self.above.random()
    }

    fn target(&self) -> &str {
        self.above.target()
    }
}
