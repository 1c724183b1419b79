//! The name by which a client calls a method. That of a generated stub has the method's descriptor.
//!
//! Created by stubs and users; passed through `Invoke`, interceptors and filters to the stream.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use crate::descriptor::{MethodDescriptor, ServiceInfo};

/// A method's full name: `/package.Service/Method`. Dereferences to `str`.
///
/// Generated stubs make it of a [`StubMethod`], with the method's [descriptor](Self::descriptor); a
/// constant works as well. Either costs nothing. A name that is put together at run time is a
/// `String`.
///
/// Names are equal if their texts are.
#[derive(Clone)]
pub struct MethodName(Name);

#[derive(Clone)]
enum Name {
    Stub(&'static StubMethod),
    Static(&'static str),
    Owned(String),
}

impl MethodName {
    /// A name that is known when the program is compiled. `From<&'static str>` does the same.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        Self(Name::Static(name))
    }

    /// The name as text.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Stub(method) => method.full_name,
            Name::Static(name) => name,
            Name::Owned(name) => name,
        }
    }

    /// The descriptor of the method and its service; `None` if the name is not that of a stub.
    #[must_use]
    pub fn descriptor(&self) -> Option<MethodDescriptor<'static>> {
        match &self.0 {
            Name::Stub(method) => Some(method.descriptor),
            Name::Static(_) | Name::Owned(_) => None,
        }
    }

    /// True if the name was known when the program was compiled: that of a stub, or a constant. A
    /// program has a bounded number of these.
    ///
    /// Source: grpc-go `StaticMethod`.
    #[must_use]
    pub const fn is_static(&self) -> bool {
        match &self.0 {
            Name::Stub(_) | Name::Static(_) => true,
            Name::Owned(_) => false,
        }
    }
}

impl Deref for MethodName {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for MethodName {
    fn as_ref(&self) -> &str {
        self
    }
}

impl From<&'static StubMethod> for MethodName {
    #[inline]
    fn from(method: &'static StubMethod) -> Self {
        Self(Name::Stub(method))
    }
}

impl From<&'static str> for MethodName {
    fn from(name: &'static str) -> Self {
        Self::from_static(name)
    }
}

impl From<String> for MethodName {
    fn from(name: String) -> Self {
        Self(Name::Owned(name))
    }
}

impl From<Cow<'static, str>> for MethodName {
    fn from(name: Cow<'static, str>) -> Self {
        match name {
            Cow::Borrowed(name) => name.into(),
            Cow::Owned(name) => name.into(),
        }
    }
}

impl PartialEq for MethodName {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for MethodName {}

impl PartialEq<str> for MethodName {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for MethodName {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl Hash for MethodName {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// A method as a stub calls it: the full name and the descriptor. Generated code has a static for
/// each method of a client.
///
/// ```
/// use rgrpc::{FileDesc, MethodInfo, MethodName, ServiceInfo, StubMethod};
///
/// static GREETER: ServiceInfo = ServiceInfo::new(
///     "helloworld.Greeter",
///     &[MethodInfo::unary("SayHello")],
///     FileDesc { name: "helloworld.proto", descriptor_set: b"" },
/// );
/// static SAY_HELLO: StubMethod = StubMethod::new("/helloworld.Greeter/SayHello", &GREETER, 0);
///
/// // As a stub does: UnaryCall::new(&conn, ProtoCodec, &SAY_HELLO, request).
/// let name = MethodName::from(&SAY_HELLO);
/// assert_eq!(name, "/helloworld.Greeter/SayHello");
/// assert_eq!(name.descriptor().expect("a stub's").method.name, "SayHello");
/// ```
#[derive(Clone, Debug)]
pub struct StubMethod {
    full_name: &'static str,
    descriptor: MethodDescriptor<'static>,
}

impl StubMethod {
    /// The method at this place in [`ServiceInfo::methods`], with its full name:
    /// `/package.Service/Method`.
    ///
    /// # Panics
    ///
    /// The service has no method there. In a static, that is an error of the compiler.
    #[must_use]
    pub const fn new(full_name: &'static str, service: &'static ServiceInfo, index: usize) -> Self {
        let methods = match &service.methods {
            Cow::Borrowed(methods) => *methods,
            Cow::Owned(methods) => methods.as_slice(),
        };
        Self {
            full_name,
            descriptor: MethodDescriptor {
                service,
                method: &methods[index],
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{FileDesc, MethodInfo};

    static SERVICE: ServiceInfo = ServiceInfo::new(
        "pkg.Svc",
        &[MethodInfo::unary("Get"), MethodInfo::bidi_streaming("Chat")],
        FileDesc {
            name: "svc.proto",
            descriptor_set: b"",
        },
    );
    static CHAT: StubMethod = StubMethod::new("/pkg.Svc/Chat", &SERVICE, 1);

    #[test]
    fn a_name_is_no_larger_than_a_string() {
        // It is moved into and out of the future of every call.
        assert_eq!(size_of::<MethodName>(), size_of::<String>());
    }

    #[test]
    fn only_a_stub_s_name_has_a_descriptor() {
        for (name, is_static, has_descriptor) in [
            (MethodName::from(&CHAT), true, true),
            (MethodName::from("/pkg.Svc/Chat"), true, false),
            (MethodName::from("/pkg.Svc/Chat".to_owned()), false, false),
            (Cow::Borrowed("/pkg.Svc/Chat").into(), true, false),
        ] {
            assert_eq!(name, "/pkg.Svc/Chat");
            assert_eq!(name, MethodName::from(&CHAT));
            assert_eq!(name.is_static(), is_static);
            assert_eq!(name.descriptor().is_some(), has_descriptor);
        }
        let descriptor = MethodName::from(&CHAT).descriptor().expect("a stub's");
        assert_eq!(descriptor.method, &MethodInfo::bidi_streaming("Chat"));
        assert_eq!(descriptor.service.name, "pkg.Svc");
    }
}
