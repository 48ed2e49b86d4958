//! Options of an attribute, with their spans.

use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{Expr, ExprLit, Lit, Token, UnOp};

use crate::diag::Diag;
use crate::duration;
use crate::krate::Krate;

/// One option: `name`, `name = value` or `name(…)`.
pub(crate) struct Opt {
    pub(crate) name: Ident,
    pub(crate) value: Value,
}

/// What an option is given.
pub(crate) enum Value {
    /// Nothing.
    Flag,
    /// `= value`.
    Is(Expr),
    /// `(…)`.
    List(TokenStream),
}

/// Reads the options of an attribute or of a list option. What is malformed or repeated is
/// reported and left out.
pub(crate) fn parse(tokens: TokenStream, diag: &mut Diag) -> Vec<Opt> {
    let mut options: Vec<Opt> = Vec::new();
    let parser = |input: ParseStream<'_>| {
        while !input.is_empty() {
            match one(input) {
                Ok(option) => match options.iter().find(|known| known.name == option.name) {
                    Some(_) => diag.at(&option.name, format!("`{}` is said twice: keep one", option.name)),
                    None => options.push(option),
                },
                Err(error) => {
                    diag.push(error);
                    skip_to_comma(input)?;
                }
            }
            if !input.is_empty() && !input.peek(Token![,]) {
                diag.push(input.error("expected `,` between options"));
                skip_to_comma(input)?;
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(())
    };
    if let Err(error) = parser.parse2(tokens) {
        diag.push(error);
    }
    options
}

fn one(input: ParseStream<'_>) -> syn::Result<Opt> {
    if !input.peek(syn::Ident::peek_any) {
        return Err(input.error("expected an option: `name`, `name = value` or `name(…)`"));
    }
    let name = input.call(Ident::parse_any)?;
    let value = if input.peek(Token![=]) {
        let equals: Token![=] = input.parse()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(syn::Error::new(equals.span(), format!("`{name} =` needs a value")));
        }
        Value::Is(input.parse()?)
    } else if input.peek(syn::token::Paren) {
        let content;
        syn::parenthesized!(content in input);
        Value::List(content.parse()?)
    } else {
        Value::Flag
    };
    Ok(Opt { name, value })
}

fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}

impl Opt {
    /// A word without a value.
    pub(crate) fn flag(&self, diag: &mut Diag) -> bool {
        if !matches!(self.value, Value::Flag) {
            diag.at(&self.name, format!("`{0}` takes no value: write `{0}` alone", self.name));
        }
        true
    }

    fn expr(&self, example: &str, diag: &mut Diag) -> Option<&Expr> {
        if let Value::Is(expr) = &self.value {
            return Some(expr);
        }
        diag.at(&self.name, format!("`{0}` needs a value: write `{0} = {example}`", self.name));
        None
    }

    /// The value as an expression.
    pub(crate) fn expression(&self, example: &str, diag: &mut Diag) -> Option<Expr> {
        self.expr(example, diag).cloned()
    }

    /// A list of options in parentheses.
    pub(crate) fn list(&self, example: &str, diag: &mut Diag) -> Option<Vec<Opt>> {
        if let Value::List(tokens) = &self.value {
            return Some(parse(tokens.clone(), diag));
        }
        diag.at(&self.name, format!("`{0}` takes options in parentheses: write `{0}({example})`", self.name));
        None
    }

    /// A non-empty string.
    pub(crate) fn name_string(&self, diag: &mut Diag) -> Option<String> {
        let example = "\"…\"";
        let expr = self.expr(example, diag)?;
        let Some(Lit::Str(text)) = literal(expr) else {
            diag.at(expr, format!("`{}` is a string: write `{} = \"…\"`", self.name, self.name));
            return None;
        };
        let value = text.value();
        if value.trim().is_empty() || value.chars().any(char::is_control) {
            diag.at(text, "a durable name is not blank and has no control characters");
            return None;
        }
        Some(value)
    }

    /// A duration, and where it stands.
    pub(crate) fn duration(&self, diag: &mut Diag) -> Option<(Duration, Span)> {
        let expr = self.expr("\"5s\"", diag)?;
        let Some(Lit::Str(text)) = literal(expr) else {
            diag.at(expr, format!("`{0}` is a duration in quotes: write `{0} = \"5s\"`", self.name));
            return None;
        };
        match duration::parse(&text.value()) {
            Ok(duration) => Some((duration, text.span())),
            Err(message) => {
                diag.at(text, message);
                None
            }
        }
    }

    /// A whole number from 1, and where it stands.
    pub(crate) fn count(&self, diag: &mut Diag) -> Option<(u32, Span)> {
        let expr = self.expr("3", diag)?;
        let number = match literal(expr) {
            Some(Lit::Int(number)) => number.base10_parse::<u32>().ok(),
            _ => None,
        };
        match number {
            Some(number) if number > 0 => Some((number, expr.span())),
            _ => {
                let message = format!("`{0}` is a whole number from 1: write `{0} = 3`", self.name);
                diag.at(expr, message);
                None
            }
        }
    }

    /// A whole number that fits an `i16`.
    pub(crate) fn priority(&self, diag: &mut Diag) -> Option<i16> {
        let expr = self.expr("5", diag)?;
        let number = whole(expr).and_then(|number| i16::try_from(number).ok());
        if number.is_none() {
            let message = format!("`{0}` is a whole number from -32768 to 32767: write `{0} = 5`", self.name);
            diag.at(expr, message);
        }
        number
    }

    /// A number, and where it stands.
    pub(crate) fn number(&self, example: &str, diag: &mut Diag) -> Option<(f64, Span)> {
        let expr = self.expr(example, diag)?;
        match number(expr) {
            Some(number) if number.is_finite() => Some((number, expr.span())),
            _ => {
                diag.at(expr, format!("`{0}` is a number: write `{0} = {example}`", self.name));
                None
            }
        }
    }

    /// The path of the runtime crate.
    pub(crate) fn krate(&self, diag: &mut Diag) -> Option<Krate> {
        match self.expr("path::to::saga_runtime", diag)? {
            Expr::Path(path) if path.qself.is_none() => Some(Krate::custom(&path.path)),
            other => {
                diag.at(
                    other,
                    "`crate` is the path of the runtime crate, without quotes: write `crate = path::to::saga_runtime`",
                );
                None
            }
        }
    }
}

fn literal(expr: &Expr) -> Option<&Lit> {
    match expr {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => number(&unary.expr).map(|number| -number),
        _ => match literal(expr)? {
            Lit::Int(number) => number.base10_parse().ok(),
            Lit::Float(number) => number.base10_parse().ok(),
            _ => None,
        },
    }
}

fn whole(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => whole(&unary.expr)?.checked_neg(),
        _ => match literal(expr)? {
            Lit::Int(number) => number.base10_parse().ok(),
            _ => None,
        },
    }
}

/// The options in all helper attributes of this name: `#[event(…)]`.
pub(crate) fn helper(attrs: &[syn::Attribute], name: &str, diag: &mut Diag) -> Vec<Opt> {
    let mut tokens = TokenStream::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident(name)) {
        match &attr.meta {
            syn::Meta::List(list) => {
                tokens.extend(list.tokens.clone());
                tokens.extend(quote::quote!(,));
            }
            _ => diag.at(attr, format!("`#[{name}]` takes options in parentheses: write `#[{name}(…)]`")),
        }
    }
    parse(tokens, diag)
}
