//! `outlier_detection_experimental`: temporarily ejects endpoints with too many failed calls.
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
//! The child policy chooses the connections. This policy counts the outcomes of calls, and reports
//! the subchannels of an ejected endpoint to the child as not serving. They stay connected. The
//! leaves of the child must use health, as those of `round_robin` do. A `pick_first` directly below
//! this policy ignores health.
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
pub use self::config::{FailurePercentageEjection, OutlierDetectionConfig, SuccessRateEjection};
use self::endpoints::Endpoints;
use self::picker::CountingPicker;
use crate::balancer::{
    Balancer, BalancerBuilder, BalancerEvent, BalancerOptions, BalancerRegistry, BalancerUpdate,
    ChannelControl, ChildBalancer, ControlLayer, GracefulSwitch, Health, SubConn, SubConnId,
    SubConnIndex, SubConnOptions, SubConnState, handle_events,
};
use crate::io::Address;
use crate::service_config::{ConfigValue, ServiceConfigError};
use crate::status::Status;

/// The minimum interval: an interval of 0 would keep the channel's task busy.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// Builds the policy `outlier_detection_experimental`: temporarily ejects endpoints with too many
/// failed calls.
///
/// The config, an [`OutlierDetectionConfig`], with its defaults:
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
/// After each `interval` (at least 1 ms), the policy examines the calls that have ended in it. Any
/// status but OK is a failure. An endpoint is ejected
///
/// - with `successRateEjection`, if its share of successful calls is below the mean by more than
///   `stdevFactor`/1000 standard deviations;
/// - with `failurePercentageEjection`, if more than `threshold` percent of its calls have failed.
///
/// Each algorithm considers the endpoints with at least `requestVolume` calls, if there are at
/// least `minimumHosts` of them. It ejects with a probability of `enforcementPercentage`, while
/// less than `maxEjectionPercent` of all endpoints are ejected. Without both fields, calls are not
/// counted and no endpoint is ejected.
///
/// An ejection takes `baseEjectionTime` times the endpoint's number of ejections, at most
/// `maxEjectionTime`. Each interval without ejection decreases that number by one. `childPolicy` is
/// required.
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

    fn build(&self, _options: &BalancerOptions) -> Box<dyn Balancer> {
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
    /// The subchannels that the child has created.
    subconns: SubConnIndex<WatchedSubConn>,
    /// `None` before the first update, and without an algorithm in the config.
    detection: Option<Detection>,
}

/// The state while calls are counted.
struct Detection {
    config: Arc<OutlierDetectionConfig>,
    interval_start: Instant,
    counters: Arc<HashMap<Address, Arc<CallCounter>>>,
}

impl Detection {
    fn interval_end(&self) -> Instant {
        self.interval_start + self.config.interval.max(MIN_INTERVAL)
    }
}

/// A subchannel of the child.
struct WatchedSubConn {
    address: Address,
    /// The health as the channel reports it. `None` while the subchannel is not connected.
    health: Option<Health>,
    /// The ejection that the child knows.
    is_ejected: bool,
}

impl WatchedSubConn {
    /// The state for the child while the subchannel is READY with this health.
    fn reported(&self, health: &Health) -> SubConnState {
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
    /// Calls the child. Returns true if the child has published.
    fn call(
        &mut self,
        control: &mut dyn ChannelControl,
        call: impl FnOnce(&mut ChildBalancer, &mut dyn ChannelControl) -> bool,
    ) -> bool {
        let mut control = RecordingControl {
            above: control,
            subconns: &mut self.subconns,
        };
        call(&mut self.child, &mut control)
    }

    fn handle(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) {
        let published = match event {
            BalancerEvent::SubConnState(subconn, state) => {
                self.handle_subconn_state(subconn, state, control)
            }
            BalancerEvent::Wake => self.handle_wake(control),
            _ => self.pass_on(event, control),
        };
        if published {
            self.publish(control);
        }
    }

    /// Passes a subchannel's state on to the child, as not serving if the endpoint is ejected.
    /// Returns true if the child has published.
    fn handle_subconn_state(
        &mut self,
        subconn: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) -> bool {
        let mut reported = state.clone();
        if let Some(watched) = self.subconns.get_mut(subconn) {
            watched.is_ejected = self.endpoints.is_ejected(&watched.address);
            watched.health = match state {
                SubConnState::Ready(health) => {
                    reported = watched.reported(health);
                    Some(health.clone())
                }
                _ => None,
            };
        }
        self.pass_on(BalancerEvent::SubConnState(subconn, &reported), control)
    }

    /// Ends the interval if it is over, and wakes the child. Returns true if the child has
    /// published.
    fn handle_wake(&mut self, control: &mut dyn ChannelControl) -> bool {
        let mut published = false;
        let now = control.now();
        if let Some(detection) = &mut self.detection
            && detection.interval_end() <= now
        {
            detection.interval_start = now;
            let random = &mut || control.random();
            self.endpoints.end_interval(&detection.config, now, random);
            published |= self.report_ejections(control);
        }
        published | self.pass_on(BalancerEvent::Wake, control)
    }

    /// Passes an event on to the child. Returns true if the child has published.
    fn pass_on(&mut self, event: BalancerEvent<'_>, control: &mut dyn ChannelControl) -> bool {
        self.call(control, |child, control| child.handle(event, control))
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

    /// Starts, continues or stops to count calls, by the config.
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

    /// Reports subchannels whose ejection has begun or ended to the child. Returns true if the
    /// child has published.
    fn report_ejections(&mut self, control: &mut dyn ChannelControl) -> bool {
        let mut changes = Vec::new();
        for (id, watched) in self.subconns.held_mut() {
            let is_ejected = self.endpoints.is_ejected(&watched.address);
            if is_ejected != watched.is_ejected {
                watched.is_ejected = is_ejected;
                let health = watched.health.as_ref();
                changes.extend(health.map(|health| (id, watched.reported(health))));
            }
        }
        changes.sort_unstable_by_key(|(id, _)| *id);
        let mut published = false;
        for (id, state) in changes {
            published |= self.pass_on(BalancerEvent::SubConnState(id, &state), control);
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
        let update = update.with_config(policy);
        let mut result = Ok(());
        self.call(control, |child, control| {
            let (published, updated) = child.update(update, control);
            result = updated;
            published
        });
        self.report_ejections(control);
        self.publish(control);
        result
    }

    handle_events!();

    fn wake_at(&self) -> Option<Instant> {
        let own = self.detection.as_ref().map(Detection::interval_end);
        [own, self.child.wake_at()].into_iter().flatten().min()
    }
}

/// The channel for the child: records the child's subchannels.
struct RecordingControl<'a> {
    above: &'a mut dyn ChannelControl,
    subconns: &'a mut SubConnIndex<WatchedSubConn>,
}

impl ControlLayer for RecordingControl<'_> {
    fn above(&self) -> &dyn ChannelControl {
        self.above
    }

    fn above_mut(&mut self) -> &mut dyn ChannelControl {
        self.above
    }

    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn {
        let watched = WatchedSubConn {
            address: address.clone(),
            health: None,
            is_ejected: false,
        };
        let subconn = self.above.create_subconn(address, options);
        self.subconns.insert(&subconn, watched);
        subconn
    }
}
