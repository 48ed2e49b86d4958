//! What a replay would see differently, as far as the words of a body show it: clocks, random
//! numbers, the environment, files, threads, printing, and awaits out of the journal's sight.
//! Where a `for` iterates, a probe by type is put in, which refuses hash order.
//!
//! It runs over the rewritten body. A refused call keeps its place, but what it is given and its
//! await are as in ordinary code, so that the one mistake is the one error.

mod rule;
mod table;
#[cfg(test)]
mod tests;
mod tokens;
mod uses;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::quote_spanned;
use syn::Expr;

use crate::awaits::{is_macro_call, is_punct, item_length};
use crate::diag::Diag;
use crate::krate::{Krate, located};

pub(crate) use rule::Allowances;
use rule::Rule;
use tokens::{
    Path, REWRITTEN, awaited_in, has_pattern_before, head_length, is_brace, is_member, plain_blocks, turbofish,
};
use uses::Uses;

/// Checks a rewritten body.
pub(crate) fn check(body: &Group, allowed: &Allowances, krate: &Krate, diag: &mut Diag) -> Group {
    let mut check = Check { allowed, krate, diag, macros: Vec::new() };
    check.group(body, &Uses::default())
}

/// What clippy is asked for a body: it sees types where this check sees words. It finds nothing
/// unless the user's `clippy.toml` says which methods are meant.
pub(crate) fn lints(allowed: &Allowances, span: Span) -> TokenStream {
    let by_method = [Rule::Clock, Rule::Random, Rule::Env, Rule::Io, Rule::Threads];
    let methods = (!by_method.iter().any(|rule| allowed.has(*rule)))
        .then(|| quote_spanned!(span=> #[warn(clippy::disallowed_methods)]));
    let order = (!allowed.has(Rule::HashOrder)).then(|| quote_spanned!(span=> #[warn(clippy::iter_over_hash_type)]));
    quote_spanned!(span=> #methods #order)
}

/// What `side_effect` is given: what clippy says of the rest of the body does not hold there.
fn recorded(given: &Group) -> Group {
    let effect = given.stream();
    if syn::parse2::<syn::ExprClosure>(effect.clone()).is_err() {
        return given.clone();
    }
    let span = given.span();
    let name = Ident::new("effect", located(span));
    let let_effect = quote_spanned! {located(span)=>
        {
            #[allow(clippy::disallowed_methods, clippy::iter_over_hash_type)]
            let #name = #effect;
            #name
        }
    };
    regroup(given, let_effect)
}

struct Check<'a> {
    allowed: &'a Allowances,
    krate: &'a Krate,
    diag: &'a mut Diag,
    /// Defined in the body, so their awaits were rewritten as well.
    macros: Vec<String>,
}

impl Check<'_> {
    fn group(&mut self, group: &Group, uses: &Uses) -> Group {
        let trees: Vec<TokenTree> = group.stream().into_iter().collect();
        let checked = if group.delimiter() == Delimiter::Brace {
            self.trees(&trees, &uses.within(&trees))
        } else {
            self.trees(&trees, uses)
        };
        regroup(group, checked.into_iter().collect())
    }

    fn trees(&mut self, trees: &[TokenTree], uses: &Uses) -> Vec<TokenTree> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < trees.len() {
            at += self.one(trees, at, uses, &mut out);
        }
        out
    }

    /// Checks what stands at `at`; returns how many trees that were.
    fn one(&mut self, trees: &[TokenTree], at: usize, uses: &Uses, out: &mut Vec<TokenTree>) -> usize {
        let as_is = |length: usize, out: &mut Vec<TokenTree>| {
            out.extend(trees[at..at + length].iter().cloned());
            length
        };
        match &trees[at] {
            TokenTree::Ident(word) if word == "fn" && matches!(trees.get(at + 1), Some(TokenTree::Ident(_))) => {
                as_is(item_length(&trees[at..]), out)
            }
            TokenTree::Ident(word) if word == "macro_rules" && is_punct(trees.get(at + 1), '!') => {
                if let Some(TokenTree::Ident(name)) = trees.get(at + 2) {
                    self.macros.push(name.to_string());
                }
                as_is(2, out)
            }
            TokenTree::Ident(word) if word == "static" => {
                if matches!(trees.get(at + 1), Some(TokenTree::Ident(next)) if next == "mut") {
                    self.refuse(Rule::Global, word.span(), "a `static mut` changes with each replay: keep the value in a local variable, or in the state of an activity");
                }
                as_is(1, out)
            }
            TokenTree::Ident(word) if word == "for" => self.for_loop(trees, at, uses, out),
            TokenTree::Ident(_) if !is_member(trees, at) => match uses::declaration(trees, at) {
                Some(length) => as_is(length, out),
                None => self.path(trees, at, uses, out),
            },
            // A lifetime: `'static mut` is no static.
            TokenTree::Punct(punct) if punct.as_char() == '\'' => as_is(2.min(trees.len() - at), out),
            // An attribute.
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                let inner = usize::from(is_punct(trees.get(at + 1), '!'));
                let bracket = matches!(trees.get(at + 1 + inner), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket);
                as_is(if bracket { 2 + inner } else { 1 }, out)
            }
            TokenTree::Group(group) => {
                out.push(self.group(group, uses).into());
                1
            }
            _ => as_is(1, out),
        }
    }

    fn refuse(&mut self, rule: Rule, span: Span, message: impl std::fmt::Display) -> bool {
        let refused = !self.allowed.has(rule);
        if refused {
            self.diag.at_span(span, message);
        }
        refused
    }

    /// A path, or a single name: of a macro, of a function, or of anything else.
    fn path(&mut self, trees: &[TokenTree], at: usize, uses: &Uses, out: &mut Vec<TokenTree>) -> usize {
        let path = Path::read(trees, at);
        let end = at + path.length;
        let resolved = if path.is_absolute { path.words.clone() } else { uses.resolve(path.words.clone()) };
        if is_macro_call(trees, end - 1) {
            return self.macro_call(&path, &resolved, trees, at, uses, out);
        }
        let called = end + turbofish(&trees[end..]);
        let given = match trees.get(called) {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => Some(group),
            _ => None,
        };
        if let (Some(given), Some(name)) = (given, resolved.last()) {
            if name == "side_effect" {
                out.extend(trees[at..called].iter().cloned());
                out.push(recorded(given).into());
                return called + 1 - at;
            }
            if name == "join_all" || name == "try_join_all" {
                let given = self.group(given, uses);
                out.extend(trees[at..called].iter().cloned());
                out.push(self.joined(&given).into());
                return called + 1 - at;
            }
        }
        // A name alone is a variable as well, unless it was imported here and is called.
        let imported = path.words.len() > 1
            || (uses.has(&path.words[0]) && (given.is_some() || path.words[0].starts_with(char::is_uppercase)));
        let refused = if imported { table::refused(&resolved) } else { None };
        let refused = refused.is_some_and(|refused| {
            let message = format!("`{}` {}", path.words.join("::"), refused.message);
            self.refuse(refused.rule, path.span, message)
        });
        out.extend(trees[at..end].iter().cloned());
        if !refused {
            return path.length;
        }
        let Some(given) = given else { return path.length };
        out.extend(trees[end..called].iter().cloned());
        let mut arguments: Vec<TokenTree> = given.stream().into_iter().collect();
        arguments = plain_blocks(self.trees(&arguments, uses));
        if table::takes_a_future(&resolved) {
            self.stand_in(&mut arguments);
        }
        out.push(regroup(given, arguments.into_iter().collect()).into());
        self.plain_awaits(trees, called + 1, uses, out) - at
    }

    /// The rest of a chain of calls on what was refused: its awaits are ordinary ones.
    fn plain_awaits(&mut self, trees: &[TokenTree], mut at: usize, uses: &Uses, out: &mut Vec<TokenTree>) -> usize {
        loop {
            match (trees.get(at), trees.get(at + 1)) {
                (Some(TokenTree::Punct(punct)), _) if punct.as_char() == '?' => {
                    out.push(trees[at].clone());
                    at += 1;
                }
                (Some(TokenTree::Punct(punct)), Some(TokenTree::Ident(word))) if punct.as_char() == '.' => {
                    if word == REWRITTEN {
                        at += 3;
                        continue;
                    }
                    out.extend(trees[at..at + 2].iter().cloned());
                    at += 2;
                    let generics = turbofish(&trees[at..]);
                    out.extend(trees[at..at + generics].iter().cloned());
                    at += generics;
                    if let Some(TokenTree::Group(group)) = trees.get(at)
                        && group.delimiter() == Delimiter::Parenthesis
                    {
                        let given: Vec<TokenTree> = group.stream().into_iter().collect();
                        let mut given = plain_blocks(self.trees(&given, uses));
                        if word == "block_on" {
                            self.stand_in(&mut given);
                        }
                        out.push(regroup(group, given.into_iter().collect()).into());
                        at += 1;
                    }
                }
                _ => return at,
            }
        }
    }

    /// Puts a future in place of a call that a foreign function is given as its last argument.
    fn stand_in(&self, arguments: &mut Vec<TokenTree>) {
        if is_punct(arguments.last(), ',') {
            arguments.pop();
        }
        let from = arguments.iter().rposition(|tree| is_punct(Some(tree), ',')).map_or(0, |comma| comma + 1);
        let Some(first) = arguments.get(from) else { return };
        let span = located(first.span());
        let private = self.krate.private(span);
        let last: TokenStream = arguments.drain(from..).collect();
        arguments.extend(quote_spanned! {span=>
            {
                #[allow(unused_imports)]
                use #private::{DurableGiven as _, OtherwiseGiven as _};
                #private::Given(#last).given()
            }
        });
    }

    fn macro_call(
        &mut self,
        path: &Path,
        resolved: &[String],
        trees: &[TokenTree],
        at: usize,
        uses: &Uses,
        out: &mut Vec<TokenTree>,
    ) -> usize {
        let end = at + path.length;
        let Some(TokenTree::Group(given)) = trees.get(end + 1) else { return path.length };
        let written = path.words.join("::");
        if let Some(ours) = table::foreign_macro(resolved) {
            let message =
                format!("`{written}!` awaits out of the journal's sight: write `{ours}!`, which the workflow records");
            self.refuse(Rule::Await, path.span, message);
            // In its place stands what fits any type, so that this one error stays the only one.
            if path.is_absolute {
                out.truncate(out.len() - 2);
            }
            let span = located(path.span);
            out.extend(if given.delimiter() == Delimiter::Brace {
                quote_spanned!(span=> ::core::unreachable! {})
            } else {
                quote_spanned!(span=> ::core::unreachable!())
            });
            let awaited = matches!(trees.get(end + 3), Some(TokenTree::Ident(word)) if word == REWRITTEN);
            return path.length + if awaited { 7 } else { 2 };
        }
        if table::prints(resolved) {
            let message = format!("`{written}!` prints again on each replay: use `tracing`, or print in an activity");
            self.refuse(Rule::Print, path.span, message);
        }
        let name = path.words.last().map_or("", String::as_str);
        // Those of ours that the rewrite put in are absolute paths.
        if !table::transparent(name)
            && !self.macros.iter().any(|known| known == name)
            && let Some(span) = awaited_in(given.stream())
        {
            let why = match table::evaluates_only(name) {
                Some(place) => format!("evaluates what it is given only {place}, and a replay may be elsewhere"),
                None => "may await out of the journal's sight".to_owned(),
            };
            let message = format!("`{written}!` {why}: await before it, and give it the result");
            self.refuse(Rule::Await, span, message);
        }
        out.extend(trees[at..=end].iter().cloned());
        out.push(self.group(given, uses).into());
        path.length + 2
    }

    /// `for … in head { … }`: puts the probe around the head.
    fn for_loop(&mut self, trees: &[TokenTree], at: usize, uses: &Uses, out: &mut Vec<TokenTree>) -> usize {
        out.push(trees[at].clone());
        let block = trees[at..].iter().position(is_brace);
        let Some(within) = trees[at..].iter().position(|tree| matches!(tree, TokenTree::Ident(word) if word == "in"))
        else {
            return 1;
        };
        // A pattern may have braces, but `impl Trait for Type { … }` has no `in` before them.
        let is_impl = is_punct(trees.get(at + 1), '<')
            || block.is_some_and(|block| block < within && !has_pattern_before(&trees[at..at + within], block));
        if is_impl {
            return 1;
        }
        out.extend(trees[at + 1..=at + within].iter().cloned());
        let rest = &trees[at + within + 1..];
        let Some(length) = head_length(rest) else { return within + 1 };
        let head = self.trees(&rest[..length], uses);
        if self.allowed.has(Rule::HashOrder) {
            out.extend(head);
        } else {
            out.extend(self.in_order(head));
        }
        within + 1 + length
    }

    /// `head`, with the probe around it. An error about either falls on the head's first word, so
    /// all of it has the user's span.
    fn in_order(&self, head: Vec<TokenTree>) -> TokenStream {
        let skipped =
            |tree: &&TokenTree| !is_punct(Some(tree), '&') && !matches!(tree, TokenTree::Ident(word) if word == "mut");
        let span = head.iter().find(skipped).map_or_else(Span::call_site, TokenTree::span);
        let private = self.krate.private(span);
        let head: TokenStream = head.into_iter().collect();
        quote_spanned!(span=> #private::Iterated(#head).in_order())
    }

    fn joined(&self, given: &Group) -> Group {
        let argument = given.stream();
        if self.allowed.has(Rule::HashOrder) || syn::parse2::<Expr>(argument.clone()).is_err() {
            return given.clone();
        }
        regroup(given, self.in_order(argument.into_iter().collect()))
    }
}

fn regroup(group: &Group, stream: TokenStream) -> Group {
    let mut new = Group::new(group.delimiter(), stream);
    new.set_span(group.span());
    new
}
