//! The check over token streams.

use proc_macro2::{Delimiter, Group, TokenStream};

use super::{Allowances, check, table};
use crate::attr;
use crate::awaits;
use crate::diag::Diag;
use crate::krate::Krate;

fn checked(allowed: &str, body: &str) -> (String, usize) {
    let body: TokenStream = body.parse().expect("the body is made of tokens");
    let mut diag = Diag::default();
    let options = attr::parse(allowed.parse().expect("the options are tokens"), &mut diag);
    let allowed = options.first().map_or_else(Allowances::default, |option| Allowances::parse(option, &mut diag));
    let krate = Krate::default_path();
    let body = awaits::rewrite(&Group::new(Delimiter::Brace, body), &krate, &mut diag);
    let body = check(&body, &allowed, &krate, &mut diag).stream().to_string();
    (body, diag.into_tokens().to_string().matches("compile_error").count())
}

fn errors(body: &str) -> usize {
    checked("", body).1
}

#[test]
fn each_refused_path_is_one_error_wherever_it_stands() {
    for body in [
        "std::time::Instant::now()",
        "::std::time::Instant::now()",
        "f(x, [Instant::now()])",
        "vec![std::env::var(name)]",
        "let start = 0..std::process::id();",
        "names.iter().map(std::fs::read)",
        "if a { loop { rand::random::<u8>() } }",
        "tokio::spawn(async move { a.b().await })",
        "tokio::time::timeout(limit, charge(a, b),).await?",
        "std::thread::Builder::new().spawn(|| 1)",
        "static mut COUNT: u32 = 0;",
        "println!(\"{}\", a().await)",
        "::tokio::join!(a())",
        "futures::future::try_join!(a())",
        "let r = tokio::select! { x = a() => x };",
        "unknown!(vec![a().await, b().await])",
    ] {
        assert_eq!(errors(body), 1, "{body}");
    }
}

#[test]
fn renames_in_the_body_are_followed_within_their_block() {
    assert_eq!(errors("use std::fs; fs::read(a);"), 1);
    assert_eq!(errors("{ use std::fs; } fs::read(a);"), 0);
    assert_eq!(errors("fs::read(a); { fs::read(a); } use std::fs;"), 2);
    assert_eq!(errors("use std as s; use s::fs as f; f::read(a)"), 1);
    assert_eq!(errors("use std::{env::{self, var as v}, fs}; v(a); env::args(); fs::read(a)"), 3);
    assert_eq!(errors("use ::rand::rngs::OsRng as R; R.next()"), 1);
    assert_eq!(errors("use crate::clock::Instant; Instant::now()"), 0);
    assert_eq!(errors("use tokio::select as pick; pick! { x = a() => x }"), 1);
    assert_eq!(errors("use fs::self as fs; fs::read(a)"), 0);
}

#[test]
fn what_only_looks_like_it_passes() {
    for body in [
        "fs::read(a); time::sleep(b); env.var(c); rand.random()",
        "clock.now(); self.spawn(x); a.await",
        "my::std::fs::read(a); crate::Instant::now(); self::rand::random()",
        "let a: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(0, 0, 0, 0));",
        "let e: std::fs::File; let t = std::time::SystemTime::UNIX_EPOCH; std::io::Error::other(a)",
        "fn nested() { std::fs::read(a); println!(); }",
        "let v: &'static mut u8 = v;",
        "#[cfg(std::fs::read)] let a = 1;",
        "use std::fs::read; let read = 1; a.read(read)",
        "side_effect(|| std::fs::read(a)).await",
        "saga_runtime::side_effect::<_, u8>(move || rand::random()).await",
        "join!(a(), b()).await; format!(\"{}\", a().await)",
        "macro_rules! mine { ($a:expr) => { $a } } mine!(a().await)",
        "unknown!(a())",
        "fastrand::Rng::with_seed(7)",
    ] {
        assert_eq!(errors(body), 0, "{body}");
    }
}

#[test]
fn a_refused_call_is_otherwise_ordinary_code() {
    for (body, expected) in [
        ("tokio::fs::read(a).await?.len()", "tokio::fs::read(a).await?.len()"),
        ("rayon::scope(async { a.await })", "rayon::scope(async { a.__saga_durable().await })"),
        ("f(tokio::fs::read(a).await, b.await)", "f(tokio::fs::read(a).await, b.__saga_durable().await)"),
        ("::tokio::join!(a()).await?", "::core::unreachable!()?"),
    ] {
        let expected: TokenStream = expected.parse().expect("it is made of tokens");
        assert_eq!(checked("", body), (expected.to_string(), 1), "{body}");
    }
}

#[test]
fn the_head_of_a_for_is_probed_and_nothing_else_is() {
    for (body, probes) in [
        ("for a in &b { }", 1),
        ("'x: for P { a, .. } in b.c(|d| { d }) { for e in f { } }", 2),
        ("for a in { b } { }", 1),
        ("for a in if b { c } else { d } { }", 1),
        ("join_all(a.iter().map(|b| c(b))).await", 1),
        ("impl T for U { fn f() { for a in b { } } }", 0),
        ("let f: for<'a> fn(&'a str) = g; for a in b { }", 1),
        ("for a in b", 0),
        ("for a b { }", 0),
        ("for", 0),
        ("fn f() { for a in b { } }", 0),
    ] {
        let (expanded, errors) = checked("", body);
        assert_eq!((expanded.matches("Iterated").count(), errors), (probes, 0), "{body}");
        assert!(!checked("allow(hash_order)", body).0.contains("Iterated"), "{body}");
    }
}

#[test]
fn an_allowance_lifts_its_rule_only() {
    for (allowed, body) in [
        ("allow(clock)", "Instant::now()"),
        ("allow(random)", "rand::random()"),
        ("allow(env)", "std::env::var(a)"),
        ("allow(io)", "std::fs::read(a)"),
        ("allow(threads)", "tokio::spawn(a)"),
        ("allow(print)", "println!()"),
    ] {
        assert_eq!(checked(allowed, body).1, 0, "{allowed}");
        assert_eq!(checked("allow(hash_order)", body).1, 1, "{body}");
    }
    let never = "static mut A: u8 = 0; pollster::block_on(a); tokio::join!(a()); unknown!(a.await)";
    assert_eq!(checked("allow(hash_order, clock, random, env, io, threads, print)", never).1, 4);
}

#[test]
fn allowances_are_spelled() {
    for (allowed, mistakes) in [
        ("allow", 1),
        ("allow()", 1),
        ("allow = clock", 1),
        ("allow(clocks, randoms)", 2),
        ("allow(all)", 1),
        ("allow(clock = 1)", 1),
        ("allow(clock, clock)", 1),
        ("allow(,)", 1),
        ("allow(clock,)", 0),
    ] {
        let mistakes_found = checked(allowed, "").1;
        assert!(mistakes_found >= mistakes && (mistakes > 0 || mistakes_found == 0), "{allowed}: {mistakes_found}");
    }
}

#[test]
fn no_pattern_of_the_table_is_hidden_by_an_earlier_one() {
    for (at, (pattern, ..)) in table::TABLE.iter().enumerate() {
        let sample = pattern.replace('*', "any");
        let path: Vec<String> = sample.split("::").map(str::to_owned).collect();
        let first = table::TABLE.iter().position(|(earlier, ..)| table::matches(earlier, &path));
        assert_eq!(first, Some(at), "{pattern}");
    }
}

#[test]
fn each_refused_path_is_refused_in_full_and_under_another_name() {
    for (pattern, ..) in table::TABLE {
        let path = pattern.replace('*', "any");
        let (parent, name) = path.rsplit_once("::").expect("a path has two words");
        for body in [
            format!("{path}(x)"),
            format!("::{path}(x)"),
            format!("use {parent} as Renamed; Renamed::{name}(x)"),
            format!("use {path} as renamed; renamed(x)"),
            format!("use {parent}::{{Other, {name} as renamed}}; [renamed(Other)]"),
        ] {
            assert_eq!(errors(&body), 1, "{body}");
        }
    }
}
