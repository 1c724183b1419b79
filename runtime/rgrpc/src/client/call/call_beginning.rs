//! The beginning of a call: finds the config of its method, resolves its options and chooses the
//! policy of its attempts.
//!
//! Called once for each run of a call, behind its interceptors, on the caller's task. The first
//! call of a channel waits here for name resolution. The config selector of a resolver, which is
//! users' code, is asked here, under no lock.
//!
//! Source: grpc-go `newClientStream`, `ClientConn.waitForResolvedAddrs`,
//! `safeConfigSelector.SelectConfig`; gRFC A31.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::Instant;

use super::attempt::wait_for_call_config;
use super::bounds::Bounds;
use super::resolved_call::OptionsSlot;
use super::scheduler::AttemptScheduler;
use super::wait_reason::{WaitReason, WaitRecorder};
use crate::call::{CallObserver, CallOptions, SelectInfo};
use crate::client::ClientConn;
use crate::client::config::CallConfig;
use crate::client::conn::CallEncoding;
use crate::service_config::AttemptPolicy;
use crate::stats::CallEvent;
use crate::status::Status;
use crate::task::caught;

impl ClientConn {
    /// Begins a call: resolves its options, and decides by which policy its attempts are scheduled.
    /// Every call begins here. If the config selector has filters for the call, they run first, and
    /// the call begins again behind them.
    ///
    /// The first call of a channel waits until its target has been resolved.
    ///
    /// # Errors
    /// A value of the options was refused, or the wait failed, or the config selector refused the
    /// call.
    pub(super) async fn begin_call(
        &self,
        method: &str,
        slot: &mut OptionsSlot,
        observer: Option<&Arc<CallObserver>>,
    ) -> Result<AttemptScheduler, Status> {
        let settings = self.settings();
        let options = slot.passed();
        options.check()?;
        let encoding = settings.compression.of_call(options, &settings.headers)?;
        if let Some(config) = &*self.shared().picker.call_config_ref() {
            return self.resolve(method, slot, encoding, config);
        }
        // Boxed, so that later calls need no space for it.
        let config = Box::pin(self.wait_for_config(options, observer)).await?;
        self.resolve(method, slot, encoding, &config)
    }

    fn resolve(
        &self,
        method: &str,
        slot: &mut OptionsSlot,
        encoding: Option<CallEncoding>,
        config: &CallConfig,
    ) -> Result<AttemptScheduler, Status> {
        if config.selector().is_some() || slot.passed().is_selected() {
            return self.resolve_selected(method, slot, encoding, config);
        }
        let of_method = config.method(method);
        let policy = of_method.and_then(|config| config.attempts.clone());
        slot.resolve(encoding, of_method);
        Ok(self.schedule(policy, config))
    }

    /// Resolves the options of a call on a channel with a config selector, unless the call has
    /// filters, which run first.
    #[cold]
    fn resolve_selected(
        &self,
        method: &str,
        slot: &mut OptionsSlot,
        encoding: Option<CallEncoding>,
        config: &CallConfig,
    ) -> Result<AttemptScheduler, Status> {
        let channel = self.id().number();
        let has_filters = select(channel, method, slot, config)?;
        if has_filters {
            return Ok(AttemptScheduler::new(None, None, 0));
        }
        let selected = slot.passed_mut().selected_by(channel).cloned();
        let of_method = match &selected {
            None => config.method(method),
            Some(selected) => Some(&selected.method),
        };
        let mut policy = of_method.and_then(|config| config.attempts.clone());
        config.retries().limit(&mut policy);
        slot.resolve(encoding, of_method);
        Ok(self.schedule(policy, config))
    }

    fn schedule(&self, policy: Option<AttemptPolicy>, config: &CallConfig) -> AttemptScheduler {
        let throttle = config.throttle().cloned();
        AttemptScheduler::new(policy, throttle, self.settings().max_transparent_retries)
    }

    /// Waits within the call's bounds until its service config is known.
    async fn wait_for_config(
        &self,
        options: &CallOptions,
        observer: Option<&Arc<CallObserver>>,
    ) -> Result<Arc<CallConfig>, Status> {
        let began = observer.map(|_| Instant::now());
        let recorder = WaitRecorder::default();
        let config = async {
            let wait_for_ready = options.wait_for_ready();
            let start = || self.start();
            let config = pin!(wait_for_call_config(self.shared(), wait_for_ready, start));
            recorder.during(config, || WaitReason::Resolver).await
        };
        let config = pin!(Some(config));
        let bounds = Bounds::of_options(options);
        let config = bounds
            .run(config, self.target(), &recorder)
            .await
            .inspect_err(|_| self.shared().calls.failed_before_attempt())?;
        if let (Some(observer), Some(began)) = (observer, began) {
            observer.record(&CallEvent::NameResolutionDelayed(began.elapsed()));
        }
        Ok(config)
    }
}

/// Selects a call's config, unless that has happened: the call comes out of its filters then.
/// Returns whether it has filters, which run now.
fn select(
    channel: u64,
    method: &str,
    slot: &mut OptionsSlot,
    config: &CallConfig,
) -> Result<bool, Status> {
    let options = slot.passed_mut();
    let is_selected = options.selected_by(channel).is_some();
    let Some(selector) = config.selector().filter(|_| !is_selected) else {
        return Ok(false);
    };
    let info = SelectInfo::new(method, options.metadata()).with_extensions(options.extensions());
    let selected = caught("the config selector", || selector.select(&info))
        .unwrap_or_else(|panicked| Err(Status::internal(panicked.to_string())))
        .map_err(Status::into_control_plane_failure)?;
    let timeout = selected.method_config().timeout();
    let has_filters = options.select(selected.into_parts(channel));
    if let Some(timeout) = timeout.filter(|_| has_filters) {
        // The time that the filters take counts.
        options.timeout(timeout);
    }
    Ok(has_filters)
}
