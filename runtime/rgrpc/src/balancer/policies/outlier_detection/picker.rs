//! The picker that counts the outcomes of calls.
//!
//! Created on the channel's task; calls pick with it on their own tasks.

use std::collections::HashMap;
use std::sync::Arc;

use super::call_counter::CallCounter;
use crate::balancer::{PickInfo, PickResult, Picker};
use crate::io::Address;

/// Picks with the child's picker, and counts the outcomes of the calls.
pub(super) struct CountingPicker {
    child: Arc<dyn Picker>,
    counters: Arc<HashMap<Address, Arc<CallCounter>>>,
}

impl CountingPicker {
    pub(super) fn new(
        child: Arc<dyn Picker>,
        counters: Arc<HashMap<Address, Arc<CallCounter>>>,
    ) -> Self {
        Self { child, counters }
    }
}

impl Picker for CountingPicker {
    fn pick(&self, call: &PickInfo<'_>) -> PickResult<'_> {
        match self.child.pick(call) {
            PickResult::Pick(pick) => {
                PickResult::Pick(match self.counters.get(pick.subconn.address()) {
                    Some(counter) => {
                        let counter = Arc::clone(counter);
                        pick.on_done(move |outcome| counter.count(outcome.failure.is_none()))
                    }
                    None => pick,
                })
            }
            other => other,
        }
    }
}
