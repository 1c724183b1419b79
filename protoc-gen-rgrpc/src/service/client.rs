//! The client: a stub for each method, on the runtime's call builders.
//!
//! Called by the generator for each service.

use proc_macro2::{Literal, TokenStream};
use quote::quote;
use syn::parse_quote;

use super::{Kind, Method, Service, deprecated_attribute};

impl Service<'_> {
    /// Returns the client's struct and its stubs, and the description of the service that they
    /// refer to.
    pub(crate) fn client(&self) -> Vec<syn::Item> {
        let Self {
            runtime,
            full_name,
            client,
            connection,
            allow,
            ..
        } = self;
        let deprecated = deprecated_attribute(self.deprecated);
        let stubs = self.methods.iter().map(|method| self.stub(method));
        let info = (!self.methods.is_empty()).then(|| self.info());
        // The client of a service without methods does not use its connection.
        let unused = self
            .methods
            .is_empty()
            .then(|| quote! { #[allow(dead_code)] });
        let doc = format!(" A client of `{full_name}`. A clone shares the connection.");
        let new = " Creates a client that makes its calls on `conn`.";
        let structure = parse_quote! {
            #[doc = #doc]
            #deprecated
            #(#allow)*
            #[derive(Clone, Debug)]
            #unused
            pub struct #client<#connection = #runtime::ClientConn> {
                conn: #connection,
            }
        };
        let stubs = parse_quote! {
            #(#allow)*
            impl<#connection: #runtime::Invoke> #client<#connection> {
                #[doc = #new]
                #[must_use]
                pub const fn new(conn: #connection) -> Self {
                    Self { conn }
                }
                #(#stubs)*
            }
        };
        info.into_iter().chain([structure, stubs]).collect()
    }

    /// Returns the static with the service's descriptor.
    fn info(&self) -> syn::Item {
        let Self {
            runtime,
            full_name,
            info,
            file_desc,
            ..
        } = self;
        let methods = self.ordered_methods().map(|method| {
            let constructor = match method.kind {
                Kind::Unary => quote! { unary },
                Kind::ClientStreaming => quote! { client_streaming },
                Kind::ServerStreaming => quote! { server_streaming },
                Kind::Bidi => quote! { bidi_streaming },
            };
            let name = &method.proto_name;
            quote! { #runtime::MethodInfo::#constructor(#name) }
        });
        let doc = format!(" The descriptor of `{full_name}`, which the client's calls have.");
        parse_quote! {
            #[doc = #doc]
            static #info: #runtime::ServiceInfo = #runtime::ServiceInfo::new(
                #full_name,
                &[#(#methods),*],
                #file_desc,
            );
        }
    }

    fn stub(&self, method: &Method) -> TokenStream {
        let Self {
            runtime,
            connection,
            info,
            ..
        } = self;
        let place = self
            .ordered_methods()
            .position(|other| other.path == method.path)
            .map(Literal::usize_unsuffixed);
        let Method {
            function,
            constant,
            input,
            output,
            docs,
            ..
        } = method;
        let deprecated = deprecated_attribute(method.deprecated);
        let call = match method.kind {
            Kind::Unary => quote! { UnaryCall },
            Kind::ClientStreaming => quote! { ClientStreamingCall },
            Kind::ServerStreaming => quote! { ServerStreamingCall },
            Kind::Bidi => quote! { BidiStreamingCall },
        };
        let takes_request = matches!(method.kind, Kind::Unary | Kind::ServerStreaming);
        let parameter = takes_request
            .then(|| quote! { , request: impl ::core::convert::Into<#runtime::Request<#input>> });
        let argument = takes_request.then(|| quote! { , ::core::convert::Into::into(request) });
        quote! {
            #(#docs)*
            #deprecated
            pub fn #function(&self #parameter) -> #runtime::#call<'_, #connection, #input, #output> {
                static METHOD: #runtime::StubMethod = #runtime::StubMethod::new(#constant, &#info, #place);
                #runtime::#call::new(&self.conn, #runtime::ProtoCodec, &METHOD #argument)
            }
        }
    }
}
