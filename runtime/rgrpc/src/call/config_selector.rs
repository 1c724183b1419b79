//! The config of one call, which a resolver selects.
//!
//! Called once for each call of a channel whose resolver has given a selector, on the caller's task
//! and under no lock. The call and its attempts share the selection.
//!
//! Source: gRFC A31; grpc-go `internal/resolver`: `ConfigSelector`, `RPCConfig`.

use std::fmt;
use std::sync::Arc;

use super::CallOptions;
use super::interceptor::{ClientInterceptor, InterceptorList, erased};
use super::selected_call::{OnCommit, SelectedCall};
use crate::extensions::Extensions;
use crate::metadata::Metadata;
use crate::service_config::MethodConfig;
use crate::status::Status;

/// Selects the config of each call of a channel: its timeout and policies, values for the picker, a
/// filter.
///
/// A resolver sets it with its state, by
/// [`ResolverState::with_config_selector`](crate::resolver::ResolverState::with_config_selector).
/// It takes the place of the service config's method configs. The channel uses it once its
/// balancing policy has handled the same state.
///
/// ```
/// use std::time::Duration;
///
/// use rgrpc::{ConfigSelector, MethodConfig, SelectInfo, SelectedConfig, Status};
///
/// /// Sends the calls of testers to the canary.
/// struct CanaryRoutes;
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct Cluster(&'static str);
///
/// impl ConfigSelector for CanaryRoutes {
///     fn select(&self, call: &SelectInfo<'_>) -> Result<SelectedConfig, Status> {
///         let cluster = match call.metadata.get("x-user") {
///             Some("tester") => Cluster("canary"),
///             _ => Cluster("stable"),
///         };
///         let config = MethodConfig::new().with_timeout(Duration::from_secs(2));
///         // The picker of the channel's policy reads it from `PickInfo::extensions`.
///         Ok(SelectedConfig::new(config).with_extension(cluster))
///     }
/// }
/// ```
///
/// Source: gRFC A31; grpc-go `internal/resolver.ConfigSelector`.
pub trait ConfigSelector: Send + Sync + 'static {
    /// Selects the config of a call. Called once for each call, also for one with several attempts,
    /// on the caller's task, many at the same time. It must not block. A panic fails the call with
    /// INTERNAL.
    ///
    /// # Errors
    /// The status that the call fails with, also if it waits for ready; nothing is sent. Status
    /// codes that are reserved for applications become INTERNAL (gRFC A54).
    fn select(&self, call: &SelectInfo<'_>) -> Result<SelectedConfig, Status>;
}

/// The call that a config selector decides about.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SelectInfo<'a> {
    /// The path of the method: "/service/method".
    pub method: &'a str,
    /// The request's metadata, as the user and the channel's interceptors have left it.
    pub metadata: &'a Metadata,
    /// The call's extensions.
    pub extensions: &'a Extensions,
}

impl<'a> SelectInfo<'a> {
    /// Creates the information of a call of this method with this metadata and without extensions.
    #[must_use]
    pub const fn new(method: &'a str, metadata: &'a Metadata) -> Self {
        static NONE: Extensions = Extensions::new();
        Self {
            method,
            metadata,
            extensions: &NONE,
        }
    }

    /// Sets the call's extensions.
    #[must_use]
    pub const fn with_extensions(mut self, extensions: &'a Extensions) -> Self {
        self.extensions = extensions;
        self
    }
}

/// The config of a call, as its [`ConfigSelector`] has selected it.
///
/// Source: grpc-go `internal/resolver.RPCConfig`.
#[derive(Default)]
pub struct SelectedConfig {
    method: MethodConfig,
    metadata: Option<Metadata>,
    extensions: Extensions,
    on_commit: Option<OnCommit>,
    filters: Option<InterceptorList>,
}

impl SelectedConfig {
    /// Creates the config of a call with this config of its method.
    ///
    /// The call's own options apply too: the earlier deadline and the smaller limits hold. The
    /// channel's maximum number of attempts bounds the policies.
    #[must_use]
    pub fn new(method: MethodConfig) -> Self {
        Self {
            method,
            ..Self::default()
        }
    }

    /// Replaces the request's metadata. Default: it stays as it is.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Adds a value to the call's extensions, which
    /// [pickers](crate::balancer::PickInfo::extensions) and filters read. It replaces a value of
    /// the same type.
    #[must_use]
    pub fn with_extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// Sets a callback that runs once, when the call is committed: no other attempt begins after
    /// it. Default: none.
    ///
    /// The call is committed when the headers of its response are received, or when it ends without
    /// them, also when it is dropped. The callback runs on the task where that happens, and must
    /// not block. Its panic is logged.
    #[must_use]
    pub fn on_commit(mut self, on_commit: impl FnOnce() + Send + 'static) -> Self {
        self.on_commit = Some(Box::new(on_commit));
        self
    }

    /// Adds a filter: an interceptor of this call, inside of those of the channel and of the
    /// filters that were added before. It runs after the selection and before the attempts, and
    /// sees the selected metadata and extensions.
    ///
    /// Source: gRFC A39; grpc-go `RPCConfig.Interceptor`.
    #[must_use]
    pub fn with_filter(mut self, filter: impl ClientInterceptor) -> Self {
        let added = [erased(filter)];
        self.filters = Some(match self.filters {
            None => Arc::new(added),
            Some(outer) => outer.iter().cloned().chain(added).collect(),
        });
        self
    }

    /// The config of the call's method.
    #[must_use]
    pub const fn method_config(&self) -> &MethodConfig {
        &self.method
    }

    /// The metadata that replaces the request's, if it changes.
    #[must_use]
    pub const fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// The values that are added to the call's extensions.
    #[must_use]
    pub const fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Splits the config into its parts, for a call on the channel with this number.
    pub(crate) fn into_parts(self, channel: u64) -> SelectedParts {
        SelectedParts {
            call: Arc::new(SelectedCall::new(channel, self.method, self.on_commit)),
            metadata: self.metadata,
            extensions: self.extensions,
            filters: self.filters,
        }
    }
}

impl fmt::Debug for SelectedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectedConfig")
            .field("method", &self.method)
            .field("extensions", &self.extensions)
            .finish_non_exhaustive()
    }
}

/// The parts of a selected config.
pub(crate) struct SelectedParts {
    pub(crate) call: Arc<SelectedCall>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) extensions: Extensions,
    pub(crate) filters: Option<InterceptorList>,
}

/// The filters of a selection that have not run yet, which the options of the call carry.
#[derive(Clone)]
struct Filters(InterceptorList);

impl CallOptions {
    /// Sets the selection of the channel's config selector, and makes the changes that it asks for.
    /// Returns whether it has filters, which run now.
    pub(crate) fn select(&mut self, selected: SelectedParts) -> bool {
        let SelectedParts {
            call,
            metadata,
            extensions,
            filters,
        } = selected;
        self.set_selected(call);
        if let Some(metadata) = metadata {
            *self.metadata_mut() = metadata;
        }
        self.extensions_mut().merge(extensions);
        let has_filters = filters.is_some();
        if let Some(filters) = filters {
            self.carried_mut().insert(Filters(filters));
        }
        has_filters
    }

    /// Takes the filters of the selection.
    pub(crate) fn take_filters(&mut self) -> Option<InterceptorList> {
        let Filters(filters) = self.take_carried()?;
        Some(filters)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_commit_callback_runs_once_and_at_the_latest_when_the_call_is_dropped() {
        let runs = Arc::new(AtomicUsize::new(0));
        let selected = || {
            let runs = Arc::clone(&runs);
            let config = SelectedConfig::new(MethodConfig::new());
            let config = config.on_commit(move || {
                runs.fetch_add(1, Ordering::Relaxed);
            });
            config.into_parts(1).call
        };
        let committed = selected();
        committed.commit();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        committed.commit();
        drop(committed);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        drop(selected());
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_commit_callback_that_panics_ends_nothing_else() {
        let config = SelectedConfig::new(MethodConfig::new()).on_commit(|| panic!("user code"));
        config.into_parts(1).call.commit();
    }
}
