//! A channel for the tests of policies.
//!
//! Called by the unit tests of this crate and by those of users' policies.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{
    BalancerOptions, BalancerWaker, ChannelControl, PickInfo, PickResult, Picker, QueuingPicker,
    SubConn, SubConnId, SubConnOptions, SubConnRequest, WeakSubConn,
};
use crate::connectivity_state::ConnectivityState;
use crate::io::Address;
use crate::lock::lock;
use crate::metadata::Metadata;
use crate::resolver::{ChannelInfo, Target};

/// A channel without connections, for the tests of policies: it records the policy's requests, and
/// the test sets its clock.
///
/// A test calls the policy's methods as a channel does, and checks the results.
///
/// ```
/// use std::time::Duration;
/// use rgrpc::ConnectivityState;
/// use rgrpc::balancer::{ChannelControl, QueuingPicker, SubConnOptions, TestChannel};
/// use rgrpc::io::Address;
///
/// let mut channel = TestChannel::new();
/// let address = Address::Name("backend-1".to_owned());
/// let subconn = channel.create_subconn(address.clone(), SubConnOptions::default());
/// subconn.connect();
/// assert_eq!(channel.take_connects(), [(subconn.id(), address)]);
/// ```
pub struct TestChannel {
    now: Instant,
    random: fastrand::Rng,
    next_id: u64,
    /// The subchannels that were created and not dropped.
    subconns: Arc<Mutex<SubConns>>,
    state: Option<ConnectivityState>,
    picker: Arc<dyn Picker>,
    published: usize,
    resolves: usize,
    wakes: Arc<Mutex<usize>>,
    waker: BalancerWaker,
    options: BalancerOptions,
}

#[derive(Default)]
struct SubConns {
    open: BTreeMap<SubConnId, OpenSubConn>,
    connects: Vec<(SubConnId, Address)>,
}

struct OpenSubConn {
    address: Address,
    options: SubConnOptions,
    subconn: WeakSubConn,
}

/// The result of a pick, in a comparable form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestPick {
    /// The call uses the subchannel of this address.
    Address(Address),
    /// The call waits for the next picker.
    Queue,
    /// The call fails with this text, unless it waits for ready.
    Fail(String),
    /// The call fails with this text even if it waits for ready.
    Drop(String),
}

impl TestChannel {
    /// Creates a channel with the target `test:///backends`.
    #[must_use]
    pub fn new() -> Self {
        let target = Target::parse("test:///backends").unwrap_or_else(|_| unreachable!("a URI"));
        Self::with_options(BalancerOptions::new(ChannelInfo::new(target)))
    }

    /// Creates a channel with these options.
    #[must_use]
    pub fn with_options(options: BalancerOptions) -> Self {
        let wakes = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&wakes);
        Self {
            now: Instant::now(),
            random: fastrand::Rng::with_seed(7),
            next_id: 0,
            subconns: Arc::default(),
            state: None,
            picker: Arc::new(QueuingPicker),
            published: 0,
            resolves: 0,
            wakes,
            waker: BalancerWaker::new(move || *lock(&counter) += 1),
            options,
        }
    }

    /// Advances the time. The test has to call [`Balancer::wake`](super::Balancer) for the timers.
    pub fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    /// The subchannels that were created and not dropped, in the order of their creation.
    #[must_use]
    pub fn subconns(&self) -> Vec<(SubConnId, Address)> {
        let subconns = lock(&self.subconns);
        let open = subconns.open.iter();
        open.map(|(id, open)| (*id, open.address.clone())).collect()
    }

    /// The options of a subchannel. `None` if it was dropped.
    #[must_use]
    pub fn options(&self, subconn: SubConnId) -> Option<SubConnOptions> {
        let subconns = lock(&self.subconns);
        subconns.open.get(&subconn).map(|open| open.options.clone())
    }

    /// The latest subchannel for this address that was not dropped.
    #[must_use]
    pub fn subconn(&self, address: &Address) -> Option<SubConnId> {
        let mut subconns = self.subconns().into_iter().rev();
        subconns.find_map(|(id, to)| (to == *address).then_some(id))
    }

    /// The subchannels for which [`SubConn::connect`] was called since the last call of this
    /// method.
    pub fn take_connects(&mut self) -> Vec<(SubConnId, Address)> {
        let mut subconns = lock(&self.subconns);
        let connects = std::mem::take(&mut subconns.connects);
        let connecting: Vec<_> = connects
            .iter()
            .filter_map(|(id, _)| subconns.open.get(id))
            .map(|open| open.subconn.clone())
            .collect();
        // Dropping a subchannel takes the lock.
        drop(subconns);
        connecting.iter().for_each(WeakSubConn::begin_connect);
        connects
    }

    /// The state that was published last. `None` before the first.
    #[must_use]
    pub fn state(&self) -> Option<ConnectivityState> {
        self.state
    }

    /// The picker that was published last.
    #[must_use]
    pub fn picker(&self) -> &Arc<dyn Picker> {
        &self.picker
    }

    /// The number of times that a state was published.
    #[must_use]
    pub fn published(&self) -> usize {
        self.published
    }

    /// Picks for a call of `/test.Service/Method` without metadata. The call never ends.
    #[must_use]
    pub fn pick(&self) -> TestPick {
        let metadata = Metadata::new();
        let call = PickInfo::new("/test.Service/Method", &metadata);
        match self.picker.pick(&call) {
            PickResult::Pick(pick) => TestPick::Address(pick.subconn.address().clone()),
            PickResult::Queue => TestPick::Queue,
            PickResult::Fail(status) => TestPick::Fail(status.message().to_owned()),
            PickResult::Drop(status) => TestPick::Drop(status.message().to_owned()),
        }
    }

    /// The number of requests to the resolver to resolve again.
    #[must_use]
    pub fn resolves(&self) -> usize {
        self.resolves
    }

    /// Returns true if a wake was requested since the last call of this method.
    pub fn take_wake(&mut self) -> bool {
        self.waker.begin();
        std::mem::take(&mut *lock(&self.wakes)) > 0
    }
}

impl Default for TestChannel {
    fn default() -> Self {
        Self::new()
    }
}

impl ChannelControl for TestChannel {
    fn create_subconn(&mut self, address: Address, options: SubConnOptions) -> SubConn {
        let subconns = Arc::clone(&self.subconns);
        let owner = move |id, request| {
            let mut subconns = lock(&subconns);
            match request {
                SubConnRequest::Connect => {
                    if let Some(open) = subconns.open.get(&id) {
                        let address = open.address.clone();
                        subconns.connects.push((id, address));
                    }
                }
                SubConnRequest::ShutDown => {
                    subconns.open.remove(&id);
                }
            }
        };
        let subconn = SubConn::new(
            SubConnId::new(self.next_id),
            address.clone(),
            options.attributes.clone(),
            Arc::new(()),
            Arc::new(owner),
        );
        self.next_id += 1;
        let open = OpenSubConn {
            address,
            options,
            subconn: subconn.downgrade(),
        };
        lock(&self.subconns).open.insert(subconn.id(), open);
        subconn
    }

    fn update_state(&mut self, state: ConnectivityState, picker: Arc<dyn Picker>) {
        self.state = Some(state);
        self.picker = picker;
        self.published += 1;
    }

    fn resolve_now(&mut self) {
        self.resolves += 1;
    }

    fn waker(&self) -> BalancerWaker {
        self.waker.clone()
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn random(&mut self) -> f64 {
        self.random.f64()
    }

    fn build_options(&self) -> &BalancerOptions {
        &self.options
    }
}

impl fmt::Debug for TestChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestChannel")
            .field("state", &self.state)
            .field("subconns", &self.subconns())
            .finish_non_exhaustive()
    }
}
