//! Soups of tokens through each macro: they report, and what they give is tokens that parse.

use proc_macro2::TokenStream;

use crate::Target;

pub(crate) const TARGET: Target = Target { name: "tokens", take, words: WORDS };

/// Longer texts find nothing new, and take long.
const LONGEST: usize = 2_000;

/// Deeper nesting is the parser's limit, not ours.
const DEEPEST: usize = 40;

const WORDS: &[&str] = &[
    "\n",
    " async ",
    " await ",
    ".await",
    "?",
    "move ",
    "fn f",
    "pub ",
    "self",
    "Self",
    "mut ",
    "ref ",
    "&",
    "*",
    "..",
    "..=",
    "::",
    ", ",
    "; ",
    ": ",
    " -> Result<u8, E> ",
    " => ",
    " = ",
    "||",
    "|x|",
    "!",
    "<",
    ">",
    "'a ",
    "'static ",
    " let ",
    " if ",
    " else ",
    " match ",
    " for x in ",
    " while ",
    " loop ",
    " return ",
    " break ",
    " unsafe ",
    "impl ",
    "dyn ",
    " where ",
    "const ",
    "static ",
    "use ",
    " as ",
    "mod ",
    "crate",
    "super",
    "u8",
    "String",
    "Vec<u8>",
    "Option<",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "#[state] ",
    "#[context] ",
    "#[transaction] ",
    "#[permanent] ",
    "#[transient] ",
    "#[cfg(x)] ",
    "#",
    "_",
    "a",
    "b",
    "order",
    "output",
    "0",
    "7u8",
    "1.5",
    "\"5s\"",
    "\"\"",
    "b\"x\"",
    "true",
    "sleep(d)",
    "event::<E>()",
    "join!(",
    "try_join!(",
    "select!{",
    "join_all(",
    "attempt(",
    "undo(",
    "pivot()",
    "spawn(",
    "now()",
    "random()",
    "side_effect(",
    "charge(a).await?",
    "tokio::spawn(",
    "futures::join!(",
    "std::time::Instant::now()",
    "rand::random()",
    "vec![",
    "format!(",
    "println!(",
    "$crate",
    "r#type",
    "name = ",
    "version = 2",
    "timeout = \"5s\"",
    "retry(max_attempts = 2)",
    "compensate = g(a, output)",
    "circuit_breaker(failures = 1)",
    "allow(clock)",
    "strict",
    "read_only",
    "retriable",
    "transaction",
    "alias = \"x\"",
    "queue = \"q\"",
    "enum E {",
    "struct S {",
];

/// Options on the first line, an item below.
fn take(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if text.len() > LONGEST || deepest(text) > DEEPEST {
        return false;
    }
    let (options, item) = text.split_once('\n').unwrap_or(("", text));
    let (Ok(options), Ok(item)) = (options.parse::<TokenStream>(), item.parse::<TokenStream>()) else { return false };
    let is_item = syn::parse2::<syn::ItemFn>(item.clone()).is_ok();
    for expanded in saga_fuzz_macros::attributes(&options, &item) {
        if is_item {
            assert!(
                syn::parse2::<syn::File>(expanded.clone()).is_ok(),
                "what a macro gives does not parse: {expanded}"
            );
        }
    }
    let _ = saga_fuzz_macros::derives(&item);
    true
}

fn deepest(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' | '<' | '&' | '*' | '!' | '-' | '|' => depth += 1,
            ')' | ']' | '}' | ';' | ',' | '\n' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
