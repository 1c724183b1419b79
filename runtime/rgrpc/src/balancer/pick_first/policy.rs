//! The policy: it acts on the subchannels as [`Attempts`] decides, and publishes.
//!
//! Called by the channel's task, or by a parent policy there.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use tokio::time::Instant;

use super::PickFirstConfig;
use super::address_attempts::{AddressAttempts, ConnectState, ConnectStep};
use super::address_list::{AddressToTry, address_list};
use super::picker::ConnectedPicker;
use crate::balancer::{
    Balancer, BalancerUpdate, ChannelControl, FailingPicker, Health, IdlePicker, Picker,
    QueuingPicker, SubConn, SubConnId, SubConnOptions, SubConnState,
};
use crate::connectivity_state::ConnectivityState;
use crate::status::Status;

/// The policy `pick_first`: connects to the first reachable address, and sends all calls to it.
///
/// - **Connecting.** The addresses are tried in order, with IPv4 and IPv6 interleaved. The next
///   attempt begins when the present one fails, or 250 ms after it has begun. The first READY
///   connection is used, and the others are dropped.
/// - **All addresses have failed.** The state is TRANSIENT_FAILURE until a connection is READY,
///   even if the resolver finds other addresses. Each address is retried after its backoff. The
///   policy asks the resolver to resolve again each time as many attempts have failed as there are
///   addresses.
/// - **The connection is lost.** The state is IDLE until the next call, which begins at the first
///   address.
/// - **New endpoints.** The connection is kept if its address is still in the list, with the same
///   [connection attributes](crate::resolver::Endpoint::connection_attributes). Otherwise the new
///   addresses are tried from the first on.
///
/// Its config is [`PickFirstConfig`].
///
/// Source: gRFCs A61, A62 and A113; grpc-go's package `pickfirst`.
#[derive(Debug)]
pub struct PickFirst {
    uses_health: bool,
    /// The addresses, in the order of the attempts.
    addresses: Vec<AddressToTry>,
    state: PickFirstState,
    /// The state that was published last.
    published: Option<ConnectivityState>,
}

/// ```text
///                  addresses                 one is ready
///   NoAddresses ───────────────► Connecting ─────────────► Connected
///                                 ▲      ▲                     │  │
///                            call │      └─────────────────────┘  │
///                                 │        its address is gone    │
///                                Idle ◄───────────────────────────┘
///                                                lost
/// ```
///
/// Any state changes to NoAddresses when an update has no addresses.
#[derive(Debug)]
enum PickFirstState {
    /// The last update had no addresses, or there was no update.
    NoAddresses,
    Idle {
        /// The published picker, which knows if there was a call.
        picker: Arc<IdlePicker>,
        /// The subchannel whose connection was lost. It is reused, so that its backoff applies to
        /// the next attempt.
        last: OwnSubConn,
    },
    /// Connecting, also while the published state is TRANSIENT_FAILURE.
    Connecting {
        attempts: AddressAttempts,
        /// The subchannel of each address, from its first attempt on.
        subconns: Vec<Option<OwnSubConn>>,
    },
    Connected(OwnSubConn),
}

/// A subchannel with its address and attributes.
#[derive(Clone, Debug)]
struct OwnSubConn {
    subconn: SubConn,
    to_try: AddressToTry,
}

/// The subchannels of the earlier addresses, with their states.
type KeptSubConns = HashMap<AddressToTry, (OwnSubConn, ConnectState)>;

impl PickFirst {
    /// Creates the policy to be used on its own: it uses a connection regardless of its health.
    #[must_use]
    pub fn new() -> Self {
        Self::with_health(false)
    }

    /// Creates the policy as a leaf of a policy that needs healthy connections, such as
    /// `round_robin`. It [checks](SubConnOptions::health_check) the [`Health`] of its connection:
    /// unknown means CONNECTING, and not serving means TRANSIENT_FAILURE with the status of the
    /// backend. The connection is kept in both cases.
    ///
    /// Source: gRFC A61, "Generic Health Reporting Mechanism".
    #[must_use]
    pub fn leaf() -> Self {
        Self::with_health(true)
    }

    fn with_health(uses_health: bool) -> Self {
        Self {
            uses_health,
            addresses: Vec::new(),
            state: PickFirstState::NoAddresses,
            published: None,
        }
    }

    fn publish(
        &mut self,
        state: ConnectivityState,
        picker: Arc<dyn Picker>,
        control: &mut dyn ChannelControl,
    ) {
        self.published = Some(state);
        control.update_state(state, picker);
    }

    /// Publishes TRANSIENT_FAILURE: no address can be connected to, because of `problem`. Returns
    /// the status of the calls.
    fn fail_to_connect(&mut self, problem: &Status, control: &mut dyn ChannelControl) -> Status {
        let text = format!(
            "cannot connect to {}: {}",
            control.target(),
            problem.message()
        );
        let status = problem.to_unavailable(text);
        self.fail(status.clone(), control);
        status
    }

    fn fail(&mut self, status: Status, control: &mut dyn ChannelControl) {
        self.publish(
            ConnectivityState::TransientFailure,
            Arc::new(FailingPicker::new(status)),
            control,
        );
    }

    /// Publishes CONNECTING, unless it is published already.
    fn publish_connecting(&mut self, control: &mut dyn ChannelControl) {
        if self.published != Some(ConnectivityState::Connecting) {
            self.publish(
                ConnectivityState::Connecting,
                Arc::new(QueuingPicker),
                control,
            );
        }
    }

    /// Publishes the state of a connection with this health.
    fn publish_connected(
        &mut self,
        subconn: SubConn,
        health: &Health,
        control: &mut dyn ChannelControl,
    ) {
        match health {
            Health::NotServing(status) if self.uses_health => self.fail(status.clone(), control),
            Health::Unknown if self.uses_health => self.publish_connecting(control),
            _ if self.published == Some(ConnectivityState::Ready) => {}
            _ => self.publish(
                ConnectivityState::Ready,
                Arc::new(ConnectedPicker(subconn)),
                control,
            ),
        }
    }

    /// Connects, if the policy is idle.
    fn leave_idle(&mut self, control: &mut dyn ChannelControl) {
        let PickFirstState::Idle { last, .. } = &self.state else {
            return;
        };
        let kept = KeptSubConns::from([(last.to_try.clone(), (last.clone(), ConnectState::Idle))]);
        self.publish_connecting(control);
        self.connect(kept, control);
    }

    /// Publishes IDLE after a lost connection: the next call connects.
    fn go_idle(&mut self, last: OwnSubConn, control: &mut dyn ChannelControl) {
        let picker = Arc::new(IdlePicker::new(control.waker()));
        self.state = PickFirstState::Idle {
            picker: Arc::clone(&picker),
            last,
        };
        control.resolve_now();
        self.publish(ConnectivityState::Idle, picker, control);
    }

    /// Begins a pass over the addresses, with the subchannels that exist already.
    fn connect(&mut self, mut kept: KeptSubConns, control: &mut dyn ChannelControl) {
        let (subconns, states): (Vec<_>, Vec<_>) = self
            .addresses
            .iter()
            .map(|address| match kept.remove(address) {
                Some((subconn, state)) => (Some(subconn), state),
                None => (None, ConnectState::Idle),
            })
            .unzip();
        let (attempts, step) = AddressAttempts::begin(states, control.now());
        self.state = PickFirstState::Connecting { attempts, subconns };
        self.apply(step, control);
    }

    fn apply(&mut self, step: ConnectStep, control: &mut dyn ChannelControl) {
        if let PickFirstState::Connecting { subconns, .. } = &mut self.state {
            for index in step.connect {
                let own = subconns[index].get_or_insert_with(|| {
                    let to_try = self.addresses[index].clone();
                    let options = SubConnOptions {
                        health_check: self.uses_health,
                        attributes: to_try.attributes.clone(),
                        ..SubConnOptions::default()
                    };
                    let subconn = control.create_subconn(to_try.address.clone(), options);
                    OwnSubConn { subconn, to_try }
                });
                own.subconn.connect();
            }
        }
        if let Some(failure) = step.failure {
            let mut problem = failure.clone();
            if self.addresses.len() > 1 {
                let count = self.addresses.len();
                problem = failure
                    .to_unavailable(format!("{}; last of {count} addresses", failure.message()));
            }
            self.fail_to_connect(&problem, control);
        }
    }
}

impl Default for PickFirst {
    fn default() -> Self {
        Self::new()
    }
}

impl Balancer for PickFirst {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let config = *update.config::<PickFirstConfig>()?;
        let addresses = address_list(update.endpoints, config, || control.random());
        let is_same = self.addresses == addresses;
        self.addresses = addresses;
        if self.addresses.is_empty() {
            self.state = PickFirstState::NoAddresses;
            let problem = Status::unavailable("the resolver has found no addresses");
            return Err(self.fail_to_connect(&problem, control));
        }
        match &self.state {
            PickFirstState::Idle { .. } => return Ok(()),
            PickFirstState::Connected(own) if self.addresses.contains(&own.to_try) => {
                return Ok(());
            }
            // A restart for each update would delay the later addresses for as long as the resolver
            // repeats itself.
            PickFirstState::Connecting { .. } if is_same => return Ok(()),
            // The state stays TRANSIENT_FAILURE until a connection is READY (gRFC A62).
            PickFirstState::Connecting { .. } => {}
            PickFirstState::NoAddresses | PickFirstState::Connected(_) => {
                self.publish_connecting(control);
            }
        }
        let kept = match mem::replace(&mut self.state, PickFirstState::NoAddresses) {
            PickFirstState::Connecting { attempts, subconns } => subconns
                .into_iter()
                .zip(attempts.into_states())
                .filter_map(|(own, state)| {
                    let own = own?;
                    Some((own.to_try.clone(), (own, state)))
                })
                .collect(),
            _ => KeptSubConns::new(),
        };
        self.connect(kept, control);
        Ok(())
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        let is_relevant = match self.state {
            PickFirstState::NoAddresses => true,
            // The error may be the cause: the failing addresses may be outdated.
            PickFirstState::Connecting { .. } => {
                self.published == Some(ConnectivityState::TransientFailure)
            }
            PickFirstState::Idle { .. } | PickFirstState::Connected(_) => false,
        };
        if is_relevant {
            self.fail_to_connect(error, control);
        }
    }

    fn subconn_state(
        &mut self,
        id: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        match &mut self.state {
            PickFirstState::Connected(own) if own.subconn.id() == id => match state {
                SubConnState::Ready(health) => {
                    let subconn = own.subconn.clone();
                    self.publish_connected(subconn, health, control);
                }
                _ => {
                    let last = own.clone();
                    self.go_idle(last, control);
                }
            },
            PickFirstState::Connecting { attempts, subconns } => {
                let Some((index, own)) = position(subconns, id) else {
                    return;
                };
                match state {
                    SubConnState::Ready(health) => {
                        let own = own.clone();
                        let subconn = own.subconn.clone();
                        // This drops the other subchannels.
                        self.state = PickFirstState::Connected(own);
                        self.publish_connected(subconn, health, control);
                    }
                    SubConnState::Connecting => attempts.connecting(index),
                    SubConnState::TransientFailure(status) => {
                        let step = attempts.failed(index, status.clone(), control.now());
                        if step.failure.is_some() {
                            control.resolve_now();
                        }
                        self.apply(step, control);
                    }
                    // The connection was lost before it was reported as READY.
                    SubConnState::Idle if attempts.is_connecting(index) => {
                        let last = own.clone();
                        self.go_idle(last, control);
                    }
                    SubConnState::Idle => {
                        let step = attempts.idle(index);
                        self.apply(step, control);
                    }
                }
            }
            _ => {}
        }
    }

    fn exit_idle(&mut self, control: &mut dyn ChannelControl) {
        self.leave_idle(control);
    }

    fn wake_at(&self) -> Option<Instant> {
        match &self.state {
            PickFirstState::Connecting { attempts, .. } => attempts.wake_at(),
            _ => None,
        }
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        match &mut self.state {
            PickFirstState::Idle { picker, .. } if picker.was_picked() => self.leave_idle(control),
            PickFirstState::Connecting { attempts, .. } => {
                let step = attempts.wake(control.now());
                self.apply(step, control);
            }
            _ => {}
        }
    }
}

/// The index and the subchannel with this id.
fn position(subconns: &[Option<OwnSubConn>], id: SubConnId) -> Option<(usize, &OwnSubConn)> {
    subconns.iter().enumerate().find_map(|(index, own)| {
        let own = own.as_ref()?;
        (own.subconn.id() == id).then_some((index, own))
    })
}
