//! `#[workflow]`.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;

use crate::attr;
use crate::awaits;
use crate::compensate::{self, Undo, undo_tokens};
use crate::determinism::{self, Allowances};
use crate::diag::Diag;
use crate::docs;
use crate::function::{self, Function, Kind, Params};
use crate::item::{self, Item};
use crate::krate::{Krate, located};
use crate::plan::{self, Plan, strict};

const KNOWN: &[&str] = &["name", "version", "strict", "compensate", "allow", "alias", "on_undo_failure", "crate"];

/// What `#[workflow(…)]` says.
struct Options {
    krate: Krate,
    name: Option<String>,
    version: u32,
    compensate: Option<syn::Expr>,
    strict: bool,
    allowed: Allowances,
    /// A name that it had before.
    alias: Option<String>,
    undo_continues: bool,
}

/// Expands `#[workflow(…)]` on a function.
pub(crate) fn workflow(attr: TokenStream, item: &TokenStream) -> TokenStream {
    let mut diag = Diag::default();
    let options = options(attr, &mut diag);
    let mut function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            diag.push(error);
            let errors = diag.into_tokens();
            return quote!(#item #errors);
        }
    };
    let mut params = function::check(&function, Kind::Workflow, &mut diag);
    if function.sig.asyncness.is_none() {
        diag.at(function.sig.fn_token, "a workflow is `async`: write `async fn`");
        params.broken = true;
    }
    if function.sig.receiver().is_some() {
        let errors = diag.into_tokens();
        return quote!(#item #errors);
    }
    let undo = options.compensate.as_ref().and_then(|expr| compensate::check(expr, &params, &function, &mut diag));
    let plan = Plan::of(&function.body);
    function.body = awaits::rewrite(&function.body, &options.krate, &mut diag);
    function.body = determinism::check(&function.body, &options.allowed, &options.krate, &mut diag);
    let fine = diag.is_empty();
    if options.strict && fine {
        match &plan {
            Ok(plan) => strict::check(plan, &mut diag),
            Err(error) => strict::unreadable(error, &mut diag),
        }
    }
    let plan = plan.unwrap_or_else(|_| Plan::unknown());
    let strict = (options.strict && diag.is_empty()).then(|| {
        let ident = &function.sig.ident;
        strict::constants(&plan, &quote_spanned!(located(ident.span())=> <#ident>::PLAN.nodes), &options.krate, ident)
    });
    if !fine {
        // What stands in place of a refused macro never returns, and uses nothing.
        function.attrs.push(syn::parse_quote!(#[allow(unreachable_code, unused_imports)]));
    }
    let expanded = expand(&function, &params, &options, undo.as_ref(), &plan);
    let errors = diag.into_tokens();
    let strict = strict.map(|strict| {
        let cfg = function::sort_attrs(&function.attrs).cfg;
        quote!(#(#cfg)* #[doc(hidden)] const _: () = { #strict };)
    });
    quote!(#expanded #strict #errors)
}

fn options(tokens: TokenStream, diag: &mut Diag) -> Options {
    let mut options = Options {
        krate: Krate::default_path(),
        name: None,
        version: 1,
        strict: false,
        compensate: None,
        allowed: Allowances::default(),
        alias: None,
        undo_continues: false,
    };
    for option in attr::parse(tokens, diag) {
        match option.name.to_string().as_str() {
            "name" => options.name = option.name_string(diag),
            "version" => options.version = option.count(diag).map_or(1, |(version, _)| version),
            "strict" => options.strict = option.flag(diag),
            "compensate" => options.compensate = option.expression("cancel_shipment(output.id)", diag),
            "allow" => options.allowed = Allowances::parse(&option, diag),
            "alias" => options.alias = option.name_string(diag),
            "on_undo_failure" => options.undo_continues = undo_continues(&option, diag),
            "crate" => options.krate = option.krate(diag).unwrap_or(options.krate),
            _ => diag.unknown(&option.name, "`#[workflow]`", KNOWN),
        }
    }
    options
}

/// Whether undoing goes on after an undo that failed for good.
fn undo_continues(option: &attr::Opt, diag: &mut Diag) -> bool {
    match option.expression("halt", diag) {
        Some(syn::Expr::Continue(expr)) if expr.label.is_none() => true,
        Some(syn::Expr::Path(expr)) if expr.path.is_ident("halt") => false,
        Some(other) => {
            diag.at(&other, "`on_undo_failure` is `halt` (the default) or `continue`");
            false
        }
        None => false,
    }
}

fn expand(function: &Function, params: &Params, options: &Options, undo: Option<&Undo>, plan: &Plan) -> TokenStream {
    let ident = &function.sig.ident;
    let span = located(ident.span());
    let krate = &options.krate;
    let private = krate.private(span);
    let name = options.name.clone().unwrap_or_else(|| ident.unraw().to_string());
    let version = options.version;
    let plan = plan::constant(plan, &name, version, options.strict, ident, &private);
    let attrs = function::sort_attrs(&function.attrs);
    let signature = docs::signature(&name, params.inputs().map(|p| (&p.ident, &p.ty)), &function.sig.output);
    let item = Item {
        function,
        params,
        attrs: &attrs,
        krate,
        call_type: quote_spanned!(span=> WorkflowCall),
        docs: vec![format!(
            "A workflow, version {version}: give the call to a client to start a run. Recorded as `{signature}`."
        )],
    };
    let (call, data, serde) = (item.call(), item.data(), item.serde());
    let (output, error) = item.output_types();
    let (undo_kind, undo_fn) = undo_tokens(undo, &item);
    let (cfg, lints, on_plain, vis) = (&attrs.cfg, &attrs.lints, &attrs.plain, &function.vis);
    let body = (!params.broken).then(|| body(function, params, &private));
    let allow = item::allow_on_body();
    let (lints_on_body, unused) = (determinism::lints(&options.allowed, span), awaits::lints(span));
    let inputs: Vec<_> = item.inputs().map(|param| &param.ident).collect();
    let run = if params.broken {
        quote_spanned!(span=> async { ::core::panic!("this workflow has errors") })
    } else {
        let bind = (!inputs.is_empty()).then(|| quote_spanned!(span=> let Self { #(#inputs),* } = self;));
        quote_spanned!(span=> #bind Self::body(#(#inputs),*))
    };
    let body = body.map(|body| {
        quote_spanned! {span=>
            #lints_on_body
            #unused
            #(#lints)*
            #(#on_plain)*
            #allow
            #body
        }
    });
    let aliases = options.alias.as_ref().map(|alias| quote_spanned!(span=> .aliases(&[#alias])));
    let undo_continues = options.undo_continues.then(|| quote_spanned!(span=> .undo_continues()));
    let register = (!params.broken).then(|| {
        let declares = undo.map(|_| {
            quote_spanned! {span=>
                #[automatically_derived]
                impl #private::strict::Declares for #ident {
                    const DECLARED: #private::strict::Declared = #private::strict::Declared::Undoable;
                }
            }
        });
        quote_spanned! {span=>
            #declares
            #private::inventory::submit! { #private::RegisteredWorkflow(&__SAGA_DEFINITION) }
        }
    });
    quote_spanned! {span=>
        #call
        #data

        #(#cfg)*
        #[allow(dead_code)]
        impl #ident {
            /// The durable name: what journals call it.
            #vis const NAME: &'static str = #name;
            /// The version: old runs end on the code of their version.
            #vis const VERSION: u32 = #version;
            /// What it does, as its syntax shows it: to be drawn, and compared.
            #vis const PLAN: &'static #private::plan::Plan = &#plan;

            #body
        }

        #(#cfg)*
        #[doc(hidden)]
        const _: () = {
            #serde

            static __SAGA_DEFINITION: #private::WorkflowDefinition =
                #private::WorkflowDefinition::of::<#ident>(::core::module_path!()) #aliases #undo_continues;

            #[automatically_derived]
            impl #private::Workflow for #ident {
                type Output = #output;
                type Error = #error;
                const NAME: &'static str = #name;
                const VERSION: u32 = #version;
                const UNDO: #private::UndoKind = #private::UndoKind::#undo_kind;
                #undo_fn
                const PLAN: &'static #private::plan::Plan = <#ident>::PLAN;
                fn definition() -> &'static #private::WorkflowDefinition {
                    &__SAGA_DEFINITION
                }
                fn run(
                    self,
                ) -> impl ::core::future::Future<Output = ::core::result::Result<Self::Output, Self::Error>>
                + ::core::marker::Send
                + 'static {
                    #run
                }
            }

            #register
        };
    }
}

/// The function as it was written, with its awaits rewritten. A function of its own, so that `?`,
/// `return` and the tail are checked against the user's own return type.
fn body(function: &Function, params: &Params, private: &TokenStream) -> TokenStream {
    let span = located(function.sig.ident.span());
    let name = Ident::new("body", span);
    let function = Function {
        attrs: Vec::new(),
        vis: function.vis.clone(),
        sig: function.sig.clone(),
        body: awaits::with_extension(&function.body, private, &TokenStream::new()),
    };
    function::plain(&function, params, &name)
}
