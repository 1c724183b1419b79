//! The server: listeners, connections, dispatch, handlers.
//!
//! Each listener has an accept loop, each connection a task (the transport's), each call a future
//! that the connection's task polls once and spawns when it is not ready. The tasks run on the
//! caller's runtime, or on [`workers`]. A request's path is looked up once, in [`Services`], which
//! is filled from the [`ServiceDesc`] tables of generated code. Stopping is a
//! [`ServerPhase`](crate::transport::ServerPhase) that every loop and connection watches.
//!
//! ```text
//!  accept ─► connection ─► dispatch ─► interceptor/ ─► call ─► handler ─► reply
//!             (hooks)       (hooks)
//! ```

mod accept;
mod call;
mod connection;
mod desc;
mod dispatch;
mod error;
mod handle;
mod handler;
mod handlers;
mod hooks;
mod interceptor;
mod options;
mod panic;
mod reply;
mod services;
#[cfg(unix)]
mod unix_socket;
mod workers;

use std::error::Error;
use std::future::Future;
use std::num::NonZeroUsize;
#[cfg(unix)]
use std::path::Path;
#[cfg(unix)]
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, ToSocketAddrs};

use accept::{AcceptLoop, within_runtime};
pub use call::{HandlerFuture, ServerCall};
pub use desc::{MethodDesc, ServiceDesc, StreamDesc};
use dispatch::Dispatcher;
pub use error::{RegisterError, ServeError};
pub use handle::ServerHandle;
pub use handler::Handler;
pub use hooks::{CallHead, NewConnection};
use hooks::{ConnectionHook, HeadHook};
pub use interceptor::{IncomingCall, ServerInterceptor, ServerNext};
use options::ServerOptions;
pub use panic::HandlerPanic;
use panic::PanicHook;
pub use reply::ServerReply;
use services::Services;
pub use services::UnknownServiceHandler;
#[cfg(unix)]
use unix_socket::UnixSocket;
use workers::SharedWorkers;

use crate::buffer_pool::BufferPool;
use crate::channelz::Registry;
use crate::codec::Compressor;
use crate::credentials::ServerCredentials;
use crate::descriptor::ServiceInfo;
use crate::io::Listener;
use crate::memory_budget::MemoryBudget;
use crate::select_biased::{Either, select_biased};
use crate::stats::StatsHandler;
use crate::status::Status;
use crate::transport::keepalive::{EnforcementPolicy, ServerParameters};
use crate::transport::{ConnectionSnapshot, ServerSettings, Transport};

/// A gRPC server: services are registered first, then it serves on any number of listeners.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut server = rgrpc::Server::new();
/// // register_route_guide(&mut server, Guide::default())?;
/// server.serve("127.0.0.1:50051").await?;
/// # Ok(()) }
/// ```
///
/// Dropping it does not stop the serving; its [`handle`](Self::handle) does.
///
/// Source: grpc-go `Server`.
#[derive(Debug, Default)]
pub struct Server {
    services: Arc<Services>,
    options: ServerOptions,
    workers: Option<Arc<SharedWorkers>>,
    handle: ServerHandle,
}

impl Server {
    /// Creates a server without services and with default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum size of a received message, in bytes. Default: 4 MiB.
    ///
    /// A larger message fails the call with RESOURCE_EXHAUSTED before it is buffered. 0 accepts
    /// empty messages alone; `usize::MAX` is no limit beyond that of gRPC, 2^32 − 1.
    ///
    /// Source: grpc-go `MaxRecvMsgSize`.
    #[must_use]
    pub fn max_receive_message_size(mut self, bytes: usize) -> Self {
        self.options.max_receive_message_size = bytes;
        self
    }

    /// Sets the maximum size of a sent message, in bytes. Default: 2^31 − 1.
    ///
    /// A larger message fails the call with RESOURCE_EXHAUSTED. 0 sends empty messages alone;
    /// `usize::MAX` is no limit beyond that of gRPC, 2^32 − 1.
    ///
    /// Source: grpc-go `MaxSendMsgSize`.
    #[must_use]
    pub fn max_send_message_size(mut self, bytes: usize) -> Self {
        self.options.max_send_message_size = bytes;
        self
    }

    /// Sets the maximum number of concurrent calls of a connection. Excess calls are refused with
    /// REFUSED_STREAM; clients that know the limit wait instead. 0 means no limit. Default: no
    /// limit.
    ///
    /// Source: grpc-go `MaxConcurrentStreams`.
    #[must_use]
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.options.transport.max_concurrent_streams = Some(streams).filter(|max| *max > 0);
        self
    }

    /// Sets the credentials that secure the connections of all listeners. Default: none,
    /// connections are plain text.
    ///
    /// Source: grpc-go `Creds`.
    #[must_use]
    pub fn credentials(mut self, credentials: ServerCredentials) -> Self {
        self.options.credentials = credentials;
        self
    }

    /// Sets the maximum time from accepting a connection to the end of its HTTP/2 preface. Default:
    /// 120 s.
    ///
    /// The time includes the handshake of the [`credentials`](Self::credentials). A connection that
    /// takes longer is closed. Zero closes every connection whose preface is missing when it is
    /// accepted, as in grpc-go; `Duration::MAX` is no limit.
    ///
    /// Connections that are refused, for this or for a handshake that fails, are logged at warn
    /// with their peer and the reason: one a second at most, with the number of those in between.
    ///
    /// Source: grpc-go `ConnectionTimeout`.
    #[must_use]
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.options.transport.handshake_timeout = timeout;
        self
    }

    /// Sets the TCP user timeout of connections (RFC 5482, Linux's `TCP_USER_TIMEOUT`). Default:
    /// the `timeout` of [`keepalive`](Self::keepalive), which is 20 s.
    ///
    /// It is the maximum time for which the client's kernel may leave sent bytes unacknowledged
    /// before the connection is lost. The calls of a client that lost its network are cancelled
    /// then. `None` and zero: the operating system's default, about 15 minutes.
    ///
    /// It does not notice the loss of a connection on which nothing is sent: keepalive does. A
    /// client that does not read its socket for as long, so that its receive buffer is full, counts
    /// as lost as well. It is set on connections whose listener gives a `tokio::net::TcpStream`
    /// without one. Only Linux, Android and Fuchsia have this option.
    ///
    /// Source: gRFC A18; grpc-go has no option of its own for it.
    #[must_use]
    pub fn tcp_user_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.tcp_user_timeout = Some(timeout.into().filter(|timeout| !timeout.is_zero()));
        self
    }

    /// Sets the keepalive of connections: PINGs that find dead clients, whose calls are cancelled;
    /// a bound on the time without calls; and a bound on a connection's age, after which clients
    /// reconnect, and may find new replicas.
    ///
    /// A close for idleness or age is graceful: GOAWAY sends new calls elsewhere, and calls that
    /// have begun continue, for the age's grace at most. Default: PINGs after 2 h without a byte
    /// from the client, and no bounds.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rgrpc::keepalive::ServerParameters;
    ///
    /// let server = rgrpc::Server::new().keepalive(ServerParameters {
    ///     max_connection_age: Some(Duration::from_secs(30 * 60)),
    ///     max_connection_age_grace: Some(Duration::from_secs(60)),
    ///     ..ServerParameters::default()
    /// });
    /// # drop(server);
    /// ```
    ///
    /// [`serve`](Self::serve) and the like fail if the [transport](Self::transport) has no
    /// keepalive and this option is set.
    ///
    /// Source: grpc-go `KeepaliveParams`; gRFC A9.
    #[must_use]
    pub fn keepalive(mut self, parameters: ServerParameters) -> Self {
        self.options.transport.keepalive = parameters.in_range();
        self.options.has_keepalive = true;
        self
    }

    /// Sets the policy on the PINGs of clients, which end a connection that sends too many, by
    /// GOAWAY with `too_many_pings`. Connections that end so are logged as those that are
    /// [refused](Self::connection_timeout). Default: one PING in 5 minutes, and one in 2 h while
    /// there is no call; see [`EnforcementPolicy`].
    ///
    /// A client's [keepalive](crate::ClientConnBuilder::keepalive) that is more frequent needs it:
    ///
    /// ```
    /// use std::time::Duration;
    /// use rgrpc::keepalive::EnforcementPolicy;
    ///
    /// let server = rgrpc::Server::new().keepalive_enforcement(EnforcementPolicy {
    ///     min_time: Duration::from_secs(10),
    ///     permit_without_stream: true,
    /// });
    /// # drop(server);
    /// ```
    ///
    /// [`serve`](Self::serve) and the like fail if the [transport](Self::transport) has no
    /// keepalive and this option is set.
    ///
    /// Source: grpc-go `KeepaliveEnforcementPolicy`; gRFC A8.
    #[must_use]
    pub fn keepalive_enforcement(mut self, policy: EnforcementPolicy) -> Self {
        self.options.transport.enforcement = policy;
        self.options.has_keepalive = true;
        self
    }

    /// Sets the number of workers: threads of the server, each with a single-threaded tokio
    /// runtime. Default: none, connections and handlers run on the runtime that serves the
    /// listener.
    ///
    /// A connection goes to the worker with the fewest connections, and stays there: its handshake,
    /// its streams and its handlers share one core, and contend with no other thread for a lock.
    /// Listeners stay on the runtime that serves them.
    ///
    /// Workers suit many connections with short handlers. Begin with as many threads as cores, less
    /// those that the rest of the program needs. With few connections, or some that are much busier
    /// than others, threads may be idle that a multi-threaded runtime of tokio would keep busy.
    ///
    /// Rules for handlers on a worker:
    /// - A handler that blocks or computes for long holds up all connections of its thread.
    /// - What it spawns by `tokio::spawn` runs on the same thread, and so do the connections of a
    ///   [`ClientConn`](crate::ClientConn) that it makes. To run something elsewhere, give the
    ///   service a `tokio::runtime::Handle`, or use `tokio::task::spawn_blocking`.
    /// - The threads, named `rgrpc-worker-0` and so on, start when the server first serves, and its
    ///   listeners share them. They end when the server has stopped, or all its listeners are
    ///   closed for good, and the last connection has ended; tasks that handlers have spawned are
    ///   dropped then. [`ServerHandle::stopped`] and [`ServerHandle::graceful_stop`] wait for that,
    ///   and with it for work that `spawn_blocking` has begun.
    ///
    /// This is not grpc-go's `NumStreamWorkers`, which has a number of goroutines kept for calls of
    /// any connection.
    #[must_use]
    pub fn workers(mut self, workers: NonZeroUsize) -> Self {
        self.workers = Some(Arc::new(SharedWorkers::new(workers)));
        self
    }

    /// Sets whether each handler runs on a task of its own from the start. Default: no.
    ///
    /// By default a connection's task runs a handler until it first waits, and spawns only the
    /// rest. This is the cheapest way, because most unary handlers never wait. But a handler that
    /// computes for long before it first waits delays the other calls of its connection. With this
    /// option, other threads of the runtime take those calls.
    ///
    /// The option helps on a runtime with several threads. It does not help with
    /// [`workers`](Self::workers), because each worker has one thread. It does not help handlers
    /// that compute for long after they have sent or received on a stream either: tokio keeps the
    /// task that a task woke last, here the connection's, for the same thread. Use
    /// `tokio::task::spawn_blocking` for those.
    #[must_use]
    pub fn spawn_handlers(mut self, spawn: bool) -> Self {
        self.options.transport.spawn_handlers = spawn;
        self
    }

    /// Adds a compressor, and replaces one of the same name. Default: `Gzip`, if the crate was
    /// built with the feature `gzip`, and no other.
    ///
    /// It decompresses requests, compresses their responses, and compresses the responses whose
    /// handlers [choose it](crate::CallContext::set_send_compressor). A request in an encoding
    /// without a compressor fails with UNIMPLEMENTED.
    ///
    /// A compressor whose name cannot be sent makes [`serve`](Self::serve) and the like fail.
    ///
    /// Source: grpc-go `encoding.RegisterCompressor`, here for one server.
    #[must_use]
    pub fn compressor(mut self, compressor: impl Compressor) -> Self {
        let resources = Arc::make_mut(&mut self.options.resources);
        if let Err(name) = resources.compressors.register(Arc::new(compressor)) {
            self.options.unsendable_compressor = Some(name);
        }
        self
    }

    /// Sets the pool of the buffers that messages are received into and decompressed to. Messages
    /// to send are encoded and compressed into buffers of [`BufferPool::shared`], whatever the
    /// option. Default: that pool, 16 MiB in the process.
    ///
    /// Source: grpc-go `experimental.BufferPool`.
    #[must_use]
    pub fn buffer_pool(mut self, pool: BufferPool) -> Self {
        Arc::make_mut(&mut self.options.resources).pool = pool.clone();
        self.options.transport.memory.pool = pool;
        self
    }

    /// Sets the limit on the memory that is allocated for large requests before they arrive.
    /// Default: [`MemoryBudget::shared`], 64 MiB in the process.
    #[must_use]
    pub fn memory_budget(mut self, budget: MemoryBudget) -> Self {
        self.options.transport.memory.budget = budget;
        self
    }

    /// Sets the engine of the connections. Default: [`Transport::Native`].
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.options.transport.transport = transport;
        self
    }

    /// Sets the handler of calls of unregistered services and methods, for proxies. Default: none,
    /// and they fail with UNIMPLEMENTED. The handler gets them as bidirectional calls.
    ///
    /// Source: grpc-go `UnknownServiceHandler`.
    #[must_use]
    pub fn unknown_service_handler(mut self, handler: impl UnknownServiceHandler) -> Self {
        self.options.unknown_service = Some(services::unknown_handler(handler));
        self
    }

    /// Sets the function that is called when a handler panics, for crash reports and counters.
    ///
    /// The call ends with INTERNAL and a fixed text, and other calls continue. The panic's text is
    /// not sent to the client, because it may contain secrets: it is logged at error level, with
    /// the method and the peer, and passed to this function. Tasks that a handler spawns are not
    /// covered. Runs on the thread of the call, after the panic hook of the process
    /// ([`std::panic::set_hook`]), and must not block. A second function replaces the first.
    /// Default: none.
    ///
    /// ```
    /// let server = rgrpc::Server::new().panic_hook(|panic| {
    ///     eprintln!("{} panicked: {}", panic.method(), panic.message());
    /// });
    /// # drop(server);
    /// ```
    ///
    /// Source: grpc-go has none, and its users add a recovery interceptor such as that of
    /// `go-grpc-middleware`, whose option is `WithRecoveryHandler`.
    #[must_use]
    pub fn panic_hook(mut self, hook: impl Fn(HandlerPanic<'_>) + Send + Sync + 'static) -> Self {
        self.options.panic_hook = Some(PanicHook::new(hook));
        self
    }

    /// Adds an interceptor, which runs around the handler of every call. The first one added is the
    /// outermost. Default: none.
    ///
    /// [`ServerInterceptor`] documents the time at which it runs, and its rights.
    ///
    /// Source: grpc-go `ChainUnaryInterceptor`, `ChainStreamInterceptor`.
    #[must_use]
    pub fn interceptor(mut self, interceptor: impl ServerInterceptor) -> Self {
        self.options.interceptors.push(None, interceptor);
        self
    }

    /// Adds an interceptor for the calls of one service, by its full name: `package.Service`. Its
    /// place in the chain is the order in which interceptors were added. It runs for unknown
    /// methods of the service as well. Default: none.
    #[must_use]
    pub fn service_interceptor(
        mut self,
        service: &str,
        interceptor: impl ServerInterceptor,
    ) -> Self {
        self.options.interceptors.push(Some(service), interceptor);
        self
    }

    /// Adds a stats handler, which receives the events of calls and connections. Several receive
    /// them in the order in which they were added. Default: none.
    ///
    /// See [`crate::stats`] for the events.
    ///
    /// Source: grpc-go `StatsHandler`.
    #[must_use]
    pub fn stats_handler(mut self, handler: impl StatsHandler) -> Self {
        self.options.stats.push(handler);
        self
    }

    /// Sets the function that decides on each call when its head has come, before interceptors run.
    ///
    /// It may refuse the call with a status, insert typed values, and set the maximum message size
    /// of the call. It runs on the connection's task, for every call with a well-formed head, and
    /// must not block. A refused call is seen by stats handlers and by interceptors, which cannot make
    /// it succeed; see [`IncomingCall::refusal`]. It is cheaper than an interceptor, which can wait. A
    /// panic fails the call with INTERNAL. A second function replaces the first. Default: none.
    ///
    /// ```
    /// use rgrpc::{Server, Status};
    ///
    /// let server = Server::new().head_hook(|head| {
    ///     if head.method().starts_with("/admin.") && head.peer().tls().is_none() {
    ///         return Err(Status::permission_denied("administration needs TLS"));
    ///     }
    ///     Ok(())
    /// });
    /// # drop(server);
    /// ```
    ///
    /// Source: grpc-go `InTapHandle`.
    #[must_use]
    pub fn head_hook(
        mut self,
        hook: impl Fn(&mut CallHead<'_>) -> Result<(), Status> + Send + Sync + 'static,
    ) -> Self {
        self.options.head_hook = Some(HeadHook::new(hook));
        self
    }

    /// Sets the function that decides on each connection after its security handshake.
    ///
    /// It may refuse the connection, which is closed then and logged with the error, and insert
    /// typed values, which the calls of the connection have in [`ConnectionHandle::extensions`]. It
    /// runs on the connection's task and must not block. A panic refuses the connection. A second
    /// function replaces the first. Default: none.
    ///
    /// ```
    /// #[derive(Clone)]
    /// struct Internal(bool);
    ///
    /// let server = rgrpc::Server::new().connection_hook(|connection| {
    ///     let has_certificate = connection.peer().tls().is_some();
    ///     connection.extensions_mut().insert(Internal(has_certificate));
    ///     Ok(())
    /// });
    /// # drop(server);
    /// ```
    ///
    /// [`ConnectionHandle::extensions`]: crate::ConnectionHandle::extensions
    ///
    /// Source: grpc-go has none; `stats.Handler.TagConn` comes closest.
    #[must_use]
    pub fn connection_hook(
        mut self,
        hook: impl Fn(&mut NewConnection<'_>) -> Result<(), Box<dyn Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.options.connection_hook = Some(ConnectionHook::new(hook));
        self
    }

    /// Sets the registry that lists the server while it serves. Default: [`Registry::shared`], that of
    /// the process.
    ///
    /// Source: gRFC A14; grpc-go has one registry for the program.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.options.registry = Some(registry);
        self
    }

    /// Adds a service: its table from generated code, and what implements it.
    ///
    /// # Errors
    /// A service of this name is already registered, or the server has begun to serve. The server
    /// is then unchanged.
    pub fn register<T: Send + Sync + 'static>(
        &mut self,
        desc: &'static ServiceDesc<T>,
        service: Arc<T>,
    ) -> Result<(), RegisterError> {
        let services =
            Arc::get_mut(&mut self.services).ok_or(RegisterError::Serving(desc.service_name))?;
        services.add(desc, service)
    }

    /// The registered services, by their names: for a page, for logs, for tests.
    ///
    /// ```
    /// # fn example(server: &rgrpc::Server) {
    /// for service in server.services() {
    ///     for method in service.methods.iter() {
    ///         println!("/{}/{} of {}", service.name, method.name, service.file.name);
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// Source: grpc-go `Server.GetServiceInfo`.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &ServiceInfo> {
        self.services.infos()
    }

    /// The statistics of the server's connections, as [`ServerHandle::connections`].
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionSnapshot> {
        self.handle.connections()
    }

    /// Returns a handle that stops the server, from anywhere.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Serves on a TCP address, until the server is stopped. Port 0 lets the system choose; to
    /// learn its choice, bind a listener and use [`serve_listener`](Self::serve_listener).
    ///
    /// # Errors
    /// The address cannot be bound, a [worker](Self::workers) cannot be started, or the server has
    /// been stopped.
    pub fn serve<A: ToSocketAddrs + Send>(
        &self,
        address: A,
    ) -> impl Future<Output = Result<(), ServeError>> + use<A> {
        let accept = self.accept_loop();
        async move {
            within_runtime()?;
            let listener = TcpListener::bind(address).await.map_err(ServeError::Bind)?;
            accept.run(listener).await
        }
    }

    /// Serves on a TCP address, as [`serve`](Self::serve), and stops gracefully when `shutdown` is
    /// ready. Returns when all calls have ended.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_with_shutdown(
        &self,
        address: impl ToSocketAddrs + Send,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let handle = self.handle();
        // On one task, so that a panic of `shutdown` continues here and is not lost.
        let mut stop = pin!(async move {
            shutdown.await;
            handle.graceful_stop().await;
        });
        let mut served = pin!(self.serve(address));
        match select_biased(served.as_mut(), stop.as_mut()).await {
            Either::First(Ok(())) => {
                stop.await;
                Ok(())
            }
            Either::First(failed) => failed,
            Either::Second(()) => served.await,
        }
    }

    /// Serves on a unix socket, until the server is stopped. On Unix-like systems only.
    ///
    /// Creates the socket's file, and removes it when the server stops or the future is dropped,
    /// unless another file has taken its place. A socket file that a server has left behind, so
    /// that connections to it are refused, is replaced. One on which a server listens, and any
    /// other kind of file, is left alone and is an error.
    ///
    /// # Errors
    /// The path cannot be bound, a [worker](Self::workers) cannot be started, or the server has
    /// been stopped.
    #[cfg(unix)]
    pub fn serve_unix(
        &self,
        path: impl AsRef<Path>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ServeError>> + Send>> {
        let accept = self.accept_loop();
        let path = path.as_ref().to_owned();
        // Boxed, so that the future does not borrow the path.
        Box::pin(async move {
            within_runtime()?;
            let listener = UnixSocket::bind(&path).await.map_err(ServeError::Bind)?;
            accept.run(listener).await
        })
    }

    /// Serves on a socket in the abstract namespace, until the server is stopped. The socket is not
    /// a file, and ends with its listener. On Linux and Android only.
    ///
    /// # Errors
    /// As for [`serve_unix`](Self::serve_unix).
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn serve_unix_abstract(
        &self,
        name: &str,
    ) -> Pin<Box<dyn Future<Output = Result<(), ServeError>> + Send>> {
        // A leading zero byte marks an abstract name.
        self.serve_unix(format!("\0{name}"))
    }

    /// Serves on a listener, until the server is stopped or the listener is closed for good. The
    /// future does not borrow the server, so it can be spawned; several may run at once.
    ///
    /// # Errors
    /// A [worker](Self::workers) cannot be started, or the server has been stopped.
    pub fn serve_listener<L: Listener>(
        &self,
        listener: L,
    ) -> impl Future<Output = Result<(), ServeError>> + Send + use<L> {
        self.accept_loop().run(listener)
    }

    fn accept_loop(&self) -> AcceptLoop {
        AcceptLoop {
            dispatcher: Arc::new(Dispatcher::new(
                Arc::clone(&self.services),
                self.options.clone(),
            )),
            credentials: self.options.credentials.clone(),
            settings: ServerSettings {
                connections: Arc::clone(self.handle.registry()),
                ..self.options.transport.clone()
            },
            handle: self.handle.clone(),
            registry: self
                .options
                .registry
                .clone()
                .unwrap_or_else(Registry::shared),
            workers: self.workers.clone(),
            tcp_user_timeout: self
                .options
                .tcp_user_timeout
                .unwrap_or(Some(self.options.transport.keepalive.timeout)),
        }
    }
}
