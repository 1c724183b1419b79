//! The resolver of the scheme `etcd`. `etcd://registry/prefix` names the backends whose addresses
//! are the values under that prefix.

use std::collections::BTreeMap;
use std::time::Duration;

use rgrpc::io::Address;
use rgrpc::resolver::{
    Endpoint, Resolver, ResolverBuilder, ResolverControl, ResolverError, ResolverFuture,
    ResolverOptions, ResolverState, Target,
};
use rgrpc::{ClientConn, Request, Status, credentials};
use tokio::time::sleep;

use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::proto::etcdserverpb::{
    KvClient, RangeRequest, WatchClient, WatchCreateRequest, WatchRequest, WatchResponse,
};
use crate::proto::mvccpb::event::EventType;

/// The delay before a failed registry is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// The service config, which spreads calls over the backends.
const SERVICE_CONFIG: &str = r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#;

/// The builder of resolvers for the scheme `etcd`.
pub(crate) struct EtcdBuilder;

impl ResolverBuilder for EtcdBuilder {
    fn scheme(&self) -> &'static str {
        "etcd"
    }

    fn build(
        &self,
        target: &Target,
        _: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, ResolverError> {
        if target.authority().is_empty() || target.endpoint().is_empty() {
            let problem = "etcd://host:port/prefix is expected";
            return Err(ResolverError::invalid_target(problem));
        }
        let registry = ClientConn::new(target.authority(), credentials::insecure())
            .map_err(ResolverError::invalid_target)?;
        Ok(Box::new(EtcdResolver {
            registry,
            prefix: target.endpoint().as_bytes().to_vec(),
        }))
    }

    fn authority(&self, target: &Target) -> String {
        // The authority of the prefix `services/greeter/` is `greeter`.
        let names = target.endpoint().trim_end_matches('/').rsplit('/');
        names.take(1).collect()
    }
}

struct EtcdResolver {
    registry: ClientConn,
    prefix: Vec<u8>,
}

impl Resolver for EtcdResolver {
    fn run(self: Box<Self>, control: ResolverControl) -> ResolverFuture {
        Box::pin(async move {
            loop {
                // It ends when the registry fails or drops the watch.
                if let Err(status) = self.follow(&control).await {
                    control.error(status).await;
                }
                sleep(RETRY).await;
            }
        })
    }
}

impl EtcdResolver {
    /// Reports the current backends to the channel, and then every change.
    async fn follow(&self, control: &ResolverControl) -> Result<(), Status> {
        let (mut backends, revision) = self.list().await?;
        // A refused update stays refused until the next change.
        let _ = control.update(state_of(&backends)).await;

        let (mut requests, mut changes) = WatchClient::new(self.registry.clone()).watch().await?;
        requests
            .send(WatchRequest {
                request_union: Some(RequestUnion::CreateRequest(WatchCreateRequest {
                    key: self.prefix.clone(),
                    range_end: end_of(&self.prefix),
                    start_revision: revision + 1,
                })),
            })
            .await?;
        while let Some(change) = changes.recv().await? {
            if change.canceled {
                let reason = change.cancel_reason;
                return Err(Status::unavailable(format!(
                    "the watch was ended: {reason}"
                )));
            }
            if apply(change, &mut backends) {
                let _ = control.update(state_of(&backends)).await;
            }
        }
        Err(Status::unavailable("the registry ended the watch"))
    }

    /// Returns the backends by their keys, and the revision of the store.
    async fn list(&self) -> Result<(Backends, i64), Status> {
        let request = Request::new(RangeRequest {
            key: self.prefix.clone(),
            range_end: end_of(&self.prefix),
        });
        let registry = KvClient::new(self.registry.clone());
        let listed = registry.range(request).await?;
        let listed = listed.into_message();
        let revision = listed.header.unwrap_or_default().revision;
        let backends = listed.kvs.into_iter().map(|pair| (pair.key, pair.value));
        Ok((backends.collect(), revision))
    }
}

type Backends = BTreeMap<Vec<u8>, Vec<u8>>;

/// Applies a change. Returns whether the backends have changed.
fn apply(change: WatchResponse, backends: &mut Backends) -> bool {
    let any = !change.events.is_empty();
    for event in change.events {
        let what = event.r#type();
        let pair = event.kv.unwrap_or_default();
        match what {
            EventType::Put => backends.insert(pair.key, pair.value),
            EventType::Delete => backends.remove(&pair.key),
        };
    }
    any
}

/// Returns the state for the channel. A backend with an invalid address is omitted.
fn state_of(backends: &Backends) -> ResolverState {
    let addresses = backends.values().filter_map(|value| {
        let address = std::str::from_utf8(value).ok()?.parse().ok()?;
        Some(Endpoint::from(Address::Tcp(address)))
    });
    ResolverState::new(addresses.collect()).with_service_config(SERVICE_CONFIG)
}

/// Returns the end of the range of keys with this prefix; empty for a range without an end.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    vec![0]
}
