//! `#[durable]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{FnArg, GenericParam, Generics, Lifetime, ReturnType, Type, TypeParamBound, parse_quote};

use crate::attr;
use crate::awaits;
use crate::determinism::{self, Allowances};
use crate::diag::Diag;
use crate::function::Function;
use crate::krate::{Krate, located};
use crate::plan::{self, Plan, strict};

const KNOWN: &[&str] = &["allow", "strict", "crate"];

/// Expands `#[durable]` on a function.
pub(crate) fn durable(attr: TokenStream, item: &TokenStream) -> TokenStream {
    let mut diag = Diag::default();
    let mut krate = Krate::default_path();
    let mut allowed = Allowances::default();
    let mut is_strict = false;
    for option in attr::parse(attr, &mut diag) {
        match option.name.to_string().as_str() {
            "allow" => allowed = Allowances::parse(&option, &mut diag),
            "strict" => is_strict = option.flag(&mut diag),
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
    let plan = Plan::of(&function.body);
    match &plan {
        Ok(plan) if is_strict => check_strict(&function, plan, &mut diag),
        Err(error) if is_strict => strict::unreadable(error, &mut diag),
        _ => {}
    }
    let plan = plan.unwrap_or_else(|_| Plan::unknown());
    let mut in_body = Diag::default();
    function.body = awaits::rewrite(&function.body, &krate, &mut in_body);
    function.body = determinism::check(&function.body, &allowed, &krate, &mut in_body);
    if !in_body.is_empty() {
        // What stands in place of a refused macro never returns, and uses nothing.
        function.attrs.push(parse_quote!(#[allow(unreachable_code, unused_imports)]));
    }
    let span = located(function.sig.ident.span());
    let (lints, unused) = (determinism::lints(&allowed, span), awaits::lints(span));
    let is_checked = is_strict && diag.is_empty() && in_body.is_empty();
    let strict = is_checked.then(|| strict_type(&function, &plan, &krate));
    let expanded = expand(function, &plan, is_checked, &krate, &mut diag);
    let errors = diag.into_tokens();
    let errors_in_body = in_body.into_tokens();
    quote!(#lints #unused #expanded #strict #errors #errors_in_body)
}

/// What strict helpers cannot be, since a type of the same name tells strict workflows of them.
fn check_strict(function: &Function, plan: &Plan, diag: &mut Diag) {
    let sig = &function.sig;
    if let Some(receiver) = sig.receiver() {
        diag.at(receiver, "a strict helper is a free function: take the value as an argument");
        return;
    }
    if let Some(param) = sig.generics.params.iter().find(|param| !matches!(param, GenericParam::Lifetime(_))) {
        diag.at(param, "a strict helper is not generic: what it awaits must be known; write the concrete types");
        return;
    }
    if let Some(step) = plan.steps.iter().find(|step| step.is_call_of(&sig.ident)) {
        diag.at_span(
            step.span,
            "a strict helper does not call itself: what it awaits must be known; write a loop, or do it in the workflow",
        );
        return;
    }
    strict::check(plan, diag);
}

/// The type by which strict workflows know what the helper does.
fn strict_type(function: &Function, plan: &Plan, krate: &Krate) -> TokenStream {
    let Function { vis, sig, attrs, .. } = function;
    let ident = &sig.ident;
    let span = located(ident.span());
    let private = krate.private(span);
    let cfg: Vec<_> = attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect();
    let nodes = plan.tokens(&private, span);
    let constants = strict::constants(plan, &quote_spanned!(span=> NODES), krate, ident);
    quote_spanned! {span=>
        #(#cfg)*
        #[doc(hidden)]
        #[allow(dead_code, missing_docs, non_camel_case_types, missing_debug_implementations)]
        #vis struct #ident {}

        #(#cfg)*
        #[doc(hidden)]
        const _: () = {
            const NODES: &[#private::plan::Node] = #nodes;
            #constants
            #[automatically_derived]
            impl #private::strict::Checked for #ident {
                const SUMMARY: #private::strict::Summary =
                    #private::strict::Summary::of_helper(NODES, &__SAGA_CLASSES);
            }
        };
    }
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

fn expand(function: Function, plan: &Plan, is_checked: bool, krate: &Krate, diag: &mut Diag) -> TokenStream {
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
    let ident = sig.ident.clone();
    let mark = if is_checked { quote!(#ident) } else { quote_spanned!(output_span=> #output_private::Unchecked) };
    sig.output = parse_quote!(-> #output_private::Helper<#helper, #output, #mark>);
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
        quote_spanned!(span=> #private::Helper::<#helper, #output, #mark>::new(async move #body))
    };
    let register = (!broken).then(|| {
        let name = ident.unraw().to_string();
        let plan = plan::constant(plan, &name, 0, is_checked, &ident, &private);
        quote_spanned! {span=>
            #private::inventory::submit! { #private::plan::RegisteredHelper(&#plan) }
        }
    });
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
            #register
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
