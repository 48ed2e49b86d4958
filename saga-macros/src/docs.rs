//! Generated documentation: what a reader of rustdoc, or of an editor's hover, sees of an item.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::{ToTokens, quote};

/// Tokens as people write them.
pub(crate) fn text(tokens: impl ToTokens) -> String {
    let mut text = String::new();
    write(tokens.to_token_stream(), &mut text);
    text.trim().to_owned()
}

/// Operators of two characters that stand between two values.
const BETWEEN: &[&str] = &["==", "!=", "<=", ">=", "&&", "||", "+=", "-=", "*=", "/="];

fn write(tokens: TokenStream, text: &mut String) {
    let mut tight = true;
    let mut in_closure = false;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(tree) = tokens.next() {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => (" { ", " }"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write(group.stream(), text);
                text.push_str(close);
                tight = false;
            }
            TokenTree::Punct(punct) => {
                let joint = punct.spacing() == Spacing::Joint;
                if let (true, Some(TokenTree::Punct(second))) = (joint, tokens.peek()) {
                    let operator = format!("{}{}", punct.as_char(), second.as_char());
                    if BETWEEN.contains(&operator.as_str()) {
                        tokens.next();
                        if !text.is_empty() && !text.ends_with([' ', '(']) {
                            text.push(' ');
                        }
                        text.push_str(&operator);
                        text.push(' ');
                        tight = true;
                        continue;
                    }
                }
                match punct.as_char() {
                    ',' | ';' => {
                        text.push(punct.as_char());
                        if tokens.peek().is_some() {
                            text.push(' ');
                        }
                        tight = true;
                    }
                    '|' if in_closure || text.is_empty() || text.ends_with(['(', ',']) || text.ends_with(", ") => {
                        text.push_str(if in_closure { "| " } else { "|" });
                        in_closure = !in_closure;
                        tight = true;
                    }
                    c @ ('+' | '=' | '|') if !joint && !text.ends_with([':', ' ', '(', '|']) => {
                        text.push(' ');
                        text.push(c);
                        text.push(' ');
                        tight = true;
                    }
                    '>' if text.ends_with('-') || text.ends_with('=') => {
                        text.push_str("> ");
                        tight = true;
                    }
                    c @ ('-' | '=') if joint => {
                        text.push(' ');
                        text.push(c);
                        tight = true;
                    }
                    c => {
                        text.push(c);
                        tight = c != '>' || joint;
                    }
                }
            }
            TokenTree::Ident(ident) => {
                if !tight {
                    text.push(' ');
                }
                text.push_str(&ident.to_string());
                tight = false;
            }
            TokenTree::Literal(literal) => {
                if !tight {
                    text.push(' ');
                }
                text.push_str(&literal.to_string());
                tight = false;
            }
        }
    }
}

/// Doc attributes with these lines, set off from what stands before them.
pub(crate) fn attrs(has_docs: bool, lines: &[String]) -> TokenStream {
    let gap = has_docs.then(|| quote!(#[doc = ""]));
    let lines = lines.iter().map(|line| format!(" {line}"));
    quote!(#gap #(#[doc = #lines])*)
}

/// `name(sku: Sku, quantity: u32) -> Result<…>`
pub(crate) fn signature<'a>(
    name: &str,
    inputs: impl Iterator<Item = (&'a syn::Ident, &'a syn::Type)>,
    output: &syn::ReturnType,
) -> String {
    let inputs: Vec<_> = inputs.map(|(name, ty)| format!("{name}: {}", text(ty))).collect();
    let output = match output {
        syn::ReturnType::Default => String::new(),
        syn::ReturnType::Type(_, ty) => format!(" -> {}", text(ty)),
    };
    format!("{name}({}){output}", inputs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn types_and_calls_are_shown_as_people_write_them() {
        for shown in [
            "Result<Vec<u32>, shop::Error>",
            "Option<(u32, String)>",
            "[u8; 32]",
            "release(output.id, sku.clone())",
            "&Arc<dyn Shop + Send>",
            "Box<dyn Fn(u32) -> u32>",
            "a == b && c.map(|x| x != 7) || d",
            "Some(1 | 2)",
        ] {
            let tokens: proc_macro2::TokenStream = shown.parse().unwrap_or_default();
            assert_eq!(text(tokens), shown);
        }
    }
}
