//! The config selector: chooses the cluster of each call by its headers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rgrpc::balancer::RequestHash;
use rgrpc::{
    ClientNext, ClientReply, Code, ConfigSelector, MethodConfig, OutgoingCall, RetryPolicy,
    SelectInfo, SelectedConfig, ServiceConfigError, Status,
};

use super::clusters::Cluster;

pub(crate) const STABLE: Cluster = Cluster("stable");
pub(crate) const CANARY: Cluster = Cluster("canary");

/// The routes: calls with `x-env: canary` go to the canary, all others to the stable cluster.
pub(crate) struct Routes {
    config: MethodConfig,
    /// The number of calls that are not committed yet.
    uncommitted: Arc<AtomicUsize>,
}

impl Routes {
    pub(crate) fn new(uncommitted: &Arc<AtomicUsize>) -> Result<Self, ServiceConfigError> {
        let retries = RetryPolicy::new(3, [Code::Unavailable])?;
        Ok(Self {
            config: MethodConfig::new()
                .with_timeout(Duration::from_secs(10))
                .with_retry_policy(retries),
            uncommitted: Arc::clone(uncommitted),
        })
    }
}

impl ConfigSelector for Routes {
    fn select(&self, call: &SelectInfo<'_>) -> Result<SelectedConfig, Status> {
        let cluster = match call.metadata.get("x-env") {
            None | Some("stable") => STABLE,
            Some("canary") => CANARY,
            Some(other) => return Err(Status::unavailable(format!("no route to {other:?}"))),
        };
        let uncommitted = Arc::clone(&self.uncommitted);
        uncommitted.fetch_add(1, Ordering::Relaxed);
        // One user's calls go to one server of the cluster.
        let mut hasher = DefaultHasher::new();
        call.metadata.get("x-user").hash(&mut hasher);
        let config = SelectedConfig::new(self.config.clone())
            .with_extension(cluster)
            .with_extension(RequestHash(hasher.finish()))
            .on_commit(move || {
                uncommitted.fetch_sub(1, Ordering::Relaxed);
            });
        Ok(match cluster {
            CANARY => config.with_filter(log_canary),
            _ => config,
        })
    }
}

/// The filter of the canary's route: it logs the calls.
async fn log_canary(call: OutgoingCall, next: ClientNext) -> Result<ClientReply, Status> {
    let method = call.method().to_owned();
    let reply = next.run(call).await;
    println!("the canary has answered {method}");
    reply
}

#[cfg(test)]
mod tests {
    use rgrpc::Metadata;

    use super::*;

    #[test]
    fn the_header_chooses_the_cluster_and_the_user_the_hash() {
        let uncommitted = Arc::default();
        let routes = Routes::new(&uncommitted).expect("valid");
        let select = |headers: &[(&'static str, &'static str)]| {
            let metadata = Metadata::from_pairs(headers.iter().copied()).expect("valid");
            routes.select(&SelectInfo::new("/a.B/C", &metadata))
        };
        for (headers, cluster) in [
            (&[][..], STABLE),
            (&[("x-env", "stable")], STABLE),
            (&[("x-env", "canary"), ("x-user", "ada")], CANARY),
        ] {
            let config = select(headers).expect("a route");
            assert_eq!(config.extensions().get(), Some(&cluster), "{headers:?}");
            assert_eq!(config.method_config().max_attempts(), 3);
        }
        let status = select(&[("x-env", "moon")]).expect_err("no route");
        assert_eq!(status.message(), "no route to \"moon\"");
        let hash = |user| {
            let config = select(&[("x-user", user)]).expect("a route");
            config.extensions().get::<RequestHash>().copied()
        };
        assert_eq!(hash("ada"), hash("ada"));
        assert_ne!(hash("ada"), hash("grace"));
    }
}
