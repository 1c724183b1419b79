//! The stats handler whose cost the bench measures, of servers and of channels.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rgrpc::stats::{CallBegin, CallEvent, CallStats, StatsHandler};

/// Counts calls. All of them share the recorder, so that a call allocates nothing for it.
#[derive(Debug, Default)]
pub struct CountingHandler(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    ended: AtomicU64,
}

impl StatsHandler for CountingHandler {
    fn begin_call(&self, _: &mut CallBegin<'_>) -> Option<Arc<dyn CallStats>> {
        Some(Arc::clone(&self.0) as Arc<dyn CallStats>)
    }
}

impl CallStats for Counts {
    fn event(&self, event: &CallEvent<'_>) {
        if let CallEvent::End(_) = event {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
    }
}
