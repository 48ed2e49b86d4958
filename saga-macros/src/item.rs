//! What activities and workflows have in common: the function that makes a call, and the type of
//! the same name that holds the inputs.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{GenericArgument, PathArguments, ReturnType, Type};

use crate::docs;
use crate::function::{Attrs, Function, Params, borrow, not_a_result};
use crate::krate::{Krate, located};

/// An activity or a workflow on its way to code.
pub(crate) struct Item<'a> {
    pub(crate) function: &'a Function,
    pub(crate) params: &'a Params,
    pub(crate) attrs: &'a Attrs,
    pub(crate) krate: &'a Krate,
    /// `ActivityCall` or `WorkflowCall`.
    pub(crate) call_type: TokenStream,
    /// What the generated documentation says.
    pub(crate) docs: Vec<String>,
}

/// Lints about the shape of a function that the framework, not the user, decides.
pub(crate) fn allow_on_body() -> TokenStream {
    quote! {
        #[allow(
            clippy::missing_errors_doc,
            clippy::missing_panics_doc,
            clippy::needless_pass_by_value,
            clippy::trivially_copy_pass_by_ref,
            clippy::unnecessary_wraps,
            clippy::unused_async
        )]
    }
}

impl Item<'_> {
    /// The function that makes a call.
    pub(crate) fn call(&self) -> TokenStream {
        let Function { vis, sig, .. } = self.function;
        let ident = &sig.ident;
        let span = located(ident.span());
        let krate = self.krate.at(span);
        let Attrs { cfg, call, lints, .. } = self.attrs;
        let docs = docs::attrs(call.iter().any(|attr| attr.path().is_ident("doc")), &self.docs);
        let call_type = &self.call_type;
        let (inputs, body) = if self.params.broken {
            let stub = sig.inputs.iter().filter_map(|arg| match arg {
                syn::FnArg::Typed(typed) if typed.attrs.is_empty() => {
                    let mut typed = typed.clone();
                    if let syn::Pat::Ident(_) = &*typed.pat {
                    } else {
                        *typed.pat =
                            syn::Pat::Wild(syn::PatWild { attrs: Vec::new(), underscore_token: syn::Token![_](span) });
                    }
                    Some(quote!(#typed))
                }
                _ => None,
            });
            (stub.collect::<Vec<_>>(), quote_spanned!(span=> #krate::#call_type::new(#ident {})))
        } else {
            let inputs = self.params.inputs().map(|param| {
                let (name, ty) = (&param.ident, &param.ty);
                quote!(#name: #ty)
            });
            let names = self.params.inputs().map(|param| &param.ident);
            let body = quote_spanned!(span=> #krate::#call_type::new(#ident { #(#names),* }));
            (inputs.collect(), body)
        };
        let generics = self.params.broken.then(|| {
            let generics = &sig.generics;
            let clause = &generics.where_clause;
            (quote!(#generics), quote!(#clause))
        });
        let (generics, clause) = generics.unwrap_or_default();
        let unused = self.params.broken.then(|| quote!(#[allow(unused_variables, unused_mut)]));
        quote_spanned! {span=>
            #(#cfg)*
            #(#call)*
            #docs
            #(#lints)*
            #[allow(dead_code, clippy::too_many_arguments)]
            #unused
            #vis fn #ident #generics (#(#inputs),*) -> #krate::#call_type<#ident> #clause {
                #body
            }
        }
    }

    /// The type that holds the inputs.
    pub(crate) fn data(&self) -> TokenStream {
        let Function { vis, sig, .. } = self.function;
        let ident = &sig.ident;
        let span = located(ident.span());
        let cfg = &self.attrs.cfg;
        let doc = format!("The inputs of [`{ident}()`].");
        let fields = self.inputs().map(|param| {
            let (name, ty) = (&param.ident, &param.ty);
            let doc = format!("The input `{}`.", name.unraw());
            quote!(#[doc = #doc] #vis #name: #ty)
        });
        quote_spanned! {span=>
            #(#cfg)*
            #[doc(hidden)]
            #[doc = #doc]
            #[allow(
                dead_code,
                non_camel_case_types,
                clippy::pub_underscore_fields,
                clippy::struct_excessive_bools,
                clippy::struct_field_names,
                clippy::unsafe_derive_deserialize
            )]
            #vis struct #ident { #(#fields),* }
        }
    }

    /// The inputs that are recorded; none if the signature is broken.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &crate::function::Param> + Clone {
        self.params.inputs().filter(|_| !self.params.broken)
    }

    /// `Serialize` and `Deserialize`, by a generic twin of the type: an input that has them not
    /// is then one error, at its own type.
    pub(crate) fn serde(&self) -> TokenStream {
        let ident = &self.function.sig.ident;
        let span = located(ident.span());
        let private = self.krate.private(span);
        let path = format!("{}::__private::serde", self.krate.text());
        let shown = ident.unraw().to_string();
        let names: Vec<_> = self.inputs().map(|param| &param.ident).collect();
        let types: Vec<_> = self.inputs().map(|param| &param.ty).collect();
        let letters: Vec<_> = (0..names.len()).map(|index| format_ident!("T{index}", span = span)).collect();
        let asserts = types.iter().map(|ty| {
            let span = located(ty.span());
            let private = self.krate.private(span);
            quote_spanned!(span=> #private::recorded::<#ty>();)
        });
        quote_spanned! {span=>
            const _: () = { #(#asserts)* };

            #[derive(#private::serde::Serialize, #private::serde::Deserialize)]
            #[serde(crate = #path, rename = #shown)]
            struct __SagaInputs<#(#letters),*> { #(#names: #letters),* }

            #[automatically_derived]
            impl #private::serde::Serialize for #ident {
                fn serialize<__S: #private::serde::Serializer>(
                    &self,
                    serializer: __S,
                ) -> ::core::result::Result<__S::Ok, __S::Error> {
                    #[allow(unused_imports)]
                    use #private::{CannotEncode as _, Encodes as _};
                    (&#private::Encoder(__SagaInputs { #(#names: &self.#names),* })).encode(serializer)
                }
            }

            #[automatically_derived]
            impl<'de> #private::serde::Deserialize<'de> for #ident {
                fn deserialize<__D: #private::serde::Deserializer<'de>>(
                    deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    #[allow(unused_imports)]
                    use #private::{CannotDecode as _, Decodes as _};
                    let __SagaInputs { #(#names),* } =
                        (&#private::Decoder::<__SagaInputs<#(#types),*>>::new()).decode(deserializer)?;
                    ::core::result::Result::Ok(Self { #(#names),* })
                }
            }
        }
    }

    /// The two sides of the returned `Result`.
    pub(crate) fn output_types(&self) -> (TokenStream, TokenStream) {
        let plain_generics = self.function.sig.generics.params.is_empty();
        match &self.function.sig.output {
            ReturnType::Type(_, ty) if plain_generics && borrow(ty).is_none() && not_a_result(ty).is_none() => {
                let side = |at: usize, name: &str| {
                    let span = located(written_side(ty, at).unwrap_or(ty).span());
                    let (private, name) = (self.krate.private(span), Ident::new(name, span));
                    quote_spanned!(span=> <#ty as #private::ResultType>::#name)
                };
                (side(0, "Ok"), side(1, "Err"))
            }
            _ => {
                let span = located(self.function.sig.ident.span());
                let krate = self.krate.at(span);
                (quote_spanned!(span=> ()), quote_spanned!(span=> #krate::Error))
            }
        }
    }
}

/// The type that is written for one side of a `Result`, or of an alias of it.
fn written_side(ty: &Type, at: usize) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    match arguments.args.get(at)? {
        GenericArgument::Type(side) => Some(side),
        _ => None,
    }
}
