//! The services and methods of a server, and the table of their paths.
//!
//! Filled when services are registered; read by dispatch for each call, without a lock.
//!
//! Source: grpc-go `Server.RegisterService`, `Server.handleStream`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxBuildHasher;

use super::{HandlerFuture, RegisterError, ServerCall, ServiceDesc};
use crate::call::{RecvStream, Request, SendStream};
use crate::codec::RawCodec;
use crate::descriptor::{MethodDescriptor, MethodInfo, ServiceInfo};
use crate::interceptor::CallKind;
use crate::status::Status;

/// The methods that a server knows, by their full names.
#[derive(Default)]
pub(super) struct Services {
    ids: HashMap<Box<str>, MethodId, FxBuildHasher>,
    methods: Vec<Method>,
    /// The services, by their names.
    services: BTreeMap<&'static str, Arc<ServiceInfo>>,
}

/// The index of a method in its server. A call's path is looked up once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MethodId(usize);

/// A method with its handler.
pub(super) struct Method {
    run: RunHandler,
    pub(super) kind: CallKind,
    service: Arc<ServiceInfo>,
    /// The index of the method in its service.
    index: usize,
}

/// A handler and its service in one closure, created when the service is registered.
type RunHandler = Arc<dyn Fn(ServerCall) -> HandlerFuture + Send + Sync>;

impl Method {
    /// Starts the handling of a call.
    #[inline]
    pub(super) fn handle(&self, call: ServerCall) -> HandlerFuture {
        (self.run)(call)
    }

    /// The descriptor of the method and its service.
    pub(super) fn descriptor(&self) -> Option<MethodDescriptor<'_>> {
        let service = &*self.service;
        let method = service.methods.get(self.index)?;
        Some(MethodDescriptor { service, method })
    }
}

impl Services {
    /// Adds a service.
    pub(super) fn add<T: Send + Sync + 'static>(
        &mut self,
        desc: &'static ServiceDesc<T>,
        service: Arc<T>,
    ) -> Result<(), RegisterError> {
        let info = match self.services.entry(desc.service_name) {
            Entry::Vacant(vacant) => vacant.insert(Arc::new(service_info(desc))),
            Entry::Occupied(_) => return Err(RegisterError::Duplicate(desc.service_name)),
        };
        let unary = desc
            .methods
            .iter()
            .map(|m| (m.method_name, m.handler, CallKind::Unary));
        let streaming = desc.streams.iter().map(|s| {
            let kind = CallKind::new(s.client_streams, s.server_streams);
            (s.stream_name, s.handler, kind)
        });
        for (index, (method, handler, kind)) in unary.chain(streaming).enumerate() {
            let path = format!("/{}/{method}", desc.service_name);
            let service = Arc::clone(&service);
            let id = MethodId(self.methods.len());
            self.ids.insert(path.into(), id);
            self.methods.push(Method {
                run: Arc::new(move |call| handler(Arc::clone(&service), call)),
                kind,
                service: Arc::clone(info),
                index,
            });
        }
        Ok(())
    }

    /// The registered services, by their names.
    pub(super) fn infos(&self) -> impl ExactSizeIterator<Item = &ServiceInfo> {
        self.services.values().map(|info| &**info)
    }

    /// Looks up a request's path.
    #[inline(always)]
    pub(super) fn lookup(&self, path: &str) -> Option<MethodId> {
        self.ids.get(path).copied()
    }

    /// The method with this id.
    #[inline]
    pub(super) fn method(&self, id: MethodId) -> &Method {
        &self.methods[id.0]
    }

    /// The status of a call without a method: the path is malformed, the service is unknown, or the
    /// service has no such method.
    pub(super) fn missing(&self, path: &str) -> Status {
        let split = path
            .strip_prefix('/')
            .and_then(|path| path.rsplit_once('/'));
        let Some((service, method)) = split else {
            return Status::unimplemented(format!(
                "malformed method name {path:?}: /service/method is expected"
            ));
        };
        Status::unimplemented(if self.services.contains_key(service) {
            format!("unknown method {method:?} for service {service:?}")
        } else {
            format!("unknown service {service:?}")
        })
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ids.keys()).finish()
    }
}

/// Describes a service by the table that dispatches to it.
fn service_info<T>(desc: &ServiceDesc<T>) -> ServiceInfo {
    let unary = desc.methods.iter();
    let unary = unary.map(|method| MethodInfo::unary(method.method_name));
    let streams = desc.streams.iter().map(|stream| {
        MethodInfo::new(
            stream.stream_name,
            stream.client_streams,
            stream.server_streams,
        )
    });
    ServiceInfo {
        name: desc.service_name,
        methods: unary.chain(streams).collect(),
        file: desc.file,
    }
}

/// Handles calls of services and methods that a server does not know, with messages as bytes.
///
/// Implemented for functions: `async fn(Request<RecvStream<Bytes>>, SendStream<Bytes>) ->
/// Result<(), Status>`. The request's [context](crate::Request::context) has the method's name.
///
/// Source: grpc-go `UnknownServiceHandler`.
pub trait UnknownServiceHandler: Send + Sync + 'static {
    /// Handles one call.
    fn handle(
        &self,
        requests: Request<RecvStream<Bytes>>,
        responses: SendStream<Bytes>,
    ) -> impl Future<Output = Result<(), Status>> + Send;
}

impl<F, Fut> UnknownServiceHandler for F
where
    F: Fn(Request<RecvStream<Bytes>>, SendStream<Bytes>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Status>> + Send,
{
    fn handle(
        &self,
        requests: Request<RecvStream<Bytes>>,
        responses: SendStream<Bytes>,
    ) -> impl Future<Output = Result<(), Status>> + Send {
        self(requests, responses)
    }
}

/// An [`UnknownServiceHandler`] of any type.
#[derive(Clone)]
pub(super) struct UnknownHandler(RunHandler);

pub(super) fn unknown_handler<H: UnknownServiceHandler>(handler: H) -> UnknownHandler {
    let handler = Arc::new(handler);
    UnknownHandler(Arc::new(move |call| {
        call.bidi_streaming(RawCodec, Arc::clone(&handler), H::handle)
    }))
}

impl UnknownHandler {
    pub(super) fn handle(&self, call: ServerCall) -> HandlerFuture {
        (self.0)(call)
    }
}

impl fmt::Debug for UnknownHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnknownHandler")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Response;
    use crate::descriptor::FileDesc;
    use crate::server::MethodDesc;
    use crate::status::Code;

    async fn aborted(_: &(), _: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        Err(Status::aborted("unused"))
    }

    const DESC: &ServiceDesc<()> = &ServiceDesc {
        service_name: "pkg.Svc",
        methods: &[MethodDesc {
            method_name: "Get",
            handler: |service, call| call.unary(RawCodec, service, aborted),
        }],
        streams: &[],
        file: FileDesc {
            name: "svc.proto",
            descriptor_set: &[],
        },
    };

    #[test]
    fn paths_that_lead_nowhere_are_told_apart() {
        let mut services = Services::default();
        services.add(DESC, Arc::new(())).expect("the first");
        assert!(services.lookup("/pkg.Svc/Get").is_some());
        for (path, text) in [
            ("", "malformed method name"),
            ("pkg.Svc/Get", "malformed method name"),
            ("/", "malformed method name"),
            ("/Get", "malformed method name"),
            (
                "/pkg.Svc/Put",
                "unknown method \"Put\" for service \"pkg.Svc\"",
            ),
            ("/pkg.Svc/", "unknown method \"\" for service \"pkg.Svc\""),
            ("/pkg.Other/Get", "unknown service \"pkg.Other\""),
            ("//pkg.Svc/Get", "unknown service \"/pkg.Svc\""),
        ] {
            assert!(services.lookup(path).is_none(), "{path:?}");
            let status = services.missing(path);
            assert_eq!(status.code(), Code::Unimplemented);
            assert!(status.message().contains(text), "{path:?}: {status}");
        }
    }

    #[test]
    fn a_service_is_registered_once() {
        let mut services = Services::default();
        services.add(DESC, Arc::new(())).expect("the first");
        let error = services.add(DESC, Arc::new(())).expect_err("the second");
        assert_eq!(error, RegisterError::Duplicate("pkg.Svc"));
    }
}
