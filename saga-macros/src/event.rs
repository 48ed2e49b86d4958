//! `#[derive(Event)]`.

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::DeriveInput;
use syn::ext::IdentExt as _;

use crate::attr;
use crate::diag::Diag;
use crate::krate::{Krate, located};

const KNOWN: &[&str] = &["name", "crate"];

/// Expands `#[derive(Event)]`.
pub(crate) fn event(item: TokenStream) -> TokenStream {
    let mut diag = Diag::default();
    let input: DeriveInput = match syn::parse2(item) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut krate = Krate::default_path();
    let mut name = input.ident.unraw().to_string();
    for option in attr::helper(&input.attrs, "event", &mut diag) {
        match option.name.to_string().as_str() {
            "name" => name = option.name_string(&mut diag).unwrap_or(name),
            "crate" => krate = option.krate(&mut diag).unwrap_or(krate),
            _ => diag.unknown(&option.name, "`#[event]`", KNOWN),
        }
    }
    let ident = &input.ident;
    let span = located(ident.span());
    if !input.generics.params.is_empty() {
        diag.at(&input.generics, "an event's name stands for one type: it cannot be generic");
        return diag.into_tokens();
    }
    let private = krate.private(span);
    let errors = diag.into_tokens();
    quote_spanned! {span=>
        #[automatically_derived]
        impl #private::Event for #ident {
            const NAME: &'static str = #name;
        }

        #[doc(hidden)]
        const _: () = {
            #private::inventory::submit! { #private::RegisteredEvent::of::<#ident>() }
        };
        #errors
    }
}
