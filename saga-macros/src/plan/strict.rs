//! `strict`: each awaited activity says what it is, and undoable steps, the pivot and retriable
//! steps come in this order along every path.
//!
//! Syntax shows where the steps stand; what each is, only its type says. So the check is made of
//! constants: one reads the classes of all awaited calls, one walks the plan with them, and one
//! for each step panics at that step.

use proc_macro2::{Ident, TokenStream};
use quote::quote_spanned;
use syn::ext::IdentExt as _;
use syn::{ExprPath, PathArguments};

use super::{Plan, Source};
use crate::diag::Diag;
use crate::krate::{Krate, located};

/// The builders of a call that change nothing about its class.
const BUILDERS: &[&str] = &["timeout", "deadline", "retry", "queue", "key"];

/// Generic operations of the framework, each with the type that its name must have.
const GENERIC: &[(&str, &str)] = &[("side_effect", "SideEffectFn")];

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
            Source::Call { builders, .. } => {
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
            Source::Hidden => false,
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
    quote_spanned! {span=>
        #(#[allow(unused_imports)] #uses)*
        const __SAGA_CLASSES: [#private::strict::Summary; #count] = [#(#classes),*];
        const __SAGA_REACHED: [u8; #count] = #private::strict::reached(#nodes, &__SAGA_CLASSES);
        #(#checks)*
    }
}

/// The constant expression that is a step's class.
fn class(step: &super::StepCode, krate: &Krate) -> TokenStream {
    let at = located(step.span);
    let private = krate.private(at);
    let Source::Call { path, arguments, .. } = &step.source else {
        return quote_spanned!(at=> #private::strict::Summary::NEUTRAL);
    };
    let path = attributeless(path);
    let name = path.path.segments.last().map(|last| last.ident.unraw().to_string()).unwrap_or_default();
    let has_generics = path.path.segments.last().is_some_and(|last| !matches!(last.arguments, PathArguments::None));
    if let Some((_, own)) = GENERIC.iter().find(|(generic, _)| *generic == name && !has_generics) {
        let own = Ident::new(own, at);
        return quote_spanned!(at=> { const OWN: #private::strict::#own = #path; let _ = OWN; #private::strict::Summary::NEUTRAL });
    }
    let of = Ident::new(&format!("of{arguments}"), at);
    quote_spanned!(at=> #private::strict::#of(&#path))
}

fn attributeless(path: &ExprPath) -> ExprPath {
    let mut path = path.clone();
    path.attrs.clear();
    path
}
