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
    assert_eq!(errors(&expand("", "fn f(self, a: &str, (b, c): (u8, u8)) {}")), 4);
}

/// What stands in an editor while somebody writes.
const HALF_WRITTEN: &[&str] = &[
    "order.",
    "let x = ;",
    "let x = order.id",
    "reserve(order.).await?",
    "reserve(order.id).aw",
    "reserve(order.id).await ship(order.id)",
    "if order. { reserve(order.id).await? }",
    "match order. { }",
    "for line in order. { reserve(line).await?; }",
    "select! { paid = pay(order.id) => , }",
    "join!(reserve(order.), pay(order.id)).await",
    "let x = vec![reserve(order.id).await, ];",
    "async move { order. }",
    "|line| reserve(line.",
    "use std::; order.",
];

#[test]
fn a_half_written_body_is_emitted_as_it_stands_and_is_no_mistake_of_the_macros() {
    let mut tried = 0;
    for body in HALF_WRITTEN {
        let Ok(tokens) = body.parse::<TokenStream>() else { continue };
        tried += 1;
        let item = quote::quote!(async fn place(order: Order) -> Result<u8, E> { #tokens });
        for expand in [activity::activity, workflow::workflow, durable::durable] {
            let expanded = expand(TokenStream::new(), &item);
            assert_eq!(errors(&expanded), 0, "{body}");
            let text = expanded.to_string();
            assert!(text.contains("fn place"), "the function is there to be found: {body}");
            let words = tokens.clone().into_iter().filter(|tree| matches!(tree, proc_macro2::TokenTree::Ident(_)));
            for word in words.filter(|word| word.to_string() != "select" && word.to_string() != "join") {
                assert!(text.contains(&word.to_string()), "{word} of {body}");
            }
        }
    }
    assert!(tried >= HALF_WRITTEN.len() - 1, "only {tried} are tokens");
}

#[test]
fn a_strict_body_that_cannot_be_read_is_not_taken_for_a_checked_one() {
    let item = quote::quote!(async fn place(order: Order) -> Result<u8, E> { pay(order) reserve(order).await });
    for expand in [workflow::workflow, durable::durable] {
        let expanded = expand(quote::quote!(strict), &item);
        assert_eq!(errors(&expanded), 1, "{expanded}");
        assert!(expanded.to_string().contains("cannot be read here"), "{expanded}");
    }
}

/// Words that the macros know, and the glue between them.
const WORDS: &str = "async await move fn f pub self Self mut ref & * ? . .. ..= :: , ; : -> => = == | || ! < > 'a 'static \
    let if else match for in while loop return break continue unsafe impl dyn where const static use as mod crate super \
    u8 String Vec Option Result ( ) { } [ ] #[state] #[context] #[transaction] #[permanent] #[transient] #[cfg(x)] # _ \
    a b order output x y 0 7u8 1.5 \"5s\" \"\" b\"x\" true sleep event join try_join select join_all attempt undo pivot \
    spawn now random side_effect charge(a).await? tokio::spawn futures::join! std::time::Instant::now() rand::random() \
    select!{ vec![ format!( println!( $crate r#type name version timeout retry compensate circuit_breaker failures \
    cooldown key allow hash_order clock strict read_only retriable transaction alias queue max_attempts initial max";

/// Tokens from words in an order that a number determines; none if they are no token stream.
fn soup(dice: &mut u64, words: &[&str], most: u64) -> Option<TokenStream> {
    let mut roll = |sides: u64| {
        *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*dice >> 33) % sides
    };
    let mut text = String::new();
    let mut open = Vec::new();
    for _ in 0..roll(most) {
        let word = words[usize::try_from(roll(words.len() as u64)).unwrap_or_default()];
        for c in word.chars() {
            match c {
                '(' => open.push(')'),
                '[' => open.push(']'),
                '{' => open.push('}'),
                ')' | ']' | '}' if open.pop() != Some(c) => return None,
                _ => {}
            }
        }
        text.push_str(word);
        text.push(' ');
    }
    text.extend(open.into_iter().rev());
    text.parse().ok()
}

#[test]
fn no_soup_of_tokens_makes_a_macro_panic() {
    let rounds: u32 = std::env::var("SAGA_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5_000);
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut dice = 1;
    let mut expanded = 0_u32;
    for _ in 0..rounds {
        let (Some(attr), Some(body)) = (soup(&mut dice, &words, 8), soup(&mut dice, &words, 30)) else { continue };
        let item: TokenStream = match dice % 3 {
            0 => quote::quote!(async fn f(a: u8, order: Order) -> Result<u8, E> { #body }),
            1 => quote::quote!(async fn f(#body) -> Result<u8, E> { Ok(a) }),
            _ => body.clone(),
        };
        for expand in [activity::activity, workflow::workflow, durable::durable] {
            let _ = expand(attr.clone(), &item);
        }
        let _ = classify::classify(body.clone());
        let _ = event::event(quote::quote!(enum E { #body }));
        expanded += 1;
    }
    assert!(expanded > rounds / 20, "only {expanded} of {rounds} soups were tokens");
}
