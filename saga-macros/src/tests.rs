//! The macros over token streams: whatever they are given, they report and never panic.

use proc_macro2::TokenStream;

use crate::{activity, classify, durable, event, workflow};

const ATTRS: &[&str] = &[
    "",
    ",",
    ",,",
    "=",
    "name",
    "name =",
    "name = 7",
    "name = name",
    "timeout()",
    "timeout(\"5s\")",
    "retry",
    "retry()",
    "retry(,)",
    "retry(max_attempts = -1, multiplier = x)",
    "retry(max_attempts = 99999999999999999999)",
    "circuit_breaker()",
    "compensate",
    "compensate =",
    "compensate = |x| x",
    "compensate = f(",
    "compensate = f::<A, B>(output)(output).g(x?)",
    "crate",
    "crate = <A as B>::c",
    "crate = $crate",
    "transaction, transaction",
    "version = 1.5",
    "r#name = \"x\"",
    "self",
    "1, 2, 3",
    "(((",
    "name = \"a\" \"b\"",
];

const ITEMS: &[&str] = &[
    "",
    ";",
    "struct S;",
    "fn",
    "fn f",
    "fn f()",
    "fn f();",
    "fn f() {}",
    "async fn f() -> Result<(), E> { }",
    "async fn f(self) -> Result<(), E> { self.await }",
    "async fn f(&self, #[state] a: &A) -> R { }",
    "async fn f<'a, T: 'a, const N: usize>(a: &'a [T; N]) -> &'a T where T: Copy { &a[0] }",
    "async fn f(a: impl Fn(&str) -> &str, b: &mut dyn for<'x> Tr<'x>) -> Box<dyn Tr + '_> { x }",
    "async fn f(_: u8, (a, b): (u8, u8), [c, ..]: [u8; 3], ref d: u8, mut e: u8) -> R {}",
    "async fn f(#[state] a: A, #[state = 1] b: &B, #[state(x)] #[context] c: &mut C) -> R {}",
    "async fn f(a: u8, a: u8) -> R {}",
    "async fn f(...) -> R {}",
    "unsafe extern \"C\" fn f(a: u8, ...) -> R {}",
    "const fn f() -> ! { loop {} }",
    "fn f(#[transaction] t: &T<'_>, #[transaction] u: &mut U) -> R {}",
    "async fn f() -> impl Tr { .await }",
    "async fn f() -> R { async async move async || async |x| {} . . await fn fn f( }",
    "async fn f() -> R { #![allow(x)] tokio::select!{} ::tokio::join!() futures:: join! }",
    "async fn r#fn(r#type: r#struct) -> R {}",
    "#[doc = \"x\"] #[cfg(y)] pub(in a::b) async fn f() -> Result<[u8; { 3 }], E> { x.await }",
];

const DERIVED: &[&str] = &[
    "",
    "fn f() {}",
    "struct S;",
    "struct S(u8, u8);",
    "enum E {}",
    "union U { a: u8 }",
    "#[permanent] #[transient] struct S { a: u8 }",
    "#[transient = 1] struct S;",
    "#[transient(retry_after)] struct S;",
    "#[transient(retry_after = 1 + 1)] struct S(u8);",
    "#[transient(retry_after = 99999999999999999999)] struct S(u8);",
    "#[transient(retry_after = a, no_effect = 7)] struct S<'a, T: 'a> where T: Copy { r#a: &'a T }",
    "#[classify] #[classify(crate)] #[classify(crate = 7, x)] #[event] #[event(name)] #[event(name = \"\")] struct S;",
    "enum E { #[permanent(x)] A, #[permanent] B { #[transient] b: u8 }, C(u8) = 7 }",
];

fn parsed(texts: &'static [&'static str]) -> impl Iterator<Item = TokenStream> + Clone {
    texts.iter().filter_map(|text| text.parse().ok())
}

#[test]
fn no_input_makes_an_attribute_panic() {
    for attr in parsed(ATTRS) {
        for item in parsed(ITEMS) {
            for expand in [activity::activity, workflow::workflow, durable::durable] {
                let _ = expand(attr.clone(), &item);
            }
        }
    }
}

#[test]
fn no_input_makes_a_derive_panic() {
    for item in parsed(DERIVED) {
        let _ = classify::classify(item.clone());
        let _ = event::event(item);
    }
}

fn errors(expanded: &TokenStream) -> usize {
    expanded.to_string().matches("compile_error").count()
}

#[test]
fn a_broken_option_still_gives_a_whole_item_that_parses() {
    for attr in parsed(ATTRS) {
        for item in ["async fn f(a: u8) -> Result<u8, E> { Ok(a) }", "async fn f() -> R { x.await }"] {
            let item: TokenStream = item.parse().expect("it is a function");
            for expand in [activity::activity, workflow::workflow, durable::durable] {
                let expanded = expand(attr.clone(), &item);
                let file = syn::parse2::<syn::File>(expanded);
                assert!(file.is_ok(), "{attr}: {:?}", file.err());
            }
        }
    }
}

#[test]
fn a_clean_function_expands_without_errors_and_each_mistake_is_one() {
    let expand =
        |attr: &str, item: &str| activity::activity(attr.parse().expect("tokens"), &item.parse().expect("tokens"));
    let clean = "async fn f(#[state] s: &S, #[context] c: &ActivityContext, a: u8) -> Result<u8, E> { Ok(a) }";
    assert_eq!(errors(&expand("", clean)), 0);
    assert_eq!(errors(&expand("timeout = \"5s\", retry(max = \"1m\"), compensate = g(a, output)", clean)), 0);
    assert_eq!(errors(&expand("timeout = \"5\", retry(max = \"1x\"), colour", clean)), 3);
    assert_eq!(errors(&expand("compensate = g(s)", clean)), 1);
    assert_eq!(errors(&expand("compensate = g(b)", clean)), 1);
    assert_eq!(errors(&expand("", "fn f(self, a: &str, (b, c): (u8, u8)) {}")), 5);
}
