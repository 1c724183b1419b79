//! The descriptors of services and methods: names, kinds, and the file that declares them.
//!
//! Generated code has one [`ServiceInfo`] for each service with a client. A server makes one for
//! each service that it registers.

use std::borrow::Cow;
use std::fmt;

/// A service: its methods and the file that declares it.
///
/// Source: grpc-go `ServiceInfo`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceInfo {
    /// The full name: `package.Service`.
    pub name: &'static str,
    /// The methods: the unary ones first, each kind in the order of the `.proto` file.
    pub methods: Cow<'static, [MethodInfo]>,
    /// The file that declares the service.
    pub file: FileDesc,
}

impl ServiceInfo {
    /// Describes a service with these methods. Generated code has one for each service.
    #[must_use]
    pub const fn new(name: &'static str, methods: &'static [MethodInfo], file: FileDesc) -> Self {
        Self {
            name,
            methods: Cow::Borrowed(methods),
            file,
        }
    }
}

/// A method of a service.
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

impl MethodInfo {
    /// Describes a unary method of this name, without the service's.
    #[must_use]
    pub const fn unary(name: &'static str) -> Self {
        Self::new(name, false, false)
    }

    /// Describes a client-streaming method of this name, without the service's.
    #[must_use]
    pub const fn client_streaming(name: &'static str) -> Self {
        Self::new(name, true, false)
    }

    /// Describes a server-streaming method of this name, without the service's.
    #[must_use]
    pub const fn server_streaming(name: &'static str) -> Self {
        Self::new(name, false, true)
    }

    /// Describes a bidirectional method of this name, without the service's.
    #[must_use]
    pub const fn bidi_streaming(name: &'static str) -> Self {
        Self::new(name, true, true)
    }

    pub(crate) const fn new(
        name: &'static str,
        client_streams: bool,
        server_streams: bool,
    ) -> Self {
        Self {
            name,
            client_streams,
            server_streams,
        }
    }
}

/// The descriptor of a method: the method and its service.
///
/// The method's options, such as `idempotency_level`, are in the
/// [descriptor set](FileDesc::descriptor_set) of the service's file.
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

/// A `.proto` file, for reflection.
#[derive(Clone, Copy)]
#[allow(
    clippy::exhaustive_structs,
    reason = "generated code makes it; its version is checked"
)]
pub struct FileDesc {
    /// The file's name, as other files import it.
    pub name: &'static str,
    /// An encoded `google.protobuf.FileDescriptorSet` with the file and all that it imports; empty
    /// when code was generated without it.
    pub descriptor_set: &'static [u8],
}

impl fmt::Debug for FileDesc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileDesc")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
