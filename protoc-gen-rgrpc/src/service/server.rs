//! The service trait, which a server implements.
//!
//! Called by the generator for each service.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse_quote;

use super::{Kind, Method, Service, deprecated_attribute};

impl Service<'_> {
    /// Returns the service trait, with a default body for each method unless `require_methods` is
    /// set.
    pub(crate) fn server_trait(&self, require_methods: bool) -> syn::Item {
        let Self {
            trait_,
            docs,
            allow,
            ..
        } = self;
        let deprecated = deprecated_attribute(self.deprecated);
        let methods = self
            .methods
            .iter()
            .map(|method| self.trait_method(method, require_methods));
        parse_quote! {
            #(#docs)*
            #deprecated
            #(#allow)*
            pub trait #trait_: ::core::marker::Send + ::core::marker::Sync + 'static {
                #(#methods)*
            }
        }
    }

    fn trait_method(&self, method: &Method, require_methods: bool) -> TokenStream {
        let runtime = self.runtime;
        let Method {
            function,
            input,
            output,
            docs,
            ..
        } = method;
        let deprecated = deprecated_attribute(method.deprecated);
        let (parameters, arguments, result) = match method.kind {
            Kind::Unary => (
                quote! { request: #runtime::Request<#input> },
                quote! { request },
                quote! { #runtime::Response<#output> },
            ),
            Kind::ClientStreaming => (
                quote! { requests: #runtime::Request<#runtime::RecvStream<#input>> },
                quote! { requests },
                quote! { #runtime::Response<#output> },
            ),
            Kind::ServerStreaming => (
                quote! { request: #runtime::Request<#input>, responses: #runtime::SendStream<#output> },
                quote! { (request, responses) },
                quote! { () },
            ),
            Kind::Bidi => (
                quote! {
                    requests: #runtime::Request<#runtime::RecvStream<#input>>,
                    responses: #runtime::SendStream<#output>
                },
                quote! { (requests, responses) },
                quote! { () },
            ),
        };
        let body = if require_methods {
            quote! { ; }
        } else {
            let message = format!("method {} not implemented", method.proto_name);
            quote! {
                {
                    let _ = #arguments;
                    async { ::core::result::Result::Err(#runtime::Status::unimplemented(#message)) }
                }
            }
        };
        quote! {
            #(#docs)*
            #deprecated
            fn #function(&self, #parameters) -> impl ::core::future::Future<
                Output = ::core::result::Result<#result, #runtime::Status>,
            > + ::core::marker::Send
            #body
        }
    }
}
