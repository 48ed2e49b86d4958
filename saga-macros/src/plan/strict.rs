//! `strict`: each awaited activity says what it is, and undoable steps, the pivot and retriable
//! steps come in this order along every path.
//!
//! Syntax shows where the steps stand; what each is, only its type says. So the check is made of
//! constants: one reads the classes of all awaited calls, one walks the plan with them, and one
//! for each step panics at that step.

use proc_macro2::{Ident, TokenStream};
use quote::quote_spanned;
use syn::{ExprPath, PathArguments};

use super::{Plan, Source};
use crate::diag::Diag;
use crate::krate::{Krate, located};

/// The builders of a call that change nothing about its class.
const BUILDERS: &[&str] = &[
    "timeout",
    "deadline",
    "retry",
    "queue",
    "session",
    "priority",
    "key",
    "id",
    "lane",
    "delay",
    "at",
    "attribute",
    "memo",
    "on_parent_end",
];

/// Refuses a body that cannot be read.
pub(crate) fn unreadable(error: &syn::Error, diag: &mut Diag) {
    diag.at_span(
        error.span(),
        format!("a strict workflow is checked along its syntax, which cannot be read here: {error}"),
    );
}

/// Checks what syntax alone shows of a strict body.
pub(crate) fn check(plan: &Plan, diag: &mut Diag) {
    for step in &plan.steps {
        match &step.source {
            Source::Hidden => {
                let message = format!(
                    "a strict workflow awaits calls that it can see, and `{}` is none: write `path(…).await` here",
                    step.shown
                );
                diag.at_span(step.span, message);
            }
            Source::Call { is_local: true, .. } => {
                let message = format!(
                    "a strict workflow awaits calls that it can see, and `{}` is a variable: call an activity or a `#[durable(strict)]` helper by its name",
                    step.shown
                );
                diag.at_span(step.span, message);
            }
            Source::Own => {}
            Source::Call { builders, .. } | Source::Run { builders, .. } => {
                if let Some(builder) = builders.iter().find(|builder| !BUILDERS.contains(&builder.to_string().as_str()))
                {
                    let message = if builder == "no_compensation" {
                        format!(
                            "a strict workflow undoes each step that can be undone: remove `.no_compensation()`, or declare `{}` as what it is",
                            step.shown
                        )
                    } else {
                        format!(
                            "a strict workflow does not know `.{builder}(…)`, which may change what the step is: write `path(…)` with the builders of a call"
                        )
                    };
                    diag.at(builder, message);
                }
            }
        }
    }
}

/// The constants that check a body. `nodes` is the nodes of its plan.
pub(crate) fn constants(body: &Plan, nodes: &TokenStream, krate: &Krate, of: &Ident) -> TokenStream {
    let span = located(of.span());
    let private = krate.private(span);
    let count = body.steps.len();
    let classes = body.steps.iter().map(|step| class(step, krate));
    let checks = body.steps.iter().enumerate().map(|(index, step)| {
        let at = located(step.span);
        let private = krate.private(at);
        let shown = &step.shown;
        let deadline = match &step.source {
            Source::Call { builders, .. } => builders.iter().any(|builder| builder == "deadline"),
            _ => false,
        };
        let after = |what: &str, remedy: &str| format!("`{shown}` {what}: {remedy}");
        let messages = [
            after(
                "can be undone and stands after the point of no return, where nothing is undone any more",
                "move it before the pivot",
            ),
            after(
                "is a pivot and stands after another one",
                "a saga has one point of no return: keep one, or make this one `retriable`",
            ),
            after(
                "can fail and stands after the point of no return",
                "make it `retriable`, or move it before the pivot",
            ),
            after("can be undone and stands after a step that cannot", "move it before the `retriable` step"),
            after("is a pivot and stands after a step that cannot be undone", "move it before the `retriable` step"),
            after(
                "can fail and stands after a step that cannot be undone",
                "make it `retriable`, or move it before the `retriable` step",
            ),
            after(
                "is `retriable`, which is retried until it succeeds, and `.deadline(…)` ends it",
                "remove the deadline",
            ),
        ];
        let arms = messages
            .iter()
            .zip(1u8..)
            .map(|(message, number)| quote_spanned!(at=> #number => ::core::panic!(#message),));
        quote_spanned! {at=>
            const _: () = match #private::strict::verdict(__SAGA_REACHED[#index], __SAGA_CLASSES[#index], #deadline) {
                #(#arms)*
                _ => {}
            };
        }
    });
    let uses = &body.uses;
    // What was known by its name must be what has that name here.
    let operations = body.operations.iter().map(|(path, own)| {
        let at = located(path.path.segments.last().map_or(span, |last| last.ident.span()));
        let (private, path, own) = (krate.private(at), without_arguments(path), Ident::new(own, at));
        quote_spanned!(at=> const _: #private::strict::#own = #path;)
    });
    quote_spanned! {span=>
        #(#[allow(unused_imports)] #uses)*
        #(#operations)*
        const __SAGA_CLASSES: [#private::strict::Summary; #count] = [#(#classes),*];
        const __SAGA_REACHED: [u8; #count] = #private::strict::reached(#nodes, &__SAGA_CLASSES);
        #(#checks)*
    }
}

/// The constant expression that is a step's class.
fn class(step: &super::StepCode, krate: &Krate) -> TokenStream {
    let at = located(step.span);
    let private = krate.private(at);
    match &step.source {
        Source::Hidden | Source::Own => quote_spanned!(at=> #private::strict::Summary::NEUTRAL),
        Source::Run { operation, run, spawns, .. } => {
            let (operation, run) = (without_arguments(operation), without_arguments(run));
            let returned = Ident::new(if *spawns { "Spawn" } else { "ContinueAsNew" }, at);
            let summary = if *spawns {
                quote_spanned!(at=> <#private::WorkflowCall<#run> as #private::strict::Awaitable>::SUMMARY)
            } else {
                quote_spanned!(at=> #private::strict::Summary::NEUTRAL)
            };
            quote_spanned! {at=> {
                const OWN: fn(#private::WorkflowCall<#run>) -> #private::strict::#returned<#run> = #operation;
                let _ = OWN;
                #summary
            }}
        }
        Source::Call { path, arguments, .. } => {
            let mut path = path.clone();
            path.attrs.clear();
            let of = Ident::new(&format!("of{arguments}"), at);
            quote_spanned!(at=> #private::strict::#of(&#path))
        }
    }
}

/// A path to a generic function, whose generics are to be found out.
fn without_arguments(path: &ExprPath) -> ExprPath {
    let mut path = path.clone();
    path.attrs.clear();
    if let Some(last) = path.path.segments.last_mut() {
        last.arguments = PathArguments::None;
    }
    path
}
