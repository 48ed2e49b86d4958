//! `#[activity]`.

mod expand;
mod lines;
mod options;

use proc_macro2::TokenStream;
use quote::quote;
use syn::Type;

use crate::compensate;
use crate::diag::Diag;
use crate::function::{self, Function, Kind, Param, Params, Role};

/// Expands `#[activity(…)]` on a function.
pub(crate) fn activity(attr: TokenStream, item: &TokenStream) -> TokenStream {
    let mut diag = Diag::default();
    let options = options::parse(attr, &mut diag);
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            diag.push(error);
            let errors = diag.into_tokens();
            return quote!(#item #errors);
        }
    };
    let mut params = function::check(&function, Kind::Activity, &mut diag);
    check_roles(&function, &options, &mut params, &mut diag);
    check_context(&options, &params, &mut diag);
    check_breaker_key(&options, &params, &mut diag);
    let undo = options.compensate.as_ref().and_then(|expr| compensate::check(expr, &params, &function, &mut diag));
    if function.sig.receiver().is_some() {
        // Items cannot stand in an `impl`; the function alone keeps this one error.
        let mut function = function;
        for arg in &mut function.sig.inputs {
            if let syn::FnArg::Typed(typed) = arg {
                typed.attrs.clear();
            }
        }
        let Function { attrs, vis, sig, body } = function;
        let errors = diag.into_tokens();
        return quote!(#(#attrs)* #vis #sig #body #errors);
    }
    let expanded = expand::expand(&function, &params, &options, undo.as_ref());
    let errors = diag.into_tokens();
    quote!(#expanded #errors)
}

/// The breaker's key is a parameter that is recorded, since layers see the recorded input.
fn check_breaker_key(options: &options::Options, params: &Params, diag: &mut Diag) {
    let Some(key) = options.breaker.as_ref().and_then(|breaker| breaker.key.as_ref()) else { return };
    let known: Vec<String> = params.inputs().map(|param| format!("`{}`", param.ident)).collect();
    if !params.broken && !params.inputs().any(|param| param.ident == *key) {
        let known = if known.is_empty() { "there is none".to_owned() } else { format!("known: {}", known.join(", ")) };
        diag.at(key, format!("`{key}` is no recorded parameter of the activity; {known}"));
    }
}

/// What an attempt says of itself it says by its context.
fn check_context(options: &options::Options, params: &Params, diag: &mut Diag) {
    let has_context = params.all.iter().any(|param| matches!(param.role, Role::Context));
    // `transaction` contradicts these words, and a parameter that was refused may be the context.
    if has_context || params.broken || options.transaction.is_some() {
        return;
    }
    for option in &options.need_context {
        let what = match option.to_string().as_str() {
            "later" => "whoever shall complete the step is given its token, which is `cx.token()`",
            _ => "an attempt says that it lives by `cx.heartbeat(…)`",
        };
        diag.at(
            option,
            format!("`{option}` needs the context: {what}; add a parameter `#[context] cx: &ActivityContext`"),
        );
    }
}

/// Checks what the roles of the parameters and the options say of each other.
fn check_roles(function: &Function, options: &options::Options, params: &mut Params, diag: &mut Diag) {
    let mut contexts = params.all.iter().filter(|param| matches!(param.role, Role::Context));
    if let Some(second) = contexts.nth(1) {
        diag.at(&second.ident, "an activity has one `#[context]`: remove this one");
    }
    let transactions: Vec<&Param> =
        params.all.iter().filter(|param| matches!(param.role, Role::Transaction(_))).collect();
    let asyncness = function.sig.asyncness.as_ref();
    match (&options.transaction, transactions.as_slice()) {
        (None, []) => {}
        (None, [first, ..]) => {
            diag.at(&first.ident, "`#[transaction]` needs the option: write `#[activity(transaction)]`");
            params.broken = true;
        }
        (Some(option), []) => {
            // A parameter that was refused has its own error.
            if !params.broken {
                diag.at(option, "a transactional activity writes through its transaction: add a parameter `#[transaction] tx: &mut PostgresTx<'_>`, or in a plain `fn` `#[transaction] tx: &SqliteTx<'_>`");
            }
            params.broken = true;
        }
        (Some(_), [_, second, ..]) => {
            diag.at(&second.ident, "an activity has one `#[transaction]`: remove this one");
            params.broken = true;
        }
        (Some(_), [transaction]) => {
            if let Some(message) = mismatch(asyncness.is_some(), transaction) {
                diag.at(&transaction.ty, message);
                params.broken = true;
            }
        }
    }
}

/// An `async fn` takes its transaction by `&mut`, a plain `fn` by `&`. What to write, if not.
fn mismatch(is_async: bool, transaction: &Param) -> Option<String> {
    let Type::Reference(reference) = &transaction.ty else { return None };
    let name = &transaction.ident;
    match (is_async, reference.mutability.is_some()) {
        (true, false) => Some(format!(
            "an `async` activity takes its transaction by `&mut`: write `{name}: &mut PostgresTx<'_>`; for SQLite write a plain `fn` and `{name}: &SqliteTx<'_>`"
        )),
        (false, true) => Some(format!(
            "a transaction taken by `&mut` is awaited: write `async fn`; for SQLite write a plain `fn` and `{name}: &SqliteTx<'_>`"
        )),
        _ => None,
    }
}
