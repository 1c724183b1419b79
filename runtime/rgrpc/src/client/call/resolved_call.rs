//! The options of a call in force: the user's, the method's config and the channel's defaults.
//!
//! Resolved once, when a call begins, on the caller's task; read by the call and its attempts.

use std::sync::Arc;

use tokio::time::Instant;

use crate::call::{
    CallContext, CallOptions, CancelHandle, DEFAULT_MAX_RETRY_BUFFER, Exchange, ExtraOptions,
    FinishHooks, InterceptorList, SelectedCall,
};
use crate::client::conn::CallEncoding;
use crate::codec::{Compressor, DEFAULT_MAX_RECEIVE, DEFAULT_MAX_SEND, MessageLimit};
use crate::credentials::PerRpcCredentials;
use crate::extensions::Extensions;
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::service_config::MethodConfig;
use crate::side::Side;
use crate::transport::CommonHeaders;

/// The options of a call in force. Immutable.
pub(super) struct ResolvedCall {
    metadata: Metadata,
    deadline: Option<Instant>,
    wait_for_ready: bool,
    max_receive_message_size: usize,
    max_send_message_size: usize,
    parent: Option<CallContext>,
    /// `None`: as the channel's calls are.
    encoding: Option<CallEncoding>,
    extra: Option<Box<ExtraOptions>>,
}

impl ResolvedCall {
    /// Resolves a call's options, which are complete but for the method's config.
    ///
    /// The earlier deadline and the smaller limits hold; the call's own `wait_for_ready` goes
    /// before the config's.
    pub(super) fn new(
        options: CallOptions,
        encoding: Option<CallEncoding>,
        config: Option<&MethodConfig>,
        now: impl FnOnce() -> Instant,
    ) -> Self {
        let CallOptions {
            metadata,
            deadline,
            wait_for_ready,
            max_receive_message_size,
            max_send_message_size,
            parent,
            invalid: _,
            kind: _,
            extra,
        } = options;
        let timeout = config.and_then(|config| config.timeout);
        // A time too far away to be expressed is no deadline.
        let of_method = timeout.and_then(|timeout| now().checked_add(timeout));
        let wait_of_method = config.and_then(|config| config.wait_for_ready);
        let receive_of_method = config.and_then(|config| config.max_response_message_bytes);
        let send_of_method = config.and_then(|config| config.max_request_message_bytes);
        Self {
            metadata,
            deadline: smaller(deadline, of_method),
            wait_for_ready: wait_for_ready.or(wait_of_method).unwrap_or(false),
            max_receive_message_size: smaller(max_receive_message_size, receive_of_method)
                .unwrap_or(DEFAULT_MAX_RECEIVE),
            max_send_message_size: smaller(max_send_message_size, send_of_method)
                .unwrap_or(DEFAULT_MAX_SEND),
            parent,
            encoding,
            extra,
        }
    }

    pub(super) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The call's extensions, with those of the config selector.
    pub(super) fn extensions(&self) -> &Extensions {
        static NONE: Extensions = Extensions::new();
        self.extra.as_ref().map_or(&NONE, |extra| &extra.extensions)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn wait_for_ready(&self) -> bool {
        self.wait_for_ready
    }

    pub(super) fn receive_limit(&self) -> MessageLimit {
        MessageLimit::new(Side::Client, self.max_receive_message_size)
    }

    pub(super) fn send_limit(&self) -> MessageLimit {
        MessageLimit::new(Side::Client, self.max_send_message_size)
    }

    /// The call on whose behalf this one is made.
    pub(super) fn parent(&self) -> Option<&CallContext> {
        self.parent.as_ref()
    }

    pub(super) fn cancel_handle(&self) -> Option<&CancelHandle> {
        self.extra.as_ref()?.cancel_handle.as_ref()
    }

    /// The selection of the channel's config selector, if it has one.
    pub(super) fn selected(&self) -> Option<&Arc<SelectedCall>> {
        self.extra.as_ref()?.selected.as_ref()
    }

    /// The call is committed to an attempt, or decided without one. Idempotent; at the latest when
    /// the call is dropped.
    pub(super) fn commit(&self) {
        if let Some(selected) = self.selected() {
            selected.commit();
        }
    }

    /// The call's own authority.
    pub(super) fn authority(&self) -> Option<&str> {
        self.extra.as_ref()?.authority.as_deref()
    }

    /// The call's own credentials, after those of the channel's default options.
    pub(super) fn credentials(&self) -> &[Arc<dyn PerRpcCredentials>] {
        let extra = self.extra.as_ref();
        extra.map_or(&[], |extra| &*extra.credentials.0)
    }

    /// The header fields that the request shares with others, if they are not the channel's.
    pub(super) fn headers(&self) -> Option<&Arc<CommonHeaders>> {
        self.encoding.as_ref().map(|encoding| &encoding.headers)
    }

    /// The compressor of the request's messages.
    pub(super) fn send_compressor(&self) -> Option<&Arc<dyn Compressor>> {
        self.encoding.as_ref()?.compressor.as_ref()
    }

    /// The encodings that the response may have; `None`: all of the channel's compressors.
    pub(super) fn accept_compressors(&self) -> Option<&Arc<[String]>> {
        self.extra.as_ref()?.accept_compressors.as_ref()
    }

    /// The number of bytes that a streaming call keeps for further attempts.
    pub(super) fn max_retry_buffer_size(&self) -> usize {
        let extra = self.extra.as_ref();
        extra
            .and_then(|extra| extra.max_retry_buffer_size)
            .unwrap_or(DEFAULT_MAX_RETRY_BUFFER)
    }

    /// The response info of an attempt that begins on the connection to this peer, if the user has
    /// asked for it.
    #[inline]
    pub(super) fn begin_exchange(&self, peer: &Arc<Peer>) -> Option<Arc<Exchange>> {
        let extra = self.extra.as_ref()?;
        if extra.response_info.is_empty() {
            return None;
        }
        let exchange = Exchange::new(peer);
        self.show(Some(&exchange));
        Some(exchange)
    }

    /// Shows the user the response info of this attempt.
    pub(super) fn show(&self, exchange: Option<&Arc<Exchange>>) {
        if let (Some(exchange), Some(extra)) = (exchange, &self.extra) {
            for info in &extra.response_info {
                info.show(exchange);
            }
        }
    }
}

impl Drop for ResolvedCall {
    fn drop(&mut self) {
        self.commit();
    }
}

/// The smaller of two optional bounds.
fn smaller<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The options of a call: as its user has passed them, then resolved.
///
/// One place for both, because a future keeps the space of each of its variables.
pub(super) struct OptionsSlot(Options);

enum Options {
    Passed(CallOptions),
    Resolved(ResolvedCall),
    /// For the moment in which they are resolved.
    Taken,
}

const RESOLVED_LAST: &str = "options are resolved once, last";

impl OptionsSlot {
    /// Creates the slot of a call whose user has passed these options.
    pub(super) fn new(options: CallOptions) -> Self {
        Self(Options::Passed(options))
    }

    /// Completes the options by the channel's defaults; returns the hooks for the end of the call.
    pub(super) fn complete(&mut self, defaults: Option<&CallOptions>) -> FinishHooks {
        if let Some(defaults) = defaults {
            self.0 = Options::Passed(self.take().with_defaults(defaults));
        }
        match &mut self.0 {
            Options::Passed(options) => FinishHooks::new(options.take_finish_hooks()),
            Options::Resolved(_) | Options::Taken => unreachable!("{RESOLVED_LAST}"),
        }
    }

    /// Resolves the options.
    pub(super) fn resolve(
        &mut self,
        encoding: Option<CallEncoding>,
        config: Option<&MethodConfig>,
    ) {
        let call = ResolvedCall::new(self.take(), encoding, config, Instant::now);
        self.0 = Options::Resolved(call);
    }

    /// The options as the user has passed them.
    pub(super) fn passed(&self) -> &CallOptions {
        match &self.0 {
            Options::Passed(options) => options,
            Options::Resolved(_) | Options::Taken => unreachable!("{RESOLVED_LAST}"),
        }
    }

    /// As [`passed`](Self::passed), to be changed.
    pub(super) fn passed_mut(&mut self) -> &mut CallOptions {
        match &mut self.0 {
            Options::Passed(options) => options,
            Options::Resolved(_) | Options::Taken => unreachable!("{RESOLVED_LAST}"),
        }
    }

    /// As [`passed`](Self::passed).
    pub(super) fn into_passed(mut self) -> CallOptions {
        self.take()
    }

    #[inline]
    fn take(&mut self) -> CallOptions {
        match std::mem::replace(&mut self.0, Options::Taken) {
            Options::Passed(options) => options,
            Options::Resolved(_) | Options::Taken => unreachable!("{RESOLVED_LAST}"),
        }
    }

    /// The options in force, once they are resolved.
    pub(super) fn resolved(&self) -> &ResolvedCall {
        match &self.0 {
            Options::Resolved(call) => call,
            Options::Passed(_) | Options::Taken => {
                unreachable!("a call that has begun has resolved options")
            }
        }
    }

    /// Returns whether the call has filters, which run before its options are resolved.
    pub(super) fn has_filters(&self) -> bool {
        matches!(self.0, Options::Passed(_))
    }

    /// The filters of a call that has begun, with the options that they see; or the options in force,
    /// if it has none.
    pub(super) fn into_filtered(self) -> Result<(InterceptorList, CallOptions), ResolvedCall> {
        match self.0 {
            Options::Resolved(call) => Err(call),
            Options::Passed(mut options) => {
                let filters = options.take_filters().unwrap_or_default();
                Ok((filters, options))
            }
            Options::Taken => unreachable!("a call that has begun has options"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::scheduler::{AttemptDecision, AttemptFailure, AttemptScheduler};
    use super::*;
    use crate::client::config::{CallConfig, Retries};
    use crate::service_config::ServiceConfig;
    use crate::status::Status;

    const METHOD: &str = "/a.B/C";
    const MIB: usize = 1024 * 1024;

    fn config(fields: &str, retries: Retries) -> CallConfig {
        let json = format!(r#"{{"methodConfig": [{{"name": [{{"service": "a.B"}}], {fields}}}]}}"#);
        CallConfig::new(ServiceConfig::parse(&json).expect("valid"), retries)
    }

    /// A call of this method with these options and this config of its service.
    fn resolved_for(method: &str, fields: &str, options: CallOptions) -> ResolvedCall {
        let config = config(fields, Retries::Disabled);
        ResolvedCall::new(options, None, config.method(method), Instant::now)
    }

    fn resolved(fields: &str, options: CallOptions) -> ResolvedCall {
        resolved_for(METHOD, fields, options)
    }

    fn scheduler(fields: &str, retries: Retries) -> AttemptScheduler {
        let config = config(fields, retries);
        let attempts = config
            .method(METHOD)
            .and_then(|method| method.attempts.clone());
        AttemptScheduler::new(attempts, None, 0)
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_deadlines_holds() {
        for (own, expected) in [(None, 2), (Some(1), 1), (Some(3), 2)] {
            let mut options = CallOptions::new();
            if let Some(seconds) = own {
                options.timeout(Duration::from_secs(seconds));
            }
            let call = resolved(r#""timeout": "2s""#, options);
            let left = call.deadline().map(|at| at - Instant::now());
            assert_eq!(left, Some(Duration::from_secs(expected)), "{own:?}");
        }
    }

    #[test]
    fn a_call_waits_for_ready_as_it_says_itself_else_as_the_config_says() {
        for (own, config, expected) in [
            (None, true, true),
            (None, false, false),
            (Some(true), false, true),
            (Some(false), true, false),
        ] {
            let mut options = CallOptions::new();
            if let Some(wait) = own {
                options.set_wait_for_ready(wait);
            }
            let call = resolved(&format!(r#""waitForReady": {config}"#), options);
            assert_eq!(call.wait_for_ready(), expected, "{own:?} {config}");
        }
    }

    #[test]
    fn the_smaller_of_two_limits_holds_and_either_replaces_the_default() {
        for (own, config, expected) in [
            (None, 5 * MIB, 5 * MIB),
            (None, 1, 1),
            (Some(2), 1, 1),
            (Some(1), 2, 1),
        ] {
            let mut options = CallOptions::new();
            if let Some(bytes) = own {
                options.set_max_receive_message_size(bytes);
                options.set_max_send_message_size(bytes);
            }
            let fields = format!(
                r#""maxRequestMessageBytes": {config}, "maxResponseMessageBytes": {config}"#
            );
            let call = resolved(&fields, options);
            assert_eq!(call.max_send_message_size, expected);
            assert_eq!(call.max_receive_message_size, expected);
        }
    }

    #[test]
    fn other_methods_keep_their_options() {
        let call = resolved_for("/a.X/C", r#""waitForReady": true"#, CallOptions::new());
        assert!(!call.wait_for_ready());
    }

    #[test]
    fn policies_are_cut_to_the_channels_maximum_or_dropped() {
        for (retries, attempts) in [
            (Retries::Disabled, 1),
            (Retries::AtMost(2), 2),
            (Retries::AtMost(5), 5),
            (Retries::AtMost(9), 7),
        ] {
            let mut scheduler = scheduler(
                r#""retryPolicy": {
                    "maxAttempts": 7, "initialBackoff": "1s", "maxBackoff": "1s",
                    "backoffMultiplier": 1, "retryableStatusCodes": [14]
                }"#,
                retries,
            );
            assert!(!scheduler.is_hedged());
            loop {
                scheduler.begin_next();
                let failure = AttemptFailure::passing_here(Status::unavailable(""));
                match scheduler.failed(failure, Instant::now, 0.5) {
                    AttemptDecision::RetryAfter(_) => {}
                    _ => break,
                }
            }
            assert_eq!(scheduler.begun(), attempts, "{retries:?}");
        }
    }

    #[test]
    fn hedging_is_cut_to_the_channels_maximum_or_dropped() {
        let now = Instant::now();
        for (retries, attempts) in [
            (Retries::Disabled, 0),
            (Retries::AtMost(2), 2),
            (Retries::AtMost(9), 7),
        ] {
            let mut scheduler = scheduler(r#""hedgingPolicy": {"maxAttempts": 7}"#, retries);
            let made = if scheduler.is_hedged() {
                std::iter::from_fn(|| scheduler.begin_due(now)).count()
            } else {
                0
            };
            assert_eq!(made, attempts, "{retries:?}");
        }
    }
}
