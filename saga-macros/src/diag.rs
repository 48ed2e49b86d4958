//! Errors: all are collected before any is reported, and an unknown word is met with the nearest
//! known one.

use std::fmt::Display;

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;

/// The errors found so far.
#[derive(Default)]
pub(crate) struct Diag {
    errors: Vec<syn::Error>,
}

impl Diag {
    /// An error at these tokens.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.errors.push(syn::Error::new_spanned(tokens, message));
    }

    /// An error at this span.
    pub(crate) fn at_span(&mut self, span: Span, message: impl Display) {
        self.errors.push(syn::Error::new(span, message));
    }

    /// An error of the parser.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.errors.push(error);
    }

    /// An option that does not exist: lists the known ones, the nearest first.
    pub(crate) fn unknown(&mut self, name: &Ident, place: &str, known: &[&str]) {
        let (nearest, sorted) = by_distance(&name.to_string(), known);
        let list = sorted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let message = match (nearest, known) {
            (_, []) => format!("{place} takes no options"),
            (Some(nearest), _) => {
                format!("unknown option `{name}`: did you mean `{nearest}`? {place} takes {list}")
            }
            (None, _) => format!("unknown option `{name}`: {place} takes {list}"),
        };
        self.at(name, message);
    }

    /// Whether nothing was wrong so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// The errors, as code that reports them.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.errors.iter().map(syn::Error::to_compile_error).collect()
    }
}

/// The known word that was probably meant, if any is near; and all of them, the nearest first.
pub(crate) fn by_distance<'a>(word: &str, known: &[&'a str]) -> (Option<&'a str>, Vec<&'a str>) {
    let mut sorted: Vec<_> = known.iter().map(|known| (distance(word, known), *known)).collect();
    sorted.sort_by_key(|(distance, _)| *distance);
    let near = |distance: usize, known: &str| distance * 2 <= known.len().max(word.len());
    let nearest = sorted.first().filter(|(distance, known)| near(*distance, known)).map(|(_, known)| *known);
    (nearest, sorted.into_iter().map(|(_, known)| known).collect())
}

/// The number of single-letter edits between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::by_distance;

    #[test]
    fn a_slip_of_the_pen_finds_the_word_that_was_meant() {
        let known = ["name", "timeout", "retry", "compensate"];
        assert_eq!(by_distance("timeuot", &known).0, Some("timeout"));
        assert_eq!(by_distance("compensates", &known).0, Some("compensate"));
        assert_eq!(by_distance("retyr", &known).0, Some("retry"));
    }

    #[test]
    fn a_foreign_word_finds_none_but_lists_all() {
        let (nearest, all) = by_distance("priority", &["name", "timeout"]);
        assert_eq!(nearest, None);
        assert_eq!(all.len(), 2);
    }
}
