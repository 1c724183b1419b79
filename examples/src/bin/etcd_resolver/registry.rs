//! A stand-in for etcd: its key-value store and watches, for one prefix.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rgrpc::{RecvStream, Request, Response, SendStream, Server, Status};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, Kv, PutRequest, PutResponse, RangeRequest,
    RangeResponse, ResponseHeader, Watch, WatchRequest, WatchResponse, register_kv, register_watch,
};
use crate::proto::mvccpb::event::EventType;
use crate::proto::mvccpb::{Event, KeyValue};

/// The keys, and their changes.
#[derive(Clone)]
struct Registry {
    store: Arc<Mutex<Store>>,
    changes: broadcast::Sender<WatchResponse>,
}

#[derive(Default)]
struct Store {
    revision: i64,
    pairs: BTreeMap<Vec<u8>, KeyValue>,
    history: Vec<WatchResponse>,
}

/// Serves on a loopback port. Returns the address.
pub(crate) async fn start() -> Result<SocketAddr, Box<dyn std::error::Error>> {
    let registry = Registry {
        store: Arc::default(),
        changes: broadcast::Sender::new(64),
    };
    let mut server = Server::new();
    register_kv(&mut server, registry.clone())?;
    register_watch(&mut server, registry)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(server.serve_listener(listener));
    Ok(address)
}

impl Registry {
    fn change(&self, kind: EventType, mut pair: KeyValue) -> Option<ResponseHeader> {
        let mut store = self.store.lock().expect("not poisoned");
        store.revision += 1;
        pair.mod_revision = store.revision;
        let header = Some(ResponseHeader {
            revision: store.revision,
            ..Default::default()
        });
        match kind {
            EventType::Put => store.pairs.insert(pair.key.clone(), pair.clone()),
            EventType::Delete => store.pairs.remove(&pair.key),
        };
        let change = WatchResponse {
            header,
            events: vec![Event {
                r#type: kind.into(),
                kv: Some(pair),
                prev_kv: None,
            }],
            ..Default::default()
        };
        store.history.push(change.clone());
        // There may be no watcher.
        let _ = self.changes.send(change);
        header
    }
}

impl Kv for Registry {
    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        let RangeRequest { key, range_end } = request.into_message();
        let store = self.store.lock().expect("not poisoned");
        let kvs: Vec<_> = store.pairs.range(key..range_end).collect();
        let kvs: Vec<_> = kvs.into_iter().map(|(_, pair)| pair.clone()).collect();
        Ok(Response::new(RangeResponse {
            header: Some(ResponseHeader {
                revision: store.revision,
                ..Default::default()
            }),
            count: i64::try_from(kvs.len()).unwrap_or(i64::MAX),
            kvs,
            more: false,
        }))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let PutRequest { key, value, .. } = request.into_message();
        let pair = KeyValue {
            key,
            value,
            ..Default::default()
        };
        let header = self.change(EventType::Put, pair);
        Ok(Response::new(PutResponse { header }))
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let pair = KeyValue {
            key: request.into_message().key,
            ..Default::default()
        };
        let header = self.change(EventType::Delete, pair);
        Ok(Response::new(DeleteRangeResponse { header, deleted: 1 }))
    }
}

impl Watch for Registry {
    async fn watch(
        &self,
        requests: Request<RecvStream<WatchRequest>>,
        mut responses: SendStream<WatchResponse>,
    ) -> Result<(), Status> {
        let mut requests = requests.into_message();
        let Some(WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(watch)),
        }) = requests.recv().await?
        else {
            return Err(Status::invalid_argument("a create_request is expected"));
        };
        let (history, mut changes) = {
            let store = self.store.lock().expect("not poisoned");
            (store.history.clone(), self.changes.subscribe())
        };
        let is_new = |change: &WatchResponse| {
            let header = change.header.unwrap_or_default();
            header.revision >= watch.start_revision
        };
        for change in history.into_iter().filter(is_new) {
            responses.send(change).await?;
        }
        while let Ok(change) = changes.recv().await {
            responses.send(change).await?;
        }
        Ok(())
    }
}
