//! The service descriptor, by which a server dispatches, and the function that registers it.
//!
//! Called by the generator for each service.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse_quote;

use super::{Kind, Method, Service, deprecated_attribute};

impl Service<'_> {
    /// Returns the function `route_guide_desc::<T>()`. An inline `const` makes the descriptor
    /// static although it depends on `T`.
    pub(crate) fn desc(&self) -> syn::Item {
        let Self {
            runtime,
            full_name,
            file_desc,
            desc,
            trait_,
            allow,
            ..
        } = self;
        let implementation = &self.implementation;
        let deprecated = deprecated_attribute(self.deprecated);
        let (unary, streaming): (Vec<&Method>, Vec<&Method>) = self
            .methods
            .iter()
            .partition(|method| method.kind == Kind::Unary);
        let methods = unary.into_iter().map(|method| self.method_desc(method));
        let streams = streaming.into_iter().map(|method| self.stream_desc(method));
        let doc = format!(
            " The service descriptor of `{full_name}`, which dispatches calls to a [`{trait_}`]."
        );
        parse_quote! {
            #[doc = #doc]
            #deprecated
            #(#allow)*
            #[must_use]
            pub const fn #desc<#implementation: #trait_>() -> &'static #runtime::ServiceDesc<#implementation> {
                const {
                    &#runtime::ServiceDesc {
                        service_name: #full_name,
                        methods: &[#(#methods),*],
                        streams: &[#(#streams),*],
                        file: #file_desc,
                    }
                }
            }
        }
    }

    fn method_desc(&self, method: &Method) -> TokenStream {
        let runtime = &self.runtime;
        let proto_name = &method.proto_name;
        let handler = self.handler(method);
        quote! {
            #runtime::MethodDesc {
                method_name: #proto_name,
                handler: #handler,
            }
        }
    }

    fn stream_desc(&self, method: &Method) -> TokenStream {
        let runtime = &self.runtime;
        let Method {
            proto_name, kind, ..
        } = method;
        let handler = self.handler(method);
        let client_streams = matches!(kind, Kind::ClientStreaming | Kind::Bidi);
        let server_streams = matches!(kind, Kind::ServerStreaming | Kind::Bidi);
        quote! {
            #runtime::StreamDesc {
                stream_name: #proto_name,
                client_streams: #client_streams,
                server_streams: #server_streams,
                handler: #handler,
            }
        }
    }

    /// Returns the function pointer that calls the implementation's method.
    fn handler(&self, method: &Method) -> TokenStream {
        let Self {
            runtime,
            implementation,
            trait_,
            ..
        } = self;
        let Method { function, kind, .. } = method;
        let call = match kind {
            Kind::Unary => quote! { unary },
            Kind::ClientStreaming => quote! { client_streaming },
            Kind::ServerStreaming => quote! { server_streaming },
            Kind::Bidi => quote! { bidi_streaming },
        };
        quote! {
            |service, call| {
                call.#call(
                    #runtime::ProtoCodec,
                    service,
                    <#implementation as #trait_>::#function,
                )
            }
        }
    }

    /// Returns the function `register_route_guide`.
    pub(crate) fn register(&self) -> syn::Item {
        let Self {
            runtime,
            full_name,
            desc,
            register,
            implementation,
            trait_,
            allow,
            ..
        } = self;
        let deprecated = deprecated_attribute(self.deprecated);
        let doc = format!(" Registers `service` with `server` as `{full_name}`.");
        parse_quote! {
            #[doc = #doc]
            ///
            /// # Errors
            ///
            /// The server already has a service of this name.
            #deprecated
            #(#allow)*
            pub fn #register<#implementation: #trait_>(
                server: &mut #runtime::Server,
                service: #implementation,
            ) -> ::core::result::Result<(), #runtime::RegisterError> {
                server.register(#desc::<#implementation>(), ::std::sync::Arc::new(service))
            }
        }
    }
}
