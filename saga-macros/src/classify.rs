//! `#[derive(Classify)]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Data, DeriveInput, Expr, ExprLit, Fields, Lit, Member, Meta};

use crate::attr::{self, Opt, Value};
use crate::diag::{Diag, by_distance};
use crate::krate::{Krate, located};

const KNOWN: &[&str] = &["crate"];
const TRANSIENT: &[&str] = &["no_effect", "retry_after"];

/// How a variant is classed.
#[derive(Default)]
struct Marked {
    permanent: bool,
    no_effect: bool,
    retry_after: Option<Member>,
}

/// Expands `#[derive(Classify)]`.
pub(crate) fn classify(item: TokenStream) -> TokenStream {
    let mut diag = Diag::default();
    let input: DeriveInput = match syn::parse2(item) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut krate = Krate::default_path();
    for option in attr::helper(&input.attrs, "classify", &mut diag) {
        match option.name.to_string().as_str() {
            "crate" => krate = option.krate(&mut diag).unwrap_or(krate),
            _ => diag.unknown(&option.name, "`#[classify]`", KNOWN),
        }
    }
    let ident = &input.ident;
    let span = located(ident.span());
    let private = krate.private(span);
    let arms: Vec<(bool, TokenStream)> = match &input.data {
        Data::Struct(data) => {
            let marked = marked(&input.attrs, &data.fields, &mut diag);
            vec![(marked.permanent, arm(&quote!(Self), &marked, &krate, span))]
        }
        Data::Enum(data) => {
            whole_enum(&input.attrs, &mut diag);
            let arms = data.variants.iter().map(|variant| {
                let name = &variant.ident;
                let marked = marked(&variant.attrs, &variant.fields, &mut diag);
                (marked.permanent, arm(&quote!(Self::#name), &marked, &krate, located(name.span())))
            });
            arms.collect()
        }
        Data::Union(_) => {
            diag.at(ident, "an error is an enum or a struct");
            return diag.into_tokens();
        }
    };
    let can_be_permanent = arms.iter().any(|(permanent, _)| *permanent);
    let arms = arms.iter().map(|(_, arm)| arm);
    let (impl_generics, type_generics, clause) = input.generics.split_for_impl();
    let empty = matches!(&input.data, Data::Enum(data) if data.variants.is_empty());
    let value = if empty { quote!(*self) } else { quote!(self) };
    let errors = diag.into_tokens();
    quote_spanned! {span=>
        #[automatically_derived]
        impl #impl_generics #private::Classify for #ident #type_generics #clause {
            const CAN_BE_PERMANENT: bool = #can_be_permanent;

            fn class(&self) -> #private::Class {
                #[allow(clippy::match_same_arms, deprecated)]
                match #value {
                    #(#arms)*
                }
            }
        }
        #errors
    }
}

fn whole_enum(attrs: &[Attribute], diag: &mut Diag) {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("permanent") || attr.path().is_ident("transient")) {
        diag.at(attr, "mark each variant: an enum as a whole is not classed");
    }
}

fn marked(attrs: &[Attribute], fields: &Fields, diag: &mut Diag) -> Marked {
    let mut marked = Marked::default();
    let mut first: Option<&Attribute> = None;
    for field in fields {
        for attr in &field.attrs {
            if attr.path().is_ident("permanent") || attr.path().is_ident("transient") {
                diag.at(attr, "the mark goes on the variant, not on its field; for a field with the delay write `#[transient(retry_after = field)]` there");
            }
        }
    }
    for attr in attrs {
        let permanent = attr.path().is_ident("permanent");
        if !permanent && !attr.path().is_ident("transient") {
            continue;
        }
        if let Some(first) = first {
            let (first, this) = (first.path().get_ident(), attr.path().get_ident());
            let message = if first == this {
                "this is said twice: keep one"
            } else {
                "an error is permanent or transient, not both: keep one"
            };
            diag.at(attr, message);
            continue;
        }
        first = Some(attr);
        if permanent {
            marked.permanent = true;
            if !matches!(attr.meta, Meta::Path(_)) {
                diag.at(attr, "`#[permanent]` takes no options: a permanent error is never retried");
            }
            continue;
        }
        match &attr.meta {
            Meta::Path(_) => {}
            Meta::List(list) => {
                for option in attr::parse(list.tokens.clone(), diag) {
                    transient_option(&option, fields, &mut marked, diag);
                }
            }
            Meta::NameValue(_) => {
                diag.at(attr, "write `#[transient]`, `#[transient(no_effect)]` or `#[transient(retry_after = field)]`");
            }
        }
    }
    marked
}

fn transient_option(option: &Opt, fields: &Fields, marked: &mut Marked, diag: &mut Diag) {
    match option.name.to_string().as_str() {
        "no_effect" => marked.no_effect = option.flag(diag),
        "retry_after" => marked.retry_after = field(option, fields, diag),
        _ => diag.unknown(&option.name, "`#[transient]`", TRANSIENT),
    }
}

/// The field that `retry_after = field` names.
fn field(option: &Opt, fields: &Fields, diag: &mut Diag) -> Option<Member> {
    let members: Vec<Member> = fields.members().collect();
    let names: Vec<String> = members.iter().map(member_name).collect();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let Value::Is(expr) = &option.value else {
        let example = known.first().unwrap_or(&"field");
        diag.at(&option.name, format!("`retry_after` names the field with the delay: write `retry_after = {example}`"));
        return None;
    };
    let word = match expr {
        Expr::Path(path) => path.path.get_ident().map(|ident| ident.unraw().to_string()),
        Expr::Lit(ExprLit { lit: Lit::Int(index), .. }) => Some(index.base10_digits().to_owned()),
        _ => None,
    };
    let Some(word) = word else {
        diag.at(expr, "`retry_after` names a field, or a tuple field by its number: write `retry_after = wait` or `retry_after = 0`");
        return None;
    };
    if let Some(at) = known.iter().position(|name| *name == word) {
        let mut member = members.into_iter().nth(at)?;
        match &mut member {
            Member::Named(name) => name.set_span(expr.span()),
            Member::Unnamed(index) => index.span = expr.span(),
        }
        return Some(member);
    }
    let message = match (by_distance(&word, &known), fields) {
        (_, Fields::Unit) => {
            format!("there is no field `{word}`: give the variant a field of type `std::time::Duration`")
        }
        ((Some(nearest), _), _) => format!("there is no field `{word}`: did you mean `{nearest}`?"),
        ((None, sorted), _) => format!("there is no field `{word}`: the fields are {}", list(&sorted)),
    };
    diag.at(expr, message);
    None
}

fn member_name(member: &Member) -> String {
    match member {
        Member::Named(name) => name.unraw().to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn arm(path: &TokenStream, marked: &Marked, krate: &Krate, span: Span) -> TokenStream {
    let private = krate.private(span);
    if marked.permanent {
        return quote_spanned!(span=> #path { .. } => #private::Class::Permanent,);
    }
    let no_effect = marked.no_effect;
    if let Some(member) = &marked.retry_after {
        let at = located(member.span());
        let private_at = krate.private(at);
        let wait = Ident::new("wait", Span::mixed_site().located_at(at));
        let delay = quote_spanned!(at=> #private_at::retry_after(#wait));
        return quote_spanned! {span=>
            #path { #member: #wait, .. } => #private::Class::Transient { no_effect: #no_effect, retry_after: #delay },
        };
    }
    quote_spanned! {span=>
        #path { .. } => #private::Class::Transient {
            no_effect: #no_effect,
            retry_after: ::core::option::Option::None,
        },
    }
}
