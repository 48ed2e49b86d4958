//! What stands where in a body's tokens.

use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};
use syn::Expr;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};

use crate::awaits::is_punct;

/// The method that the rewrite puts before each await.
pub(super) const REWRITTEN: &str = "__saga_durable";

/// A path as it stands in a body.
pub(super) struct Path {
    pub(super) words: Vec<String>,
    pub(super) is_absolute: bool,
    pub(super) length: usize,
    /// Of the last word: stable Rust joins no spans.
    pub(super) span: Span,
}

impl Path {
    /// Reads the path that begins with the word at `at`.
    pub(super) fn read(trees: &[TokenTree], at: usize) -> Self {
        let mut path = Self {
            words: Vec::new(),
            is_absolute: at >= 2 && is_separator(trees, at - 2),
            length: 0,
            span: trees[at].span(),
        };
        while let Some(TokenTree::Ident(word)) = trees.get(at + path.length) {
            path.words.push(word.unraw().to_string());
            path.span = word.span();
            path.length += 1;
            if !is_separator(trees, at + path.length)
                || !matches!(trees.get(at + path.length + 2), Some(TokenTree::Ident(_)))
            {
                break;
            }
            path.length += 2;
        }
        path
    }
}

/// Whether the word is a field, a method, or goes on after generics: `a.now`, `Vec::<u8>::new`.
pub(super) fn is_member(trees: &[TokenTree], at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else { return false };
    if is_punct(trees.get(before), '.') {
        // `..now()` ends a range.
        return !(before >= 1 && is_punct(trees.get(before - 1), '.'));
    }
    at >= 3 && is_separator(trees, at - 2) && is_punct(trees.get(at - 3), '>')
}

/// Whether `::` stands there.
pub(super) fn is_separator(trees: &[TokenTree], at: usize) -> bool {
    matches!(trees.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':' && punct.spacing() == Spacing::Joint)
        && is_punct(trees.get(at + 1), ':')
}

/// Whether it is `{ … }`.
pub(super) fn is_brace(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// Whether the brace at `block` can be part of a pattern: more of it, or `in`, follows.
pub(super) fn has_pattern_before(trees: &[TokenTree], block: usize) -> bool {
    match trees.get(block + 1) {
        None => true,
        Some(tree) => is_punct(Some(tree), '|') || is_punct(Some(tree), ','),
    }
}

/// How many trees `::<…>` has, if it stands there.
pub(super) fn turbofish(trees: &[TokenTree]) -> usize {
    if !is_separator(trees, 0) || !is_punct(trees.get(2), '<') {
        return 0;
    }
    let mut depth = 0usize;
    for (at, tree) in trees.iter().enumerate().skip(2) {
        let arrow = at > 0 && is_punct(trees.get(at - 1), '-');
        if is_punct(Some(tree), '<') {
            depth += 1;
        } else if is_punct(Some(tree), '>') && !arrow {
            depth -= 1;
            if depth == 0 {
                return at + 1;
            }
        }
    }
    0
}

/// How many trees the head of a `for` has, if it is complete.
pub(super) fn head_length(rest: &[TokenTree]) -> Option<usize> {
    let parser = |input: ParseStream<'_>| {
        let head = Expr::parse_without_eager_brace(input);
        let left = input.parse::<TokenStream>()?.into_iter().collect::<Vec<_>>();
        head.map(|_| left)
    };
    let left = parser.parse2(rest.iter().cloned().collect()).ok()?;
    left.first().filter(|tree| is_brace(tree))?;
    Some(rest.len() - left.len())
}

/// Where the first rewritten await in a macro's arguments stands.
pub(super) fn awaited_in(stream: TokenStream) -> Option<Span> {
    stream.into_iter().find_map(|tree| match tree {
        TokenTree::Ident(word) if word == REWRITTEN => Some(word.span()),
        TokenTree::Group(group) => awaited_in(group.stream()),
        _ => None,
    })
}

/// Blocks given to foreign code are futures again.
pub(super) fn plain_blocks(trees: Vec<TokenTree>) -> Vec<TokenTree> {
    let mut out: Vec<TokenTree> = Vec::new();
    let mut at = 0;
    while at < trees.len() {
        match (&trees[at], trees.get(at + 1)) {
            (TokenTree::Ident(word), Some(TokenTree::Group(group))) if word == "Block" && of_ours(&out) => {
                while matches!(out.last(), Some(TokenTree::Ident(_))) || is_punct(out.last(), ':') {
                    out.pop();
                }
                out.extend(group.stream());
                at += 2;
            }
            (tree, _) => {
                out.push(tree.clone());
                at += 1;
            }
        }
    }
    out
}

fn of_ours(before: &[TokenTree]) -> bool {
    before.len() >= 3 && matches!(&before[before.len() - 3], TokenTree::Ident(word) if word == "__private")
}
