//! What an awaited call does: a step of an activity, a child or a helper, or an operation of the
//! framework with what it is given.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::visit::Visit as _;
use syn::{Expr, ExprPath};

use super::walk::{Walker, shown, without_arguments};
use super::{Node, Source, line};
use crate::docs;

impl Walker {
    pub(super) fn call(&mut self, path: &ExprPath, call: &syn::ExprCall, builders: Vec<syn::Ident>) {
        let Some(last) = path.path.segments.last() else { return };
        let name = last.ident.unraw().to_string();
        let (span, first) = (last.ident.span(), call.args.first());
        match (name.as_str(), call.args.len(), first) {
            ("attempt", 1, Some(saga)) => {
                self.operations.push((path.clone(), "AttemptFn"));
                let body = self.future(|walker| walker.awaited(saga));
                return self.out.push(Node::Attempt { line: line(span), body });
            }
            ("join_all" | "try_join_all", 1, Some(items)) => {
                let (kind, own) = if name == "join_all" { ("All", "JoinAllFn") } else { ("TryAll", "TryJoinAllFn") };
                self.operations.push((path.clone(), own));
                return self.each(kind, items, span);
            }
            ("for_each_concurrent", 3, Some(limit)) => {
                self.operations.push((path.clone(), "ForEachFn"));
                self.visit_expr(limit);
                self.visit_expr(&call.args[1]);
                let body = self.for_each_of(&call.args[2]);
                let detail = shown(&call.args[1]);
                return self.out.push(Node::Each { line: line(span), kind: "ForEach", detail, body });
            }
            _ => {}
        }
        let run = match (name.as_str(), first) {
            ("spawn" | "continue_as_new", Some(run)) if call.args.len() == 1 => called(run),
            _ => None,
        };
        match &run {
            Some((_, inner, _)) => inner.args.iter().for_each(|argument| self.visit_expr(argument)),
            None => call.args.iter().for_each(|argument| self.visit_expr(argument)),
        }
        let own = match (name.as_str(), call.args.len()) {
            ("side_effect", 1) => Some("SideEffectFn"),
            ("send", 2) => Some("SendFn"),
            _ => None,
        };
        let source = match (own, &run) {
            (_, Some((run, _, builders))) => Source::Run {
                operation: path.clone(),
                run: (*run).clone(),
                builders: builders.clone(),
                spawns: name == "spawn",
            },
            (Some(own), _) if builders.is_empty() => {
                self.operations.push((path.clone(), own));
                Source::Own
            }
            _ => self.source(path, call.args.len(), builders),
        };
        let (kind, target, detail) = match (name.as_str(), run) {
            ("spawn", Some((child, ..))) => ("Spawn", without_arguments(child), String::new()),
            ("continue_as_new", Some((next, ..))) => ("Again", without_arguments(next), String::new()),
            ("sleep" | "sleep_until", _) => ("Timer", name, call.args.iter().map(shown).collect()),
            ("side_effect", _) => ("Value", name, String::new()),
            ("pivot", _) if call.args.is_empty() => ("Pivot", name, String::new()),
            ("event", _) => match generic(last) {
                Some(event) => ("Event", event, String::new()),
                None => ("Event", String::new(), name),
            },
            _ => ("Call", without_arguments(path), String::new()),
        };
        self.step(kind, span, target, detail, source);
    }

    fn source(&self, path: &ExprPath, arguments: usize, builders: Vec<syn::Ident>) -> Source {
        let is_local = path.path.get_ident().is_some_and(|ident| self.locals.contains(&ident.to_string()));
        Source::Call { path: path.clone(), arguments, builders, is_local }
    }

    /// What is done for one item: by a closure, or by a function that makes a call of it.
    fn for_each_of(&mut self, each: &Expr) -> Vec<Node> {
        match each {
            Expr::Closure(closure) => {
                closure.inputs.iter().for_each(|pat| self.visit_pat(pat));
                self.future(|walker| walker.awaited(tail(&closure.body)))
            }
            Expr::Path(path) => self.future(|walker| {
                let source = walker.source(path, 1, Vec::new());
                walker.step("Call", path.span(), without_arguments(path), String::new(), source);
            }),
            other => {
                self.visit_expr(other);
                self.future(|walker| walker.step("Other", other.span(), String::new(), shown(other), Source::Hidden))
            }
        }
    }

    /// Something awaits here that the syntax does not show.
    pub(super) fn hidden(&mut self, span: Span, detail: String) {
        self.step("Other", span, String::new(), detail, Source::Hidden);
    }

    /// `join_all(…)`: a list that is written out, or a closure over items.
    fn each(&mut self, kind: &'static str, items: &Expr, span: Span) {
        let at = line(span);
        if let Some(list) = super::macros::written_out(items) {
            let branches = list.iter().map(|item| self.branch(String::new(), item)).collect();
            return self.out.push(Node::Join { line: at, kind, branches });
        }
        let mut root = items;
        while let Expr::MethodCall(call) = root {
            if call.method == "map"
                && let Some(each @ (Expr::Closure(_) | Expr::Path(_))) = call.args.first()
            {
                self.visit_expr(&call.receiver);
                let body = self.for_each_of(each);
                let detail = shown(&call.receiver);
                return self.out.push(Node::Each { line: at, kind, detail, body });
            }
            root = &call.receiver;
        }
        self.visit_expr(items);
        let body =
            self.future(|walker| walker.step("Other", items.span(), String::new(), shown(items), Source::Hidden));
        self.out.push(Node::Each { line: at, kind, detail: shown(items), body });
    }
}

/// `path(…)`, with builder calls: the path, the call and the builders.
fn called(expr: &Expr) -> Option<(&ExprPath, &syn::ExprCall, Vec<syn::Ident>)> {
    match expr {
        Expr::MethodCall(outer) => {
            let (path, call, mut builders) = called(&outer.receiver)?;
            builders.push(outer.method.clone());
            Some((path, call, builders))
        }
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) => Some((path, call, Vec::new())),
            _ => None,
        },
        Expr::Paren(paren) => called(&paren.expr),
        _ => None,
    }
}

/// What a closure returns: `async move { … }` of `|x| { async move { … } }`.
fn tail(body: &Expr) -> &Expr {
    match body {
        Expr::Block(block) => match block.block.stmts.as_slice() {
            [syn::Stmt::Expr(only, None)] => tail(only),
            _ => body,
        },
        Expr::Paren(paren) => tail(&paren.expr),
        other => other,
    }
}

/// `Approval` of `event::<Approval>`.
fn generic(segment: &syn::PathSegment) -> Option<String> {
    match &segment.arguments {
        syn::PathArguments::AngleBracketed(arguments) => arguments.args.first().map(docs::text),
        _ => None,
    }
}
