//! The stats handlers of a channel or a server, and the recorders of its calls and connections.
//!
//! Called by both sides, on the tasks of calls and connections, without a lock. A panic of a
//! handler is caught here.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::{
    AttemptBegin, CallBegin, CallEvent, CallStats, ConnectionBegin, ConnectionEnd, ConnectionStats,
    StatsHandler,
};
use crate::disconnect_reason::DisconnectReason;
use crate::extensions::Extensions;
use crate::interceptor::MessageView;
use crate::task::caught;

/// The name of stats handlers in the log of their panics.
const STATS_HANDLER: &str = "a stats handler";

/// The stats handlers of a server or a channel, in the order of registration.
#[derive(Clone, Default)]
pub(crate) struct StatsHandlers(Vec<Arc<dyn StatsHandler>>);

impl StatsHandlers {
    pub(crate) fn push(&mut self, handler: impl StatsHandler) {
        self.0.push(Arc::new(handler));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins a call with all handlers.
    pub(crate) fn begin_call(&self, begin: &mut CallBegin<'_>) -> CallRecorders {
        let mut recorders = CallRecorders::default();
        for handler in &self.0 {
            if let Ok(Some(recorder)) = caught(STATS_HANDLER, || handler.begin_call(begin)) {
                recorders.push(recorder);
            }
        }
        recorders
    }

    /// Begins a connection with all handlers. `None` if none records it.
    pub(crate) fn begin_connection(
        &self,
        begin: &mut ConnectionBegin<'_>,
    ) -> Option<ConnectionRecorders> {
        let begun = self.0.iter().filter_map(|handler| {
            caught(STATS_HANDLER, || handler.begin_connection(begin)).unwrap_or_default()
        });
        let recorders: Vec<_> = begun.collect();
        (!recorders.is_empty()).then(|| ConnectionRecorders {
            recorders,
            extensions: begin.extensions.clone(),
            reason: OnceLock::new(),
        })
    }
}

impl fmt::Debug for StatsHandlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StatsHandlers").field(&self.0.len()).finish()
    }
}

/// The recorders of one call.
#[derive(Default)]
pub(crate) struct CallRecorders {
    /// Separate from the others, because most programs have one handler.
    first: Option<Arc<dyn CallStats>>,
    #[expect(clippy::box_collection, reason = "calls with one recorder stay small")]
    others: Option<Box<Vec<Arc<dyn CallStats>>>>,
    want_messages: bool,
}

impl CallRecorders {
    fn push(&mut self, recorder: Arc<dyn CallStats>) {
        self.want_messages |= recorder.wants_messages();
        match &self.first {
            None => self.first = Some(recorder),
            Some(_) => self.others.get_or_insert_default().push(recorder),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Returns whether a recorder wants the messages of payload events.
    pub(crate) fn want_messages(&self) -> bool {
        self.want_messages
    }

    /// Records an event.
    #[inline]
    pub(crate) fn record(&self, event: &CallEvent<'_>) {
        if let Some(first) = &self.first {
            tell(&**first, event);
            if let Some(others) = &self.others {
                others.iter().for_each(|other| tell(&**other, event));
            }
        }
    }

    /// Records events that happen at one moment.
    pub(crate) fn record_all(&self, events: &[CallEvent<'_>]) {
        if let Some(first) = &self.first {
            tell_all(&**first, events);
            if let Some(others) = &self.others {
                others.iter().for_each(|other| tell_all(&**other, events));
            }
        }
    }

    /// The view of a message for payload events.
    pub(crate) fn payload<'a>(&self, message: MessageView<'a>) -> MessageView<'a> {
        if self.want_messages {
            message
        } else {
            MessageView::new(None, message.encoded_len(), message.compressed_len())
        }
    }
}

/// Passes an event to a recorder. A panic is logged.
fn tell(recorder: &dyn CallStats, event: &CallEvent<'_>) {
    let _ = caught(STATS_HANDLER, || recorder.event(event));
}

/// Passes these events to a recorder, under one guard against panics. After a panic, which is
/// logged, the rest follow.
fn tell_all(recorder: &dyn CallStats, events: &[CallEvent<'_>]) {
    let mut events = events.iter();
    while !events.as_slice().is_empty() {
        let rest = || events.by_ref().for_each(|event| recorder.event(event));
        let _ = caught(STATS_HANDLER, rest);
    }
}

/// The recorders of one attempt at a call, in the order of the call's; most handlers have none of
/// their own.
#[derive(Default)]
pub(crate) struct AttemptRecorders {
    first: Option<Arc<dyn CallStats>>,
    others: Vec<Option<Arc<dyn CallStats>>>,
}

impl CallRecorders {
    /// Begins an attempt with all recorders. `None` if it has none of its own.
    pub(crate) fn begin_attempt(&self, begin: &mut AttemptBegin<'_>) -> Option<AttemptRecorders> {
        let first = begin_attempt_with(&**self.first.as_ref()?, begin);
        let Some(others) = &self.others else {
            let others = Vec::new();
            return first.map(|first| AttemptRecorders {
                first: Some(first),
                others,
            });
        };
        let others: Vec<_> = others
            .iter()
            .map(|recorder| begin_attempt_with(&**recorder, begin))
            .collect();
        if first.is_none() && others.iter().all(Option::is_none) {
            return None;
        }
        Some(AttemptRecorders { first, others })
    }

    /// Records an event of an attempt: with the attempt's recorders, or with the call's where it
    /// has none.
    pub(crate) fn record_of_attempt(&self, attempt: &AttemptRecorders, event: &CallEvent<'_>) {
        if let Some(of_call) = &self.first {
            tell(&**attempt.first.as_ref().unwrap_or(of_call), event);
        }
        if let Some(others) = &self.others {
            for (index, of_call) in others.iter().enumerate() {
                let own = attempt.others.get(index).and_then(Option::as_ref);
                tell(&**own.unwrap_or(of_call), event);
            }
        }
    }
}

#[inline]
fn begin_attempt_with(
    recorder: &dyn CallStats,
    begin: &mut AttemptBegin<'_>,
) -> Option<Arc<dyn CallStats>> {
    caught(STATS_HANDLER, || recorder.begin_attempt(begin)).unwrap_or_default()
}

impl AttemptRecorders {
    /// Records an event that the call's recorders have for themselves.
    pub(crate) fn record(&self, event: &CallEvent<'_>) {
        for recorder in self.first.iter().chain(self.others.iter().flatten()) {
            tell(&**recorder, event);
        }
    }
}

/// The part of a call's state that its stats handlers and the head hook set at its begin. It does
/// not change afterwards.
#[derive(Default)]
pub(crate) struct CallScope {
    pub(crate) extensions: Extensions,
    pub(crate) recorders: CallRecorders,
}

/// The recorders of one connection. Dropping this reports the end of the connection to them.
pub(crate) struct ConnectionRecorders {
    recorders: Vec<Arc<dyn ConnectionStats>>,
    /// The typed values of the connection, for its end.
    extensions: Extensions,
    /// Set when the connection has ended; its calls may go on for a moment.
    reason: OnceLock<DisconnectReason>,
}

impl ConnectionRecorders {
    /// Sets the reason of the end. The first one stays.
    pub(crate) fn set_reason(&self, reason: DisconnectReason) {
        let _ = self.reason.set(reason);
    }
}

impl Drop for ConnectionRecorders {
    fn drop(&mut self) {
        // A connection whose task was never polled has set none.
        let reason = self.reason.take();
        let reason = &reason.unwrap_or(DisconnectReason::RuntimeShutDown);
        let extensions = &self.extensions;
        for recorder in &self.recorders {
            let end = ConnectionEnd { reason, extensions };
            let _ = caught(STATS_HANDLER, || recorder.end(&end));
        }
    }
}
