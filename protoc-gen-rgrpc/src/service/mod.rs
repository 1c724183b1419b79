//! A service: its names, and the tokens that its parts share.
//!
//! Each generated part has a file: [`server`] the trait, [`desc`] the descriptor and the register
//! function, [`client`] the stubs. Generated code uses full paths for all names, because a message
//! may be called `Result`.
//!
//! Called by the generator for each service of a listed file.

mod client;
mod desc;
mod server;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::parse::Parser;
use syn::parse_quote;

use crate::deprecated::{self, Deprecations};
use crate::names::{Namespace, plain_snake, shouty};

/// The Rust names of a service's items.
pub(crate) struct Names {
    trait_: String,
    client: String,
    desc: String,
    register: String,
    /// The static that describes the service to its client.
    info: String,
    /// The names of each method's function and constant.
    methods: Vec<(String, String)>,
}

/// Assigns names to each service of a package. Traits come first, because they represent elements
/// of the schema, and private items last, because nobody depends on their names.
pub(crate) fn claim_names<'a>(
    services: impl Iterator<Item = &'a prost_build::Service> + Clone,
    types: &mut Namespace,
    values: &mut Namespace,
) -> Vec<Names> {
    let traits: Vec<String> = services
        .clone()
        .map(|service| types.claim(service.name.clone()))
        .collect();
    let mut names: Vec<Names> = services
        .clone()
        .zip(traits)
        .map(|(service, trait_)| {
            // A client has a constructor and implements `Clone`.
            let mut functions = Namespace::of(["new", "clone"]);
            let prefix = shouty(&service.proto_name);
            Names {
                trait_,
                client: types.claim(format!("{}Client", service.name.trim_end_matches('_'))),
                desc: values.claim(format!("{}_desc", plain_snake(&service.proto_name))),
                register: values.claim(format!(
                    "register_{}",
                    plain_snake(&service.proto_name).trim_start_matches('_')
                )),
                info: String::new(),
                methods: service
                    .methods
                    .iter()
                    .map(|method| {
                        let constant = format!(
                            "{prefix}_{}",
                            shouty(&method.proto_name).trim_start_matches('_')
                        );
                        (functions.claim(method.name.clone()), values.claim(constant))
                    })
                    .collect(),
            }
        })
        .collect();
    for (names, service) in names.iter_mut().zip(services) {
        names.info = values.claim(format!("{}_INFO", shouty(&service.proto_name)));
    }
    names
}

/// A service, with the tokens of its generated parts.
pub(crate) struct Service<'a> {
    runtime: &'a syn::Path,
    /// The full name: `routeguide.RouteGuide`.
    full_name: String,
    trait_: Ident,
    client: Ident,
    desc: Ident,
    register: Ident,
    info: Ident,
    /// The expression of the file's `FileDesc`.
    file_desc: TokenStream,
    /// The type parameters for the implementation and the connection. No type of the package has
    /// their names.
    implementation: Ident,
    connection: Ident,
    docs: Vec<syn::Attribute>,
    deprecated: bool,
    /// The attribute that allows the service's items to mention each other and their types.
    allow: Vec<syn::Attribute>,
    methods: Vec<Method>,
}

/// A method of a [`Service`].
struct Method {
    function: Ident,
    constant: Ident,
    proto_name: String,
    /// The full method name: `/routeguide.RouteGuide/GetFeature`.
    path: String,
    input: syn::Type,
    output: syn::Type,
    kind: Kind,
    docs: Vec<syn::Attribute>,
    deprecated: bool,
}

/// The kind of a method: the sides that stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unary,
    ClientStreaming,
    ServerStreaming,
    Bidi,
}

impl<'a> Service<'a> {
    /// Prepares a service from prost-build's description. `file_desc` is the expression of its
    /// file's `FileDesc`. It fails on a type that is not a Rust type, which only an `extern_path`
    /// can cause.
    pub(crate) fn new(
        service: &prost_build::Service,
        file_desc: TokenStream,
        names: Names,
        types: &Namespace,
        deprecations: &Deprecations,
        runtime: &'a syn::Path,
    ) -> syn::Result<Self> {
        let full_name = if service.package.is_empty() {
            service.proto_name.clone()
        } else {
            format!("{}.{}", service.package, service.proto_name)
        };
        let methods = service
            .methods
            .iter()
            .zip(names.methods)
            .map(|(method, names)| Method::new(method, names, &full_name))
            .collect::<syn::Result<Vec<_>>>()?;
        let deprecated = service.options.deprecated();
        let mentions_deprecated = deprecated
            || methods.iter().any(|method| {
                method.deprecated
                    || deprecations.mentions(&method.input)
                    || deprecations.mentions(&method.output)
            });
        let mut allow = Vec::new();
        if mentions_deprecated {
            allow.push(deprecated::allow());
        }
        allow.extend(clippy_allow(&methods));
        Ok(Self {
            runtime,
            trait_: identifier(&names.trait_)?,
            client: identifier(&names.client)?,
            desc: identifier(&names.desc)?,
            register: identifier(&names.register)?,
            info: identifier(&names.info)?,
            file_desc,
            implementation: identifier(&types.free("T"))?,
            connection: identifier(&types.free("C"))?,
            docs: docs(&service.comments, &format!("The service `{full_name}`."))?,
            full_name,
            deprecated,
            allow,
            methods,
        })
    }

    /// Returns the constants with the full method names.
    pub(crate) fn constants(&self) -> Vec<syn::Item> {
        let constant = |method: &Method| {
            let Method { constant, path, .. } = method;
            let doc = format!(
                " The full name of the method `{}` of `{}`.",
                method.proto_name, self.full_name
            );
            parse_quote! {
                #[doc = #doc]
                pub const #constant: &str = #path;
            }
        };
        self.methods.iter().map(constant).collect()
    }

    /// Returns the methods in the order of the service's descriptors: the unary ones first.
    fn ordered_methods(&self) -> impl Iterator<Item = &Method> {
        let (unary, streaming): (Vec<_>, Vec<_>) = self
            .methods
            .iter()
            .partition(|method| method.kind == Kind::Unary);
        unary.into_iter().chain(streaming)
    }
}

impl Method {
    fn new(
        method: &prost_build::Method,
        (function, constant): (String, String),
        service: &str,
    ) -> syn::Result<Self> {
        Ok(Self {
            function: identifier(&function)?,
            constant: identifier(&constant)?,
            proto_name: method.proto_name.clone(),
            path: format!("/{service}/{}", method.proto_name),
            input: syn::parse_str(&method.input_type)?,
            output: syn::parse_str(&method.output_type)?,
            kind: match (method.client_streaming, method.server_streaming) {
                (false, false) => Kind::Unary,
                (true, false) => Kind::ClientStreaming,
                (false, true) => Kind::ServerStreaming,
                (true, true) => Kind::Bidi,
            },
            docs: docs(
                &method.comments,
                &format!("The method `{}`.", method.proto_name),
            )?,
            deprecated: method.options.deprecated(),
        })
    }
}

/// Returns an identifier, raw if the name is.
pub(crate) fn identifier(name: &str) -> syn::Result<Ident> {
    match name.strip_prefix("r#") {
        Some(keyword) => Ok(Ident::new_raw(keyword, Span::call_site())),
        None => syn::parse_str(name),
    }
}

/// Returns the comments as doc attributes, in prost-build's form for messages.
fn docs(comments: &prost_build::Comments, otherwise: &str) -> syn::Result<Vec<syn::Attribute>> {
    let mut text = String::new();
    comments.append_with_indent(0, &mut text);
    if text.is_empty() {
        text = format!("/// {otherwise}");
    }
    syn::Attribute::parse_outer.parse_str(&text)
}

/// Returns `#[deprecated]` if the element is deprecated.
fn deprecated_attribute(deprecated: bool) -> Option<TokenStream> {
    deprecated.then(|| quote! { #[deprecated] })
}

/// Returns an attribute that allows clippy's lints on names from the schema: `into_x` should take
/// `self`, `cmp` should be a trait's method.
fn clippy_allow(methods: &[Method]) -> Option<syn::Attribute> {
    const PREFIXES: [&str; 5] = ["as_", "from_", "into_", "is_", "to_"];
    let convention = methods.iter().any(|method| {
        let name = method.function.to_string();
        PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    });
    let standard = methods.iter().any(|method| method.function == "cmp");
    match (convention, standard) {
        (false, false) => None,
        (true, false) => Some(parse_quote! { #[allow(clippy::wrong_self_convention)] }),
        (false, true) => Some(parse_quote! { #[allow(clippy::should_implement_trait)] }),
        (true, true) => Some(parse_quote! {
            #[allow(clippy::wrong_self_convention, clippy::should_implement_trait)]
        }),
    }
}

#[cfg(test)]
mod tests {
    use prost_build::{Comments, Method as ProstMethod, Service as ProstService};

    use super::*;

    fn service(name: &str, methods: &[&str]) -> ProstService {
        let method = |name: &&str| ProstMethod {
            name: crate::names::snake(name),
            proto_name: (*name).to_owned(),
            comments: Comments::default(),
            input_type: String::new(),
            output_type: String::new(),
            input_proto_type: String::new(),
            output_proto_type: String::new(),
            options: Default::default(),
            client_streaming: false,
            server_streaming: false,
        };
        ProstService {
            name: crate::names::upper_camel(name),
            proto_name: name.to_owned(),
            package: String::new(),
            comments: Comments::default(),
            methods: methods.iter().map(method).collect(),
            options: Default::default(),
        }
    }

    #[test]
    fn a_taken_name_gets_a_trailing_underscore_and_traits_come_first() {
        let services = [
            service(
                "foo",
                &["BarBaz", "New", "clone", "GetX", "get_x", "Type", "Info"],
            ),
            service("Foo_Bar", &["Baz"]),
            service("FooClient", &[]),
            service("File", &["DescriptorSet"]),
            service("Desc", &[]),
            service("Register", &[]),
        ];
        let mut types = Namespace::of(["Foo", "FileClient"]);
        let mut values = Namespace::of(["FILE_DESCRIPTOR_SET"]);
        let names = claim_names(services.iter(), &mut types, &mut values);
        let items: Vec<[&str; 4]> = names
            .iter()
            .map(|names| [&names.trait_, &names.client, &names.desc, &names.register])
            .map(|items| items.map(String::as_str))
            .collect();
        assert_eq!(
            items,
            [
                ["Foo_", "FooClient_", "foo_desc", "register_foo"],
                ["FooBar", "FooBarClient", "foo_bar_desc", "register_foo_bar"],
                [
                    "FooClient",
                    "FooClientClient",
                    "foo_client_desc",
                    "register_foo_client"
                ],
                ["File", "FileClient_", "file_desc", "register_file"],
                ["Desc", "DescClient", "desc_desc", "register_desc"],
                [
                    "Register",
                    "RegisterClient",
                    "register_desc_",
                    "register_register"
                ],
            ]
        );
        assert_eq!(names[0].info, "FOO_INFO_");
        let methods: Vec<(&str, &str)> = names
            .iter()
            .flat_map(|names| &names.methods)
            .map(|(function, constant)| (function.as_str(), constant.as_str()))
            .collect();
        assert_eq!(
            methods,
            [
                ("bar_baz", "FOO_BAR_BAZ"),
                ("new_", "FOO_NEW"),
                ("clone_", "FOO_CLONE"),
                ("get_x", "FOO_GET_X"),
                ("get_x_", "FOO_GET_X_"),
                ("r#type", "FOO_TYPE"),
                ("info", "FOO_INFO"),
                ("baz", "FOO_BAR_BAZ_"),
                ("descriptor_set", "FILE_DESCRIPTOR_SET_"),
            ]
        );
    }
}
