//! The rewrite of a workflow's body: each `.await` goes through `Durable`, each async block is
//! durable and no future, and `join!`, `try_join!` and `select!` are ours.
//!
//! It works on tokens, not on a syntax tree, so that it reaches into the arguments of every macro
//! and leaves code alone that is not complete yet.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::quote_spanned;

use crate::diag::Diag;
use crate::krate::Krate;

/// Macros of ours that stand for others of the same name.
const OURS: &[&str] = &["join", "try_join", "select"];

/// Rewrites a body. The braces stay the user's.
pub(crate) fn rewrite(body: &Group, krate: &Krate, diag: &mut Diag) -> Group {
    Rewrite { krate, diag }.group(body)
}

/// Brings the methods that awaits and loops call into scope at the head of a body, behind its
/// inner attributes, and `head` after it.
pub(crate) fn with_extension(body: &Group, private: &TokenStream, head: &TokenStream) -> Group {
    let mut stream: Vec<TokenTree> = body.stream().into_iter().collect();
    let mut at = 0;
    while is_punct(stream.get(at), '#') && is_punct(stream.get(at + 1), '!') && stream.len() > at + 2 {
        at += 3;
    }
    let span = private.clone().into_iter().next().map_or_else(proc_macro2::Span::call_site, |tree| tree.span());
    let import = quote_spanned! {span=>
        #[allow(unused_imports)]
        use #private::{DurableExt as _, OrderedProbe as _};
        #head
    };
    stream.splice(at..at, import);
    let mut extended = Group::new(body.delimiter(), stream.into_iter().collect());
    extended.set_span(body.span());
    extended
}

/// What nobody awaits, or whose result nobody looks at, is an error in a body. What the user says of
/// this lint comes after it, and counts.
pub(crate) fn lints(span: Span) -> TokenStream {
    quote_spanned!(span=> #[deny(unused_must_use)])
}

struct Rewrite<'a> {
    krate: &'a Krate,
    diag: &'a mut Diag,
}

impl Rewrite<'_> {
    fn group(&mut self, group: &Group) -> Group {
        let mut rewritten = Group::new(group.delimiter(), self.stream(group.stream()));
        rewritten.set_span(group.span());
        rewritten
    }

    fn stream(&mut self, stream: TokenStream) -> TokenStream {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut out = Vec::new();
        let mut at = 0;
        while at < trees.len() {
            at += self.one(&trees, at, &mut out);
        }
        out.into_iter().collect()
    }

    /// Rewrites what stands at `at`; returns how many trees that were.
    fn one(&mut self, trees: &[TokenTree], at: usize, out: &mut Vec<TokenTree>) -> usize {
        let next = |ahead: usize| trees.get(at + ahead);
        match &trees[at] {
            TokenTree::Ident(word) if word == "fn" && matches!(next(1), Some(TokenTree::Ident(_))) => {
                let length = item_length(&trees[at..]);
                out.extend(trees[at..at + length].iter().cloned());
                length
            }
            TokenTree::Ident(word) if word == "async" => self.async_block(word, trees, at, out),
            TokenTree::Punct(dot) if dot.as_char() == '.' => {
                if let Some(TokenTree::Ident(word)) = next(1)
                    && word == "await"
                {
                    let span = word.span();
                    let method = Ident::new("__saga_durable", span);
                    out.extend(quote_spanned!(span=> .#method()));
                    out.extend(trees[at..at + 2].iter().cloned());
                    return 2;
                }
                out.push(trees[at].clone());
                1
            }
            TokenTree::Ident(word) if is_macro_call(trees, at) => {
                self.macro_name(word, trees, at, out);
                1
            }
            TokenTree::Group(group) => {
                out.push(self.group(group).into());
                1
            }
            other => {
                out.push(other.clone());
                1
            }
        }
    }

    /// `async { … }` and `async move { … }` become blocks of ours.
    fn async_block(&mut self, word: &Ident, trees: &[TokenTree], at: usize, out: &mut Vec<TokenTree>) -> usize {
        let has_move = matches!(trees.get(at + 1), Some(TokenTree::Ident(next)) if next == "move");
        let length = if has_move { 2 } else { 1 };
        match trees.get(at + length) {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                // Not `located`: an error about the block as an argument would be shown at the attribute.
                let span = word.span();
                let private = self.krate.private(span);
                let head = &trees[at..at + length];
                let block = self.group(group);
                out.extend(quote_spanned!(span=> #private::Block(#(#head)* #block)));
                length + 1
            }
            Some(TokenTree::Punct(bar)) if bar.as_char() == '|' => {
                self.diag.at(word, "an async closure awaits out of the journal's sight: write `|x| async move { … }`");
                out.push(trees[at].clone());
                1
            }
            _ => {
                out.push(trees[at].clone());
                1
            }
        }
    }

    /// A macro of ours takes the place of others of its name.
    fn macro_name(&mut self, name: &Ident, trees: &[TokenTree], at: usize, out: &mut Vec<TokenTree>) {
        if !is_punct(at.checked_sub(1).and_then(|before| trees.get(before)), ':')
            && OURS.iter().any(|ours| name == ours)
        {
            // Not `located`: lints that ask whether code was generated would be shown at the attribute.
            let span = name.span();
            let krate = self.krate.at(span);
            out.extend(quote_spanned!(span=> #krate::#name));
        } else {
            out.push(name.clone().into());
        }
    }
}

/// Where the first `.await` in these tokens stands.
pub(crate) fn awaits_in(tokens: TokenStream) -> Option<Span> {
    tokens.into_iter().find_map(|tree| match tree {
        TokenTree::Ident(word) if word == "await" => Some(word.span()),
        TokenTree::Group(group) => awaits_in(group.stream()),
        _ => None,
    })
}

/// Whether this is that punctuation.
pub(crate) fn is_punct(tree: Option<&TokenTree>, c: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == c)
}

/// Whether the word at `at` is the name of a macro that is called there.
pub(crate) fn is_macro_call(trees: &[TokenTree], at: usize) -> bool {
    is_punct(trees.get(at + 1), '!') && matches!(trees.get(at + 2), Some(TokenTree::Group(_)))
}

/// How many trees a nested `fn` item has: up to its body, or its semicolon.
pub(crate) fn item_length(trees: &[TokenTree]) -> usize {
    for (at, tree) in trees.iter().enumerate().skip(1) {
        match tree {
            // `{ N }` as a const argument stands after `<` or `,`.
            TokenTree::Group(group)
                if group.delimiter() == Delimiter::Brace
                    && !is_punct(trees.get(at - 1), '<')
                    && !is_punct(trees.get(at - 1), ',') =>
            {
                return at + 1;
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => return at + 1,
            _ => {}
        }
    }
    trees.len()
}

#[cfg(test)]
mod tests {
    use super::{Diag, Krate, rewrite};
    use proc_macro2::{Delimiter, Group, TokenStream};

    fn rewritten(body: &str) -> (String, bool) {
        let tokens: TokenStream = body.parse().unwrap_or_default();
        let mut diag = Diag::default();
        let group = rewrite(&Group::new(Delimiter::Brace, tokens), &Krate::default_path(), &mut diag);
        (group.stream().to_string(), diag.is_empty())
    }

    fn same(body: &str, expected: &str) {
        let expected: TokenStream = expected.parse().unwrap_or_default();
        assert_eq!(rewritten(body), (expected.to_string(), true), "{body}");
    }

    #[test]
    fn each_await_goes_through_durable_also_inside_macros() {
        same("a(x).await?;", "a(x).__saga_durable().await?;");
        same("vec![a().await, b().await]", "vec![a().__saga_durable().await, b().__saga_durable().await]");
        same("assert!(matches!(a().await, Ok(_)))", "assert!(matches!(a().__saga_durable().await, Ok(_)))");
    }

    #[test]
    fn an_async_block_is_durable() {
        same(
            "async move { a().await }.await",
            "::saga_runtime::__private::Block(async move { a().__saga_durable().await }).__saga_durable().await",
        );
    }

    #[test]
    fn a_nested_function_is_left_alone_and_a_function_pointer_is_no_function() {
        same(
            "async fn f() -> u32 { a().await } b().await",
            "async fn f() -> u32 { a().await } b().__saga_durable().await",
        );
        same("fn g() -> A<{ 3 }> { x } b().await", "fn g() -> A<{ 3 }> { x } b().__saga_durable().await");
        same("let f: fn(u32) -> u32 = g; b().await", "let f: fn(u32) -> u32 = g; b().__saga_durable().await");
    }

    #[test]
    fn bare_join_and_select_are_ours_and_a_path_is_as_written() {
        same("join!(a(), b()).await", "::saga_runtime::join!(a(), b()).__saga_durable().await");
        same("shop::join!(a())", "shop::join!(a())");
        same("a != (b)", "a != (b)");
    }

    #[test]
    fn async_closures_are_refused() {
        for body in ["async |x| x", "async move || x.await"] {
            assert!(!rewritten(body).1, "{body}");
        }
    }
}
