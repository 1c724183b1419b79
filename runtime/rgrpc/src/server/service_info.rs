use super::{FileDesc, ServiceDesc};

/// A service that a server has registered: its methods and the file that declares it.
///
/// Source: grpc-go `ServiceInfo`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceInfo {
    /// The full name: `package.Service`.
    pub name: &'static str,
    /// The methods: the unary ones first, each kind in the order of the `.proto` file.
    pub methods: Vec<MethodInfo>,
    /// The file that declares the service.
    pub file: FileDesc,
}

/// A method of a service that a server has registered.
///
/// Source: grpc-go `MethodInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodInfo {
    /// The name, without the service's.
    pub name: &'static str,
    /// True if the client sends any number of messages.
    pub client_streams: bool,
    /// True if the server sends any number of messages. A method without either kind of stream is
    /// unary.
    pub server_streams: bool,
}

/// The descriptor of a method: the method and its service.
///
/// Source: grpc-go `UnaryServerInfo` and `StreamServerInfo`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MethodDescriptor<'a> {
    /// The service, with its name and the file that declares it.
    pub service: &'a ServiceInfo,
    /// The method.
    pub method: &'a MethodInfo,
}

impl ServiceInfo {
    pub(super) fn of<T>(desc: &ServiceDesc<T>) -> Self {
        let unary = desc.methods.iter().map(|method| MethodInfo {
            name: method.method_name,
            client_streams: false,
            server_streams: false,
        });
        let streams = desc.streams.iter().map(|stream| MethodInfo {
            name: stream.stream_name,
            client_streams: stream.client_streams,
            server_streams: stream.server_streams,
        });
        Self {
            name: desc.service_name,
            methods: unary.chain(streams).collect(),
            file: desc.file,
        }
    }
}
