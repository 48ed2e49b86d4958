//! `#[durable]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{FnArg, GenericParam, Generics, Lifetime, ReturnType, Type, TypeParamBound, parse_quote};

use crate::attr;
use crate::awaits;
use crate::determinism::{self, Allowances};
use crate::diag::Diag;
use crate::function::Function;
use crate::krate::{Krate, located};

const KNOWN: &[&str] = &["allow", "crate"];

/// Expands `#[durable]` on a function.
pub(crate) fn durable(attr: TokenStream, item: &TokenStream) -> TokenStream {
    let mut diag = Diag::default();
    let mut krate = Krate::default_path();
    let mut allowed = Allowances::default();
    for option in attr::parse(attr, &mut diag) {
        match option.name.to_string().as_str() {
            "allow" => allowed = Allowances::parse(&option, &mut diag),
            "crate" => krate = option.krate(&mut diag).unwrap_or(krate),
            _ => diag.unknown(&option.name, "`#[durable]`", KNOWN),
        }
    }
    let mut function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            diag.push(error);
            let errors = diag.into_tokens();
            return quote!(#item #errors);
        }
    };
    check(&mut function, &mut diag);
    let mut in_body = Diag::default();
    function.body = awaits::rewrite(&function.body, &krate, &mut in_body);
    function.body = determinism::check(&function.body, &allowed, &krate, &mut in_body);
    if !in_body.is_empty() {
        // What stands in place of a refused macro never returns, and uses nothing.
        function.attrs.push(parse_quote!(#[allow(unreachable_code, unused_imports)]));
    }
    let lints = determinism::lints(&allowed, located(function.sig.ident.span()));
    let expanded = expand(function, &krate, &mut diag);
    let errors = diag.into_tokens();
    let errors_in_body = in_body.into_tokens();
    quote!(#lints #expanded #errors #errors_in_body)
}

fn check(function: &mut Function, diag: &mut Diag) {
    let sig = &mut function.sig;
    if sig.asyncness.is_none() {
        diag.at(
            sig.fn_token,
            "a durable helper is `async`: write `async fn`; a function that awaits nothing needs no attribute",
        );
    }
    if let Some(constness) = sig.constness.take() {
        diag.at(constness, "a durable helper is not `const`: remove `const`");
    }
    if let ReturnType::Type(_, ty) = &sig.output
        && let Type::ImplTrait(ty) = &**ty
    {
        diag.at(
            ty,
            "a durable helper is boxed and names what it returns: write the type, or a `Box<dyn Trait + Send>`",
        );
        sig.output = ReturnType::Default;
    }
    for arg in &mut sig.inputs {
        let FnArg::Typed(typed) = arg else { continue };
        typed.attrs.retain(|attr| {
            let marker = ["state", "context", "transaction"].iter().find(|name| attr.path().is_ident(name));
            if let Some(marker) = marker {
                diag.at(attr, format!("a durable helper has no `#[{marker}]`, so that it can be replayed: take it in an activity and await a call of that"));
            }
            marker.is_none()
        });
    }
}

fn expand(function: Function, krate: &Krate, diag: &mut Diag) -> TokenStream {
    let Function { attrs, vis, mut sig, body } = function;
    let span = located(sig.ident.span());
    let private = krate.private(span);
    sig.asyncness = None;
    let mut lifetimes = Lifetimes::new(&sig.generics);
    for arg in &mut sig.inputs {
        lifetimes.visit_fn_arg_mut(arg);
    }
    let output: Type = match &sig.output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => {
            let mut ty = (**ty).clone();
            lifetimes.output(&mut ty, diag);
            ty
        }
    };
    let broken = !diag.is_empty();
    let helper = lifetimes.helper.clone();
    lifetimes.declare(&mut sig.generics);
    let output_span = located(output.span());
    let output_private = krate.private(output_span);
    sig.output = parse_quote!(-> #output_private::Helper<#helper, #output>);
    let code = if broken {
        quote_spanned! {span=>
            #[allow(unreachable_code)]
            #private::Helper::new(async move { ::core::panic!("this helper has errors") })
        }
    } else {
        // Never taken: it says what the block returns before anything in it can, so that a type
        // error falls on the user's tokens.
        let typed = quote_spanned! {output_span=>
            if let ::core::option::Option::Some(never) = ::core::option::Option::None::<#output> {
                return never;
            }
        };
        let body = awaits::with_extension(&body, &private, &typed);
        quote_spanned!(span=> #private::Helper::<#helper, #output>::new(async move #body))
    };
    let unused = broken.then(|| quote!(#[allow(unused_variables, unused_mut)]));
    let doc = (!attrs.iter().any(|attr| attr.path().is_ident("doc")))
        .then(|| quote!(#[doc = "A durable helper: await it in a workflow."]));
    quote_spanned! {span=>
        #(#attrs)*
        #doc
        #unused
        #[allow(
            clippy::elidable_lifetime_names,
            clippy::missing_errors_doc,
            clippy::missing_panics_doc,
            clippy::needless_lifetimes,
            clippy::needless_pass_by_value,
            clippy::trivially_copy_pass_by_ref,
            clippy::unused_async,
            single_use_lifetimes
        )]
        #vis #sig {
            #code
        }
    }
}

/// Names each elided lifetime, since the helper holds the arguments: a shared name would tie
/// together what the user left apart.
struct Lifetimes {
    helper: Lifetime,
    prefix: String,
    new: Vec<Lifetime>,
}

impl Lifetimes {
    fn new(generics: &Generics) -> Self {
        // A name that no lifetime of the user's has.
        let mut prefix = "saga".to_owned();
        while generics.lifetimes().any(|known| known.lifetime.ident.to_string().starts_with(&prefix)) {
            prefix.push('_');
        }
        let helper = Lifetime::new(&format!("'{prefix}"), Span::call_site());
        Self { helper, prefix, new: Vec::new() }
    }

    fn fresh(&mut self, span: Span) -> Lifetime {
        let mut lifetime = Lifetime::new(&format!("'{}{}", self.prefix, self.new.len()), span);
        lifetime.set_span(located(span));
        self.new.push(lifetime.clone());
        lifetime
    }

    /// Elided lifetimes in the return type are those of the only borrowed argument.
    fn output(&mut self, ty: &mut Type, diag: &mut Diag) {
        struct Elided<'a> {
            only: Option<&'a Lifetime>,
            unclear: Option<Span>,
        }
        impl VisitMut for Elided<'_> {
            fn visit_type_reference_mut(&mut self, ty: &mut syn::TypeReference) {
                if ty.lifetime.is_none() {
                    self.unclear = self.unclear.or(self.only.is_none().then(|| ty.and_token.span()));
                    ty.lifetime = self.only.cloned();
                }
                visit_mut::visit_type_reference_mut(self, ty);
            }
            fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
                if lifetime.ident == "_" {
                    match self.only {
                        Some(only) => *lifetime = only.clone(),
                        None => self.unclear = self.unclear.or(Some(lifetime.span())),
                    }
                }
            }
            fn visit_type_fn_ptr_mut(&mut self, _: &mut syn::TypeFnPtr) {}
        }
        let only = match self.new.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        let mut elided = Elided { only, unclear: None };
        elided.visit_type_mut(ty);
        if let Some(span) = elided.unclear {
            diag.at_span(span, "it is unclear what is borrowed here: name the lifetime, in the argument and here");
            *ty = parse_quote!(());
        }
    }

    fn declare(self, generics: &mut Generics) {
        let helper = &self.helper;
        for param in &mut generics.params {
            match param {
                GenericParam::Lifetime(param) => param.bounds.push(helper.clone()),
                GenericParam::Type(param) => {
                    param.bounds.push(TypeParamBound::Lifetime(helper.clone()));
                    param.colon_token.get_or_insert_default();
                }
                GenericParam::Const(_) => {}
            }
        }
        for param in generics.lifetimes_mut() {
            param.colon_token.get_or_insert_default();
        }
        let mut params: syn::punctuated::Punctuated<GenericParam, syn::Token![,]> = parse_quote!(#helper);
        for lifetime in &self.new {
            params.push(parse_quote!(#lifetime: #helper));
        }
        params.extend(std::mem::take(&mut generics.params));
        generics.params = params;
        generics.lt_token.get_or_insert_default();
        generics.gt_token.get_or_insert_default();
    }
}

impl VisitMut for Lifetimes {
    fn visit_receiver_mut(&mut self, receiver: &mut syn::Receiver) {
        let span = receiver.self_token.span();
        if let syn::ReceiverKind::Reference(_, lifetime @ None, _) = &mut receiver.kind {
            *lifetime = Some(self.fresh(span));
        }
        visit_mut::visit_receiver_mut(self, receiver);
    }

    fn visit_type_reference_mut(&mut self, ty: &mut syn::TypeReference) {
        if ty.lifetime.is_none() {
            ty.lifetime = Some(self.fresh(ty.and_token.span()));
        }
        visit_mut::visit_type_reference_mut(self, ty);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = self.fresh(lifetime.span());
        }
    }

    fn visit_type_impl_trait_mut(&mut self, ty: &mut syn::TypeImplTrait) {
        visit_mut::visit_type_impl_trait_mut(self, ty);
        ty.bounds.push(TypeParamBound::Lifetime(self.helper.clone()));
    }

    // Lifetimes in `fn(&T)` and `Fn(&T)` are bound there.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut syn::TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut syn::ParenthesizedGenericArguments) {}
}
