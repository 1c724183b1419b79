//! The begin of a call's observation by the message interceptors of its chain and the stats
//! handlers of its channel.
//!
//! Called by unary and streaming calls, behind the interceptors, on the caller's task.

use tokio::time::Instant;

use super::resolved_call::OptionsSlot;
use crate::call::{CallContext, CallObserver, CallOptions, Extensions, FinishHooks, MethodName};
use crate::client::ClientConn;
use crate::interceptor::CallKind;
use crate::side::Side;
use crate::stats::{CallBegin, CallRecorders};

impl ClientConn {
    /// Begins the observation of a call that has observers. `kind` is the call's if its options
    /// have none.
    #[inline]
    pub(super) fn observe(
        &self,
        method: &MethodName,
        kind: CallKind,
        slot: &mut OptionsSlot,
        hooks: &mut FinishHooks,
    ) {
        if !self.settings().stats.is_empty() || slot.passed().has_message_interceptors() {
            self.begin_observation(method, kind, slot, hooks);
        }
    }

    fn begin_observation(
        &self,
        method: &MethodName,
        kind: CallKind,
        slot: &mut OptionsSlot,
        hooks: &mut FinishHooks,
    ) {
        let options = slot.passed_mut();
        let kind = options.kind.unwrap_or(kind);
        let messages = options.take_message_interceptors();
        let (recorders, began) = match options.take_handed_recorders() {
            Some(handed) => handed,
            None => self.begin_recording(method, kind, options),
        };
        if messages.is_some() || began.is_some() {
            hooks.observe(CallObserver::new(kind, messages, recorders, began));
        }
    }

    /// Begins a call with the stats handlers: its recorders, and the time of the begin if there are
    /// any.
    #[inline]
    fn begin_recording(
        &self,
        method: &MethodName,
        kind: CallKind,
        options: &mut CallOptions,
    ) -> (CallRecorders, Option<Instant>) {
        static NONE: Extensions = Extensions::new();
        let stats = &self.settings().stats;
        if stats.is_empty() {
            return (CallRecorders::default(), None);
        }
        let now = Instant::now();
        let mut added = Extensions::new();
        let recorders = stats.begin_call(&mut CallBegin {
            side: Side::Client,
            method,
            is_registered: method.is_static(),
            descriptor: method.descriptor(),
            kind,
            metadata: &options.metadata,
            deadline: options.deadline,
            began: now,
            peer: None,
            connection: &NONE,
            target: Some(self.canonical_target()),
            parent: options.parent.as_ref().map(CallContext::extensions),
            // Options that have none yet need no space for them until a handler adds one.
            extensions: match &mut options.extra {
                Some(extra) => &mut extra.extensions,
                None => &mut added,
            },
        });
        if !added.is_empty() {
            *options.extensions_mut() = added;
        }
        let began = (!recorders.is_empty()).then_some(now);
        (recorders, began)
    }
}
