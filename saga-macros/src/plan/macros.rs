//! Macros in a body, as its plan sees them: our joins and selects, lists of expressions, those that
//! leave the body, and those that never return.

use proc_macro2::{TokenStream, TokenTree};
use syn::parse::{Parse as _, ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::visit::Visit as _;
use syn::{Expr, Macro, Pat, Token};

use super::walk::{Walker, shown};
use super::{Arm, Node, line};
use crate::awaits::awaits_in;

/// Macros that never return.
const DIVERGE: &[&str] = &["panic", "unreachable", "todo", "unimplemented"];

impl Walker {
    /// Adds what an awaited `join!` or `try_join!` does; whether it is one.
    pub(super) fn together(&mut self, mac: &Macro) -> bool {
        let Some(last) = mac.path.segments.last() else { return false };
        let name = last.ident.to_string();
        let kind = match name.as_str() {
            "join" => "Join",
            "try_join" => "TryJoin",
            _ => return false,
        };
        let Some(awaited) = expressions(mac) else { return false };
        let branches = awaited.iter().map(|item| self.branch(String::new(), item)).collect();
        self.out.push(Node::Join { line: line(last.ident.span()), kind, branches });
        true
    }

    fn select(&mut self, mac: &Macro) -> bool {
        let Ok(list) = select_arms.parse2(mac.tokens.clone()) else { return false };
        let mut branches = Vec::new();
        for (pattern, awaited, handler) in &list {
            let Arm { label, mut body } = self.branch(shown(pattern), awaited);
            self.visit_pat(pattern);
            body.extend(self.within(|walker| walker.visit_expr(handler)));
            branches.push(Arm { label, body });
        }
        let at = mac.path.segments.last().map_or(0, |last| line(last.ident.span()));
        self.out.push(Node::Join { line: at, kind: "Select", branches });
        true
    }

    /// A macro that is not awaited.
    pub(super) fn visit_macro_call(&mut self, mac: &Macro) {
        let name = mac.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        if name == "select" && self.select(mac) {
            return;
        }
        if self.macros.contains(&name) {
            self.hidden(mac.path.span(), format!("{name}!(…)"));
        }
        match expressions(mac) {
            // Those of ours do nothing until they are awaited.
            Some(_) if ["join", "try_join"].contains(&name.as_str()) => {}
            Some(list) => list.iter().for_each(|expr| self.visit_expr(expr)),
            None if name == "matches" => {
                let first = |input: ParseStream<'_>| {
                    let first = input.parse::<Expr>();
                    input.parse::<TokenStream>()?;
                    first
                };
                if let Ok(first) = first.parse2(mac.tokens.clone()) {
                    self.visit_expr(&first);
                }
                self.unseen(&name, after_comma(mac.tokens.clone()));
            }
            None => match repeated.parse2(mac.tokens.clone()) {
                Ok((item, count)) if name == "vec" => {
                    self.visit_expr(&item);
                    self.visit_expr(&count);
                }
                _ => self.unseen(&name, mac.tokens.clone()),
            },
        }
        let at = mac.path.segments.last().map_or(0, |last| line(last.ident.span()));
        match name.as_str() {
            name if DIVERGE.contains(&name) => self.out.push(Node::Diverges { line: at }),
            // These of `anyhow` and `eyre` leave the innermost body, which may be an async block.
            "bail" => self.out.push(Node::Return { line: at, detail: "bail!".to_owned() }),
            "ensure" => self.out.push(Node::Exit { line: at }),
            _ => {}
        }
    }
}

impl Walker {
    /// What a macro is given that is no list of expressions may hide an await.
    fn unseen(&mut self, name: &str, tokens: TokenStream) {
        if let Some(span) = awaits_in(tokens) {
            self.hidden(span, format!("{name}!(…)"));
        }
    }
}

/// What stands behind the first comma.
fn after_comma(tokens: TokenStream) -> TokenStream {
    let is_comma = |tree: &TokenTree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == ',');
    tokens.into_iter().skip_while(|tree| !is_comma(tree)).collect()
}

/// `item; count`
fn repeated(input: ParseStream<'_>) -> syn::Result<(Expr, Expr)> {
    let item = input.parse()?;
    input.parse::<Token![;]>()?;
    Ok((item, input.parse()?))
}

/// The arguments of a macro, if they are expressions.
fn expressions(mac: &Macro) -> Option<Vec<Expr>> {
    let list = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(mac.tokens.clone());
    list.ok().map(|list| list.into_iter().collect())
}

/// `[a(), b()]` and `vec![a(), b()]`.
pub(super) fn written_out(items: &Expr) -> Option<Vec<Expr>> {
    match items {
        Expr::Array(array) => Some(array.elems.iter().cloned().collect()),
        Expr::Macro(call) if call.mac.path.is_ident("vec") => expressions(&call.mac),
        Expr::Paren(paren) => written_out(&paren.expr),
        _ => None,
    }
}

/// `pattern = awaited => handler`, with a comma between them.
fn select_arms(input: ParseStream<'_>) -> syn::Result<Vec<(Pat, Expr, Expr)>> {
    let mut arms = Vec::new();
    while !input.is_empty() {
        let pattern = Pat::parse_multi_with_leading_vert(input)?;
        input.parse::<Token![=]>()?;
        let awaited = Expr::parse(input)?;
        input.parse::<Token![=>]>()?;
        let handler = Expr::parse(input)?;
        arms.push((pattern, awaited, handler));
        if input.parse::<Option<Token![,]>>()?.is_none() {
            break;
        }
    }
    Ok(arms)
}
