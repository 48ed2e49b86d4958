//! `compensate = release(output.id)`, of an activity or a workflow: which names the undo's call
//! mentions, and the method that makes it.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::Expr;
use syn::spanned::Spanned as _;

use crate::diag::{Diag, by_distance};
use crate::docs;
use crate::function::{Function, Params, Role};
use crate::item::Item;
use crate::krate::located;

/// A checked `compensate = …`.
pub(crate) struct Undo {
    pub(crate) call: Expr,
    /// Inputs that it mentions.
    pub(crate) inputs: Vec<Ident>,
    /// Where it mentions `output` first.
    pub(crate) output: Option<Span>,
}

/// Checks the expression. `None` (with an error) if it cannot be expanded.
pub(crate) fn check(expr: &Expr, params: &Params, function: &Function, diag: &mut Diag) -> Option<Undo> {
    let root = receiver(expr);
    if !matches!(root, Expr::Call(_)) {
        let shown = docs::text(expr);
        let message = match expr {
            Expr::Path(_) => format!(
                "`compensate` is the call that undoes: write `compensate = {shown}(output)`, with the arguments that it needs"
            ),
            _ => "`compensate` is the call of an activity: write `compensate = release(output.id)`".to_owned(),
        };
        diag.at(expr, message);
        return None;
    }
    if params.broken {
        return None;
    }
    let scope = Scope { params, function };
    let mut fine = true;
    for_each_argument(root, &mut |argument| fine &= scope.check(argument, diag));
    if !fine {
        return None;
    }
    let mut mentioned = Mentioned::default();
    mentioned.collect(expr.to_token_stream());
    let inputs = params.inputs().filter(|param| mentioned.names.contains(&param.ident.to_string()));
    Some(Undo {
        call: expr.clone(),
        inputs: inputs.map(|param| param.ident.clone()).collect(),
        output: mentioned.output,
    })
}

/// The kind of the undo, and what makes it: how it is written, and the method.
pub(crate) fn undo_tokens(undo: Option<&Undo>, item: &Item<'_>) -> (TokenStream, TokenStream) {
    let Some(undo) = undo else { return (quote!(Nothing), TokenStream::new()) };
    let span = located(undo.call.span());
    let private = item.krate.private(span);
    let (call, inputs) = (&undo.call, &undo.inputs);
    let bind = (!inputs.is_empty()).then(|| {
        quote_spanned! {span=>
            #[allow(unused_variables)]
            let Self { #(#inputs,)* .. } = self;
        }
    });
    let body = quote_spanned! {span=>
        #bind
        ::core::option::Option::Some(#private::undo(#call))
    };
    let returned = quote_spanned!(span=> ::core::option::Option<#private::UndoCall>);
    let written = docs::text(&undo.call);
    let written = quote_spanned!(span=> const UNDONE_BY: &'static str = #written;);
    match undo.output {
        Some(output_span) => {
            let output = Ident::new("output", output_span);
            let method = quote_spanned!(span=> fn undo_from_output(self, #output: Self::Output) -> #returned { #body });
            (quote!(FromOutput), quote_spanned!(span=> #written #[allow(unused_variables)] #method))
        }
        None => (quote!(FromInput), quote_spanned!(span=> #written fn undo_from_input(self) -> #returned { #body })),
    }
}

/// What stands under builder calls: `release(id)` of `release(id).timeout(…)`.
fn receiver(expr: &Expr) -> &Expr {
    match expr {
        Expr::MethodCall(call) => receiver(&call.receiver),
        Expr::Paren(paren) => receiver(&paren.expr),
        Expr::Group(group) => receiver(&group.expr),
        other => other,
    }
}

/// Visits the arguments of a call, and of the calls among them.
fn for_each_argument(expr: &Expr, visit: &mut impl FnMut(&Expr)) {
    if let Expr::Call(call) = expr {
        for argument in &call.args {
            visit(argument);
            for_each_argument(origin(argument), visit);
        }
    }
}

/// What an argument is made from: `output` of `output.id.clone()`.
fn origin(expr: &Expr) -> &Expr {
    match expr {
        Expr::MethodCall(call) => origin(&call.receiver),
        Expr::Field(field) => origin(&field.base),
        Expr::Reference(reference) => origin(&reference.expr),
        Expr::Paren(paren) => origin(&paren.expr),
        Expr::Group(group) => origin(&group.expr),
        Expr::Try(attempt) => origin(&attempt.expr),
        Expr::Cast(cast) => origin(&cast.expr),
        other => other,
    }
}

struct Scope<'a> {
    params: &'a Params,
    function: &'a Function,
}

impl Scope<'_> {
    /// Whether an argument's origin is something the undo can see. Only a plain lower-case word
    /// is judged; for the rest the compiler speaks.
    fn check(&self, argument: &Expr, diag: &mut Diag) -> bool {
        let Expr::Path(path) = origin(argument) else { return true };
        let Some(name) = path.path.get_ident() else { return true };
        let word = name.to_string();
        if word == "output" || !word.starts_with(|c: char| c.is_lowercase()) {
            return true;
        }
        let Some(param) = self.params.all.iter().find(|param| param.ident == *name) else {
            let known: Vec<String> = self.params.inputs().map(|param| param.ident.to_string()).collect();
            let mut known: Vec<&str> = known.iter().map(String::as_str).collect();
            known.push("output");
            let (nearest, sorted) = by_distance(&word, &known);
            let meant = nearest.map(|nearest| format!("did you mean `{nearest}`? ")).unwrap_or_default();
            let list = sorted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let activity = &self.function.sig.ident;
            diag.at(name, format!("`{word}` is no input of `{activity}`: {meant}the undo can use {list}"));
            return false;
        };
        let marker = match param.role {
            Role::Input => return true,
            Role::State(_) => "state",
            Role::Context => "context",
            Role::Transaction(_) => "transaction",
        };
        diag.at(
            name,
            format!("`{word}` is `#[{marker}]`, which is not recorded with the undo: take it as `#[{marker}]` in the activity that undoes"),
        );
        false
    }
}

/// Words that stand for a value, format strings included. It may find too many: what is bound in
/// vain is allowed to be unused.
#[derive(Default)]
struct Mentioned {
    names: BTreeSet<String>,
    output: Option<Span>,
}

impl Mentioned {
    fn collect(&mut self, tokens: TokenStream) {
        let mut before = None;
        for tree in tokens {
            let mut this = None;
            match &tree {
                TokenTree::Group(group) => self.collect(group.stream()),
                TokenTree::Punct(punct) => this = Some(punct.as_char()),
                TokenTree::Ident(word) => {
                    if before != Some('.') {
                        self.add(word.to_string(), word.span());
                    }
                }
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    for part in text.split('{').skip(1) {
                        let word: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                        self.add(word, literal.span());
                    }
                }
            }
            before = this;
        }
    }

    fn add(&mut self, word: String, span: Span) {
        if word == "output" {
            self.output.get_or_insert(span);
        }
        self.names.insert(word);
    }
}
