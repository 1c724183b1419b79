use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use tokio::time::Instant;

use super::PickFirstConfig;
use super::address_list::address_list;
use super::attempts::{AttemptState, Attempts, Step};
use super::picker::ConnectedPicker;
use crate::balancer::{
    Balancer, BalancerUpdate, ChannelControl, FailingPicker, Health, IdlePicker, Picker,
    QueuingPicker, SubConn, SubConnId, SubConnOptions, SubConnState,
};
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;
use crate::status::Status;

/// The policy `pick_first`: connects to the first address that it can, and sends all calls there.
///
/// - **Connecting.** The addresses are tried in their order, IPv4 and IPv6 in turn; the next one
///   when the present one has failed, and beside it after 250 ms. The first that is ready is
///   chosen, and the others are given up.
/// - **When all have failed** it is in TRANSIENT_FAILURE until one is ready, also when there are
///   other addresses meanwhile. Each address is tried again when its backoff is over. The resolver
///   is asked to look again each time that about all have failed.
/// - **When the connection is lost** it is IDLE until there is a call, and begins at the first
///   address then.
/// - **When there are new endpoints** the connection is kept if its address is still one of theirs;
///   else they are tried from the first on.
///
/// Its config is [`PickFirstConfig`].
///
/// Source: gRFCs A61, A62 and A113; grpc-go's package `pickfirst`.
#[derive(Debug)]
pub struct PickFirst {
    regards_health: bool,
    /// What can be connected to, in the order of the attempts.
    addresses: Vec<Address>,
    phase: Phase,
    /// What was published last.
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
/// From each of them to NoAddresses, when there are none any more.
#[derive(Debug)]
enum Phase {
    /// There were none so far, or there are none now.
    NoAddresses,
    Idle {
        /// The one that was published, which knows whether there was a call.
        picker: Arc<IdlePicker>,
        /// The one whose connection was lost: its backoff holds for the next.
        last: SubConn,
    },
    /// Also in TRANSIENT_FAILURE.
    Connecting {
        attempts: Attempts,
        /// For each address, from its first attempt on.
        subconns: Vec<Option<SubConn>>,
    },
    Connected(SubConn),
}

/// The connections to addresses that were there before, and what they are doing.
type Kept = HashMap<Address, (SubConn, AttemptState)>;

impl PickFirst {
    /// The policy as one that stands alone: a connection that is there is used, whatever it says of
    /// its health.
    #[must_use]
    pub fn new() -> Self {
        Self::with_health(false)
    }

    /// The policy as a leaf under one that wants healthy connections, such as `round_robin`. It
    /// [asks for](SubConnOptions::health_check) the [`Health`] of the connection that is there, and
    /// goes by it: not known yet is CONNECTING, not serving is TRANSIENT_FAILURE with the status
    /// that says why. It keeps the connection in any case.
    ///
    /// Source: gRFC A61, "Generic Health Reporting Mechanism".
    #[must_use]
    pub fn leaf() -> Self {
        Self::with_health(true)
    }

    fn with_health(regards_health: bool) -> Self {
        Self {
            regards_health,
            addresses: Vec::new(),
            phase: Phase::NoAddresses,
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

    /// Calls are told that nothing can be connected to, because of this. Returns what they are
    /// told.
    fn fail_to_connect(&mut self, problem: &Status, control: &mut dyn ChannelControl) -> Status {
        let text = format!(
            "cannot connect to {}: {}",
            control.target(),
            problem.message()
        );
        let status = problem.retold(text);
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

    /// Says that it is connecting, unless that is known.
    fn publish_connecting(&mut self, control: &mut dyn ChannelControl) {
        if self.published != Some(ConnectivityState::Connecting) {
            self.publish(
                ConnectivityState::Connecting,
                Arc::new(QueuingPicker),
                control,
            );
        }
    }

    /// Says what calls are to do with the connection that is there.
    fn publish_connected(
        &mut self,
        subconn: SubConn,
        health: &Health,
        control: &mut dyn ChannelControl,
    ) {
        match health {
            Health::NotServing(status) if self.regards_health => self.fail(status.clone(), control),
            Health::Unknown if self.regards_health => self.publish_connecting(control),
            _ if self.published == Some(ConnectivityState::Ready) => {}
            _ => self.publish(
                ConnectivityState::Ready,
                Arc::new(ConnectedPicker(subconn)),
                control,
            ),
        }
    }

    /// Connects, if it is idle.
    fn leave_idle(&mut self, control: &mut dyn ChannelControl) {
        let Phase::Idle { last, .. } = &self.phase else {
            return;
        };
        let kept = Kept::from([(last.address().clone(), (last.clone(), AttemptState::Idle))]);
        self.publish_connecting(control);
        self.connect(kept, control);
    }

    /// The connection is lost: another one is made when there is a call for it.
    fn go_idle(&mut self, last: SubConn, control: &mut dyn ChannelControl) {
        let picker = Arc::new(IdlePicker::new(control.waker()));
        self.phase = Phase::Idle {
            picker: Arc::clone(&picker),
            last,
        };
        control.resolve_now();
        self.publish(ConnectivityState::Idle, picker, control);
    }

    /// Goes through the addresses.
    fn connect(&mut self, mut kept: Kept, control: &mut dyn ChannelControl) {
        let (subconns, states): (Vec<_>, Vec<_>) = self
            .addresses
            .iter()
            .map(|address| match kept.remove(address) {
                Some((subconn, state)) => (Some(subconn), state),
                None => (None, AttemptState::Idle),
            })
            .unzip();
        let (attempts, step) = Attempts::begin(states, control.now());
        self.phase = Phase::Connecting { attempts, subconns };
        self.carry_out(step, control);
    }

    fn carry_out(&mut self, step: Step, control: &mut dyn ChannelControl) {
        if let Phase::Connecting { subconns, .. } = &mut self.phase {
            for index in step.connect {
                let subconn = subconns[index].get_or_insert_with(|| {
                    let address = self.addresses[index].clone();
                    let options = SubConnOptions {
                        health_check: self.regards_health,
                        ..SubConnOptions::default()
                    };
                    control.create_subconn(address, options)
                });
                subconn.connect();
            }
        }
        if let Some(failure) = step.failure {
            let mut problem = failure.clone();
            if self.addresses.len() > 1 {
                let count = self.addresses.len();
                problem =
                    failure.retold(format!("{}; last of {count} addresses", failure.message()));
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
            self.phase = Phase::NoAddresses;
            let problem = Status::unavailable("the resolver has found no addresses");
            return Err(self.fail_to_connect(&problem, control));
        }
        match &self.phase {
            Phase::Idle { .. } => return Ok(()),
            Phase::Connected(subconn) if self.addresses.contains(subconn.address()) => {
                return Ok(());
            }
            // Beginning anew each time would put the later addresses off for as long as the
            // resolver repeats itself.
            Phase::Connecting { .. } if is_same => return Ok(()),
            // In TRANSIENT_FAILURE, which is left by being connected only (gRFC A62).
            Phase::Connecting { .. } => {}
            Phase::NoAddresses | Phase::Connected(_) => self.publish_connecting(control),
        }
        let kept = match mem::replace(&mut self.phase, Phase::NoAddresses) {
            Phase::Connecting { attempts, subconns } => subconns
                .into_iter()
                .zip(attempts.into_states())
                .filter_map(|(subconn, state)| {
                    let subconn = subconn?;
                    Some((subconn.address().clone(), (subconn, state)))
                })
                .collect(),
            _ => Kept::new(),
        };
        self.connect(kept, control);
        Ok(())
    }

    fn resolver_error(&mut self, error: &Status, control: &mut dyn ChannelControl) {
        let is_of_use = match self.phase {
            Phase::NoAddresses => true,
            // It may be the reason: the addresses that fail are old ones.
            Phase::Connecting { .. } => self.published == Some(ConnectivityState::TransientFailure),
            Phase::Idle { .. } | Phase::Connected(_) => false,
        };
        if is_of_use {
            self.fail_to_connect(error, control);
        }
    }

    fn subconn_state(
        &mut self,
        id: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        match &mut self.phase {
            Phase::Connected(subconn) if subconn.id() == id => match state {
                SubConnState::Ready(health) => {
                    let subconn = subconn.clone();
                    self.publish_connected(subconn, health, control);
                }
                _ => {
                    let last = subconn.clone();
                    self.go_idle(last, control);
                }
            },
            Phase::Connecting { attempts, subconns } => {
                let Some((index, subconn)) = position(subconns, id) else {
                    return;
                };
                match state {
                    SubConnState::Ready(health) => {
                        let subconn = subconn.clone();
                        // Drops the others.
                        self.phase = Phase::Connected(subconn.clone());
                        self.publish_connected(subconn, health, control);
                    }
                    SubConnState::Connecting => attempts.connecting(index),
                    SubConnState::TransientFailure(status) => {
                        let step = attempts.failed(index, status.clone(), control.now());
                        if step.failure.is_some() {
                            control.resolve_now();
                        }
                        self.carry_out(step, control);
                    }
                    // It was lost before it was known to be ready.
                    SubConnState::Idle if attempts.is_connecting(index) => {
                        let last = subconn.clone();
                        self.go_idle(last, control);
                    }
                    SubConnState::Idle => {
                        let step = attempts.idle(index);
                        self.carry_out(step, control);
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
        match &self.phase {
            Phase::Connecting { attempts, .. } => attempts.wake_at(),
            _ => None,
        }
    }

    fn wake(&mut self, control: &mut dyn ChannelControl) {
        match &mut self.phase {
            Phase::Idle { picker, .. } if picker.was_picked() => self.leave_idle(control),
            Phase::Connecting { attempts, .. } => {
                let step = attempts.wake(control.now());
                self.carry_out(step, control);
            }
            _ => {}
        }
    }
}

/// Which of these it is.
fn position(subconns: &[Option<SubConn>], id: SubConnId) -> Option<(usize, &SubConn)> {
    subconns.iter().enumerate().find_map(|(index, subconn)| {
        let subconn = subconn.as_ref()?;
        (subconn.id() == id).then_some((index, subconn))
    })
}
