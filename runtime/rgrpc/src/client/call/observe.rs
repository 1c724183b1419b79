//! Begins the observation of a call: by the message interceptors of its chain, and by the stats
//! handlers of its channel.
//!
//! Called when a call begins, behind the interceptors, on the caller's task.

use tokio::time::Instant;

use super::resolved_call::OptionsSlot;
use crate::call::{CallContext, CallObserver, Extensions, FinishHooks, MethodName};
use crate::client::ClientConn;
use crate::interceptor::CallKind;
use crate::side::Side;
use crate::stats::{CallBegin, CallRecorders};

impl ClientConn {
    /// Begins the observation of a call that has observers. `kind` is that of a call whose maker has
    /// not said it.
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
        static NONE: Extensions = Extensions::new();
        let options = slot.passed_mut();
        let kind = options.kind.unwrap_or(kind);
        let messages = options.take_message_interceptors();
        let stats = &self.settings().stats;
        let mut recorders = CallRecorders::default();
        let mut began = None;
        if let Some((handed, at)) = options.take_handed_recorders() {
            recorders = handed;
            began = at;
        } else if !stats.is_empty() {
            let now = Instant::now();
            let mut extensions = options.take_extensions();
            recorders = stats.begin_call(&mut CallBegin {
                side: Side::Client,
                method,
                is_registered: method.is_static(),
                descriptor: method.descriptor(),
                kind,
                metadata: options.metadata(),
                deadline: options.deadline(),
                began: now,
                peer: None,
                connection: &NONE,
                target: Some(self.canonical_target()),
                parent: options.parent().map(CallContext::extensions),
                extensions: &mut extensions,
            });
            if !extensions.is_empty() {
                *options.extensions_mut() = extensions;
            }
            began = (!recorders.is_empty()).then_some(now);
        }
        if messages.is_some() || began.is_some() {
            hooks.observe(CallObserver::new(kind, messages, recorders, began));
        }
    }
}
