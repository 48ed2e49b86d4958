//! The code that `#[activity]` stands for. Cannot fail.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Lifetime, ReturnType, Type};

use super::lines::lines;
use super::options::{Breaker, Options};
use crate::compensate::{Undo, undo_tokens};
use crate::duration;
use crate::function::{self, Attrs, Function, Params, Role};
use crate::item::{self, Item};
use crate::krate::{Krate, located};

/// Everything that is generated for one activity.
pub(crate) fn expand(function: &Function, params: &Params, options: &Options, undo: Option<&Undo>) -> TokenStream {
    let krate = options.krate.clone().unwrap_or_else(Krate::default_path);
    let ident = &function.sig.ident;
    let span = located(ident.span());
    let durable_name = options.name.clone().unwrap_or_else(|| ident.unraw().to_string());
    let attrs = function::sort_attrs(&function.attrs);
    let item = Item {
        function,
        params,
        attrs: &attrs,
        krate: &krate,
        call_type: quote_spanned!(span=> ActivityCall),
        docs: lines(function, params, options, &durable_name),
    };
    let call = item.call();
    let data = item.data();
    let plain = plain(function, params, &attrs, &durable_name);
    let traits = traits(&item, options, undo, &durable_name);
    quote!(#call #data #plain #traits)
}

/// `impl name { NAME, plain }`
fn plain(function: &Function, params: &Params, attrs: &Attrs, durable_name: &str) -> TokenStream {
    let ident = &function.sig.ident;
    let vis = &function.vis;
    let (cfg, lints, on_plain) = (&attrs.cfg, &attrs.lints, &attrs.plain);
    let span = located(ident.span());
    let allow = item::allow_on_body();
    // A borrowed output has its error; the function would add the compiler's.
    let borrows = matches!(&function.sig.output, ReturnType::Type(_, ty) if function::borrow(ty).is_some());
    let plain = (!borrows).then(|| {
        let plain = function::plain(function, params, &Ident::new("plain", span));
        quote_spanned! {span=>
            /// The function as it was written.
            #(#lints)*
            #(#on_plain)*
            #allow
            #vis #plain
        }
    });
    quote_spanned! {span=>
        #(#cfg)*
        #[allow(dead_code, clippy::pub_underscore_fields)]
        impl #ident {
            /// The durable name: what journals call it.
            #vis const NAME: &'static str = #durable_name;

            #plain
        }
    }
}

fn traits(item: &Item<'_>, options: &Options, undo: Option<&Undo>, durable_name: &str) -> TokenStream {
    let ident = &item.function.sig.ident;
    let span = located(ident.span());
    let private = item.krate.private(span);
    let cfg = &item.attrs.cfg;
    let serde = item.serde();
    let (given, error) = item.output_types();
    let output = output(item, options, &given);
    let options_tokens = options_tokens(options, &private, span);
    let (undo_kind, undo_fn) = undo_tokens(undo, item);
    let transaction = item.params.all.iter().find_map(|param| match &param.role {
        Role::Transaction(ty) if !item.params.broken => Some(ty),
        _ => None,
    });
    let (constructor, run) = match transaction {
        Some(ty) => {
            let name = if item.function.sig.asyncness.is_some() { "async_tx" } else { "blocking_tx" };
            let at = located(ty.span());
            let (name, of) = (Ident::new(name, at), respanned(ident, at));
            (quote_spanned!(at=> #name::<#of>(::core::module_path!(), __saga_states)), run_tx(item, ty))
        }
        None if item.function.sig.asyncness.is_some() => (
            quote_spanned!(span=> asynchronous::<#ident>(::core::module_path!(), __saga_states)),
            run_async(item, &given),
        ),
        None => (
            quote_spanned!(span=> blocking::<#ident>(::core::module_path!(), __saga_states)),
            run_blocking(item, &given),
        ),
    };
    let states: Vec<_> = states(item.params)
        .map(|ty| {
            let span = located(ty.span());
            let private = item.krate.private(span);
            quote_spanned!(span=> #private::StateType::of::<#ty>())
        })
        .collect();
    let declares = declares(item, options);
    let undoes = (undo.is_none() && !options.later).then(|| {
        quote_spanned! {span=>
            #[automatically_derived]
            impl #private::Undoes for #ident {}
        }
    });
    let completes = options.later.then(|| {
        quote_spanned! {span=>
            #[automatically_derived]
            impl #private::CompletesLater for #ident {}
        }
    });
    let register = (!item.params.broken).then(|| {
        quote_spanned! {span=>
            #private::inventory::submit! { #private::RegisteredActivity(&__SAGA_DEFINITION) }
        }
    });
    quote_spanned! {span=>
        #(#cfg)*
        #[doc(hidden)]
        const _: () = {
            #serde

            static __SAGA_DEFINITION: #private::ActivityDefinition = #private::ActivityDefinition::#constructor;

            fn __saga_states() -> ::std::vec::Vec<#private::StateType> {
                ::std::vec![#(#states),*]
            }

            #[automatically_derived]
            impl #private::Activity for #ident {
                type Output = #output;
                type Error = #error;
                const NAME: &'static str = #durable_name;
                const OPTIONS: #private::ActivityOptions = #options_tokens;
                const UNDO: #private::UndoKind = #private::UndoKind::#undo_kind;
                fn definition() -> &'static #private::ActivityDefinition {
                    &__SAGA_DEFINITION
                }
                #undo_fn
            }

            #run
            #declares
            #undoes
            #completes
            #register
        };
    }
}

/// What the activity says to be in strict workflows. One that is retried until it succeeds has no
/// error that ends it.
fn declares(item: &Item<'_>, options: &Options) -> TokenStream {
    let ident = &item.function.sig.ident;
    let span = located(ident.span());
    let private = item.krate.private(span);
    let declared = if options.compensate.is_some() {
        "Undoable"
    } else if options.pivot {
        "Pivot"
    } else if options.read_only && options.retriable {
        "RetriableRead"
    } else if options.read_only {
        "ReadOnly"
    } else if options.retriable {
        "Retriable"
    } else {
        return TokenStream::new();
    };
    let declared = Ident::new(declared, span);
    let is_endless = options.retriable && options.retry.max_attempts.is_none() && options.compensate.is_none();
    let endless = (is_endless && !item.params.broken).then(|| {
        let (_, error) = item.output_types();
        let at = match &item.function.sig.output {
            ReturnType::Type(_, ty) => located(ty.span()),
            ReturnType::Default => span,
        };
        let private = item.krate.private(at);
        let message = "a `retriable` activity is retried until it succeeds, and this error can be permanent: give the activity an error type without a `#[permanent]` variant";
        quote_spanned! {at=>
            const _: () = if <#error as #private::Classify>::CAN_BE_PERMANENT {
                ::core::panic!(#message);
            };
        }
    });
    quote_spanned! {span=>
        #[automatically_derived]
        impl #private::strict::Declares for #ident {
            const DECLARED: #private::strict::Declared = #private::strict::Declared::#declared;
        }
        #endless
    }
}

/// What is recorded of what the function gives.
fn output(item: &Item<'_>, options: &Options, given: &TokenStream) -> TokenStream {
    if !options.later {
        return given.clone();
    }
    let span = match &item.function.sig.output {
        ReturnType::Type(_, ty) => located(ty.span()),
        ReturnType::Default => located(item.function.sig.ident.span()),
    };
    let private = item.krate.private(span);
    quote_spanned!(span=> <#given as #private::IsLater>::Output)
}

fn states(params: &Params) -> impl Iterator<Item = &Type> {
    params.all.iter().filter_map(|param| match &param.role {
        Role::State(ty) => Some(ty),
        _ => None,
    })
}

fn options_tokens(options: &Options, private: &TokenStream, span: Span) -> TokenStream {
    let mut tokens = quote_spanned!(span=> #private::ActivityOptions::DEFAULT);
    if let Some(timeout) = options.timeout {
        let timeout = duration::tokens(timeout, span);
        tokens = quote_spanned!(span=> #tokens.timeout(#timeout));
    }
    if let Some(heartbeat) = options.heartbeat {
        let heartbeat = duration::tokens(heartbeat, span);
        tokens = quote_spanned!(span=> #tokens.heartbeat(#heartbeat));
    }
    let retry = &options.retry;
    let max_attempts = option(retry.max_attempts.map(|count| quote!(#count)), span);
    let initial = option(retry.initial.map(|time| duration::tokens(time, span)), span);
    let max = option(retry.max.map(|time| duration::tokens(time, span)), span);
    let multiplier = option(retry.multiplier.map(|number| quote!(#number)), span);
    let jitter = option(retry.jitter.map(|number| quote!(#number)), span);
    tokens = quote_spanned! {span=>
        #tokens.retry(#private::RetryOptions {
            max_attempts: #max_attempts,
            initial: #initial,
            max: #max,
            multiplier: #multiplier,
            jitter: #jitter,
        })
    };
    if let Some(Breaker { failures, cooldown, key }) = &options.breaker {
        let cooldown = duration::tokens(*cooldown, span);
        let key = match key.as_ref().map(ToString::to_string) {
            Some(key) => quote_spanned!(span=> ::core::option::Option::Some(#key)),
            None => quote_spanned!(span=> ::core::option::Option::None),
        };
        tokens = quote_spanned! {span=>
            #tokens.circuit_breaker(#private::BreakerOptions { failures: #failures, cooldown: #cooldown, key: #key })
        };
    }
    if let Some(queue) = &options.queue {
        tokens = quote_spanned!(span=> #tokens.queue(#queue));
    }
    if let Some(priority) = options.priority {
        tokens = quote_spanned!(span=> #tokens.priority(#priority));
    }
    for (holds, name) in [(options.read_only, "read_only"), (options.pivot, "pivot"), (options.retriable, "retriable")]
    {
        if holds {
            let name = Ident::new(name, span);
            tokens = quote_spanned!(span=> #tokens.#name());
        }
    }
    tokens
}

fn option(value: Option<TokenStream>, span: Span) -> TokenStream {
    if let Some(value) = value {
        quote_spanned!(span=> ::core::option::Option::Some(#value))
    } else {
        quote_spanned!(span=> ::core::option::Option::None)
    }
}

/// The arguments of `plain`, where states are the `Arc`s called `state_0` and so on.
fn arguments(item: &Item<'_>, context: impl Fn(Span) -> TokenStream) -> Vec<TokenStream> {
    let mut state = 0;
    let arguments = item.params.all.iter().map(|param| {
        let span = located(param.ty.span());
        let ident = &param.ident;
        match &param.role {
            Role::Input => quote_spanned!(span=> self.#ident),
            Role::Context => context(span),
            Role::Transaction(_) => quote_spanned!(span=> tx),
            Role::State(_) => {
                let name = format_ident!("state_{state}", span = Span::mixed_site().located_at(span));
                state += 1;
                quote_spanned!(span=> &#name)
            }
        }
    });
    arguments.collect()
}

/// `let state_0 = context.state::<T>();` and so on.
fn state_bindings(item: &Item<'_>, context: &Ident) -> Vec<TokenStream> {
    let bindings = states(item.params).enumerate().map(|(index, ty)| {
        let span = located(ty.span());
        let name = format_ident!("state_{index}", span = Span::mixed_site().located_at(span));
        quote_spanned!(span=> let #name = #context.state::<#ty>();)
    });
    bindings.collect()
}

fn run_async(item: &Item<'_>, given: &TokenStream) -> TokenStream {
    let ident = &item.function.sig.ident;
    let span = located(ident.span());
    let private = item.krate.private(span);
    let context = Ident::new("context", span);
    let body = if item.params.broken {
        quote_spanned!(span=> ::core::panic!("this activity has errors"))
    } else {
        let bindings = state_bindings(item, &context);
        let arguments = arguments(item, |span| {
            let context = Ident::new("context", span);
            quote_spanned!(span=> &#context)
        });
        quote_spanned!(span=> #(#bindings)* Self::plain(#(#arguments),*).await)
    };
    let allow = if item.params.broken { quote!(#[allow(unused_variables)]) } else { TokenStream::new() };
    quote_spanned! {span=>
        #[automatically_derived]
        impl #private::AsyncActivity for #ident {
            type Given = #given;
            #allow
            fn run(
                self,
                #context: #private::ActivityContext,
            ) -> impl ::core::future::Future<Output = ::core::result::Result<Self::Given, Self::Error>>
            + ::core::marker::Send
            + 'static {
                async move { #body }
            }
        }
    }
}

/// The implementation for a plain function.
fn run_blocking(item: &Item<'_>, given: &TokenStream) -> TokenStream {
    let ident = &item.function.sig.ident;
    let span = located(ident.span());
    let private = item.krate.private(span);
    let context = Ident::new("context", span);
    let body = if item.params.broken {
        quote_spanned!(span=> ::core::panic!("this activity has errors"))
    } else {
        let bindings = state_bindings(item, &context);
        let arguments = arguments(item, |span| {
            let context = Ident::new("context", span);
            quote_spanned!(span=> #context)
        });
        quote_spanned!(span=> #(#bindings)* Self::plain(#(#arguments),*))
    };
    quote_spanned! {span=>
        #[automatically_derived]
        impl #private::BlockingActivity for #ident {
            type Given = #given;
            #[allow(unused_variables)]
            fn run(
                self,
                #context: &#private::ActivityContext,
            ) -> ::core::result::Result<Self::Given, Self::Error> {
                #body
            }
        }
    }
}

/// The implementation for a transactional activity. All that depends on the transaction's type
/// has its span: there a wrong one is one error.
fn run_tx(item: &Item<'_>, ty: &Type) -> TokenStream {
    let span = located(ty.span());
    let ident = respanned(&item.function.sig.ident, span);
    let private = item.krate.private(span);
    let context = Ident::new("context", located(item.function.sig.ident.span()));
    let bindings = state_bindings(item, &context);
    let family = with_static_lifetimes(ty.clone());
    let is_async = item.function.sig.asyncness.is_some();
    let arguments = arguments(item, |span| {
        let context = Ident::new("context", span);
        if is_async { quote_spanned!(span=> &#context) } else { quote_spanned!(span=> #context) }
    });
    if is_async {
        return quote_spanned! {span=>
            #[automatically_derived]
            impl #private::AsyncTxActivity for #ident {
                type Family = <#family as #private::AsyncTransaction>::Family;
                #[allow(unused_variables)]
                fn run<'__saga_tx>(
                    self,
                    tx: &'__saga_tx mut #ty,
                    #context: #private::ActivityContext,
                ) -> #private::TxFuture<'__saga_tx, ::core::result::Result<Self::Output, Self::Error>> {
                    ::std::boxed::Box::pin(async move {
                        #(#bindings)*
                        Self::plain(#(#arguments),*).await
                    })
                }
            }
        };
    }
    quote_spanned! {span=>
        #[automatically_derived]
        impl #private::BlockingTxActivity for #ident {
            type Family = <#family as #private::Transaction>::Family;
            #[allow(unused_variables)]
            fn run(
                self,
                tx: &#ty,
                #context: &#private::ActivityContext,
            ) -> ::core::result::Result<Self::Output, Self::Error> {
                #(#bindings)*
                Self::plain(#(#arguments),*)
            }
        }
    }
}

fn respanned(ident: &Ident, span: Span) -> Ident {
    let mut ident = ident.clone();
    ident.set_span(ident.span().located_at(span));
    ident
}

/// The type with each lifetime that is left out, or named, as `'static`.
fn with_static_lifetimes(mut ty: Type) -> Type {
    struct Static;
    impl syn::visit_mut::VisitMut for Static {
        fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
            lifetime.ident = Ident::new("static", lifetime.ident.span());
        }
    }
    syn::visit_mut::VisitMut::visit_type_mut(&mut Static, &mut ty);
    ty
}
