//! From a body's syntax to its plan.

use std::collections::BTreeSet;

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Block, Expr, ExprPath, Pat};

use super::{Arm, Node, Plan, Source, StepCode, line};
use crate::awaits::awaits_in;
use crate::docs;

/// The longest text of an expression in a plan.
const SHOWN: usize = 60;

/// The plan of a block.
pub(super) fn walk(block: &Block) -> Plan {
    let mut walker = Walker::default();
    walker.visit_block(block);
    let uses = block.stmts.iter().filter_map(|stmt| match stmt {
        syn::Stmt::Item(syn::Item::Use(item)) => Some(item.clone()),
        _ => None,
    });
    Plan { nodes: walker.out, steps: walker.steps, operations: walker.operations, uses: uses.collect() }
}

#[derive(Default)]
pub(super) struct Walker {
    pub(super) out: Vec<Node>,
    steps: Vec<StepCode>,
    /// What `break` and `continue` can leave, outermost first: its label, and whether it is a loop.
    scopes: Vec<(Option<String>, bool)>,
    /// Names of variables: a call of one is no call of a function.
    pub(super) locals: BTreeSet<String>,
    /// Macros that are defined in the body and await in their definition.
    pub(super) macros: BTreeSet<String>,
    pub(super) operations: Vec<(ExprPath, &'static str)>,
}

/// An expression as a plan shows it.
pub(super) fn shown(tokens: impl quote::ToTokens) -> String {
    shown_text(&docs::text(tokens))
}

fn shown_text(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
        None => text.to_owned(),
    }
}

impl Walker {
    /// What `f` adds, by itself.
    pub(super) fn within(&mut self, f: impl FnOnce(&mut Self)) -> Vec<Node> {
        let before = std::mem::take(&mut self.out);
        f(self);
        std::mem::replace(&mut self.out, before)
    }

    /// The same for code that `break` and `continue` cannot leave.
    pub(super) fn future(&mut self, f: impl FnOnce(&mut Self)) -> Vec<Node> {
        let scopes = std::mem::take(&mut self.scopes);
        let nodes = self.within(f);
        self.scopes = scopes;
        nodes
    }

    fn looped(&mut self, label: Option<&syn::Label>, f: impl FnOnce(&mut Self)) -> Vec<Node> {
        self.scopes.push((label.map(|label| label.name.ident.to_string()), true));
        let nodes = self.within(f);
        self.scopes.pop();
        nodes
    }

    /// How many scopes out a `break` or a `continue` goes.
    fn depth(&self, label: Option<&syn::Lifetime>) -> usize {
        let fits = |(name, is_loop): &(Option<String>, bool)| match label {
            Some(label) => name.as_ref().is_some_and(|name| label.ident == name),
            None => *is_loop,
        };
        self.scopes.iter().rev().position(fits).unwrap_or(0)
    }

    pub(super) fn step(&mut self, kind: &'static str, span: Span, target: String, detail: String, source: Source) {
        let index = self.steps.len();
        let name = if target.is_empty() { &detail } else { &target };
        self.steps.push(StepCode { shown: name.clone(), span, source });
        self.out.push(Node::Step { index, line: line(span), kind, target, detail });
    }

    /// What awaiting this expression does.
    pub(super) fn awaited(&mut self, base: &Expr) {
        match base {
            Expr::Paren(paren) => return self.awaited(&paren.expr),
            Expr::Group(group) => return self.awaited(&group.expr),
            Expr::Async(block) => {
                let body = self.future(|walker| walker.visit_block(&block.block));
                return self.out.push(Node::Block { line: line(block.async_token.span()), body });
            }
            Expr::Macro(call) if self.together(&call.mac) => return,
            _ => {}
        }
        let mut builders = Vec::new();
        let mut root = base;
        while let Expr::MethodCall(call) = root {
            builders.push(call.method.clone());
            root = &call.receiver;
        }
        builders.reverse();
        if let Expr::Call(call) = root
            && let Expr::Path(path) = &*call.func
        {
            let mut arguments = base;
            while let Expr::MethodCall(call) = arguments {
                call.args.iter().for_each(|argument| self.visit_expr(argument));
                arguments = &call.receiver;
            }
            return self.call(path, call, builders);
        }
        self.visit_expr(base);
        let span = base.span();
        self.step("Other", span, String::new(), shown(base), Source::Hidden);
    }

    /// One of several things that go on at the same time.
    pub(super) fn branch(&mut self, label: String, awaited: &Expr) -> Arm {
        Arm { label, body: self.future(|walker| walker.awaited(awaited)) }
    }

    fn arm(&mut self, label: impl Into<String>, f: impl FnOnce(&mut Self)) -> Arm {
        Arm { label: label.into(), body: self.within(f) }
    }

    fn branches(&mut self, line: usize, detail: String, arms: Vec<Arm>) {
        if arms.iter().any(|arm| !arm.body.is_empty()) {
            self.out.push(Node::Branch { line, detail, arms });
        }
    }
}

/// A path without the generics of its last name.
pub(super) fn without_arguments(path: &ExprPath) -> String {
    let mut path = path.path.clone();
    if let Some(last) = path.segments.last_mut() {
        last.arguments = syn::PathArguments::None;
    }
    docs::text(path)
}

impl<'ast> Visit<'ast> for Walker {
    fn visit_expr_await(&mut self, expr: &'ast syn::ExprAwait) {
        self.awaited(&expr.base);
    }

    fn visit_expr_try(&mut self, expr: &'ast syn::ExprTry) {
        self.visit_expr(&expr.expr);
        self.out.push(Node::Exit { line: line(expr.question_token.span()) });
    }

    fn visit_expr_if(&mut self, expr: &'ast syn::ExprIf) {
        self.visit_expr(&expr.cond);
        let then = self.arm("yes", |walker| walker.visit_block(&expr.then_branch));
        let otherwise = self.arm("no", |walker| {
            if let Some((_, otherwise)) = &expr.else_branch {
                walker.visit_expr(otherwise);
            }
        });
        self.branches(line(expr.if_token.span()), shown(&expr.cond), vec![then, otherwise]);
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        self.visit_expr(&expr.expr);
        // A guard is asked on the way to its own arm and to each one below.
        for arm in &expr.arms {
            let Pat::Guard(guarded) = &arm.pat else { continue };
            let asked = self.arm("", |walker| {
                walker.visit_pat(&guarded.pat);
                walker.visit_expr(&guarded.guard);
            });
            let none = Arm { label: String::new(), body: Vec::new() };
            self.branches(line(guarded.if_token.span()), shown(&guarded.pat), vec![asked, none]);
        }
        let mut arms = Vec::new();
        for arm in &expr.arms {
            let pat = if let Pat::Guard(guarded) = &arm.pat { &*guarded.pat } else { &arm.pat };
            arms.push(self.arm(shown(&arm.pat), |walker| {
                walker.visit_pat(pat);
                walker.visit_expr(&arm.body);
            }));
        }
        self.branches(line(expr.match_token.span()), shown(&expr.expr), arms);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let Some(init) = &local.init {
            self.visit_expr(&init.expr);
            if let Some((token, otherwise)) = &init.diverge {
                let fits = Arm { label: "yes".to_owned(), body: Vec::new() };
                let not = self.arm("no", |walker| walker.visit_expr(otherwise));
                let detail = format!("let {} = {}", docs::text(&local.pat), docs::text(&init.expr));
                self.branches(line(token.span()), shown_text(&detail), vec![fits, not]);
            }
        }
        self.visit_pat(&local.pat);
    }

    fn visit_expr_binary(&mut self, expr: &'ast syn::ExprBinary) {
        self.visit_expr(&expr.left);
        if !matches!(expr.op, syn::BinOp::And(_) | syn::BinOp::Or(_)) {
            return self.visit_expr(&expr.right);
        }
        let right = self.arm("", |walker| walker.visit_expr(&expr.right));
        let none = Arm { label: String::new(), body: Vec::new() };
        self.branches(line(expr.op.span()), shown(&expr.left), vec![right, none]);
    }

    fn visit_expr_while(&mut self, expr: &'ast syn::ExprWhile) {
        let head = self.within(|walker| walker.visit_expr(&expr.cond));
        let body = self.looped(expr.label.as_ref(), |walker| walker.visit_block(&expr.body));
        let detail = format!("while {}", shown(&expr.cond));
        self.out.push(Node::Loop { line: line(expr.while_token.span()), detail, endless: false, head, body });
    }

    fn visit_expr_for_loop(&mut self, expr: &'ast syn::ExprForLoop) {
        self.visit_expr(&expr.expr);
        self.visit_pat(&expr.pat);
        let body = self.looped(expr.label.as_ref(), |walker| walker.visit_block(&expr.body));
        let detail = format!("for {} in {}", shown(&expr.pat), shown(&expr.expr));
        let line = line(expr.for_token.span());
        if !body.is_empty() {
            self.out.push(Node::Loop { line, detail, endless: false, head: Vec::new(), body });
        }
    }

    fn visit_expr_loop(&mut self, expr: &'ast syn::ExprLoop) {
        let body = self.looped(expr.label.as_ref(), |walker| walker.visit_block(&expr.body));
        let line = line(expr.loop_token.span());
        self.out.push(Node::Loop { line, detail: "loop".to_owned(), endless: true, head: Vec::new(), body });
    }

    fn visit_expr_block(&mut self, expr: &'ast syn::ExprBlock) {
        let Some(label) = &expr.label else { return self.visit_block(&expr.block) };
        self.scopes.push((Some(label.name.ident.to_string()), false));
        let body = self.within(|walker| walker.visit_block(&expr.block));
        self.scopes.pop();
        self.out.push(Node::Labelled { line: line(label.name.span()), body });
    }

    fn visit_expr_break(&mut self, expr: &'ast syn::ExprBreak) {
        visit::visit_expr_break(self, expr);
        let depth = self.depth(expr.label.as_ref());
        self.out.push(Node::Break { line: line(expr.break_token.span()), depth });
    }

    fn visit_expr_continue(&mut self, expr: &'ast syn::ExprContinue) {
        let depth = self.depth(expr.label.as_ref());
        self.out.push(Node::Continue { line: line(expr.continue_token.span()), depth });
    }

    fn visit_expr_return(&mut self, expr: &'ast syn::ExprReturn) {
        visit::visit_expr_return(self, expr);
        let detail = expr.expr.as_ref().map(shown).unwrap_or_default();
        self.out.push(Node::Return { line: line(expr.return_token.span()), detail });
    }

    /// A block that is not awaited where it is written: it may run later, or never.
    fn visit_expr_async(&mut self, expr: &'ast syn::ExprAsync) {
        let body = self.future(|walker| walker.visit_block(&expr.block));
        let at = line(expr.async_token.span());
        if !body.is_empty() {
            let arm = |body| Arm { label: String::new(), body };
            let arms = vec![arm(vec![Node::Block { line: at, body }]), arm(Vec::new())];
            self.out.push(Node::Branch { line: at, detail: "async".to_owned(), arms });
        }
    }

    /// A closure may be called any number of times.
    fn visit_expr_closure(&mut self, expr: &'ast syn::ExprClosure) {
        expr.inputs.iter().for_each(|pat| self.visit_pat(pat));
        let body = self.future(|walker| walker.visit_expr(&expr.body));
        let at = line(expr.inputs_begin.span());
        let durable = |node: &Node| !matches!(node, Node::Exit { .. } | Node::Return { .. } | Node::Diverges { .. });
        if body.iter().any(durable) {
            let body = vec![Node::Block { line: at, body }];
            self.out.push(Node::Loop {
                line: at,
                detail: "closure".to_owned(),
                endless: false,
                head: Vec::new(),
                body,
            });
        }
    }

    fn visit_expr_call(&mut self, expr: &'ast syn::ExprCall) {
        visit::visit_expr_call(self, expr);
        let Expr::Path(path) = &*expr.func else { return };
        let is_undo = path.path.segments.last().is_some_and(|last| last.ident == "undo");
        if let (true, Some(Expr::Call(call))) = (is_undo && expr.args.len() == 1, expr.args.first())
            && let Expr::Path(target) = &*call.func
        {
            self.out.push(Node::Undo { line: line(path.span()), target: without_arguments(target) });
        }
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.visit_macro_call(mac);
    }

    fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
        self.locals.insert(pat.ident.to_string());
        visit::visit_pat_ident(self, pat);
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        if let syn::Item::Macro(item) = item
            && let (Some(name), Some(_)) = (&item.ident, awaits_in(item.mac.tokens.clone()))
        {
            self.macros.insert(name.to_string());
        }
    }
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
