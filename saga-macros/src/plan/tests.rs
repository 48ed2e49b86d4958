//! Plans of bodies.

use proc_macro2::{Delimiter, Group, TokenStream};

use super::{Arm, Node, Plan};

fn plan(body: &str) -> Plan {
    let tokens: TokenStream = body.parse().expect("tokens");
    Plan::of(&Group::new(Delimiter::Brace, tokens)).expect("a body that parses")
}

/// A plan in short: `a` a step, `?` an exit.
fn short(nodes: &[Node]) -> String {
    let arms = |arms: &[Arm]| arms.iter().map(|arm| short(&arm.body)).collect::<Vec<_>>().join(" | ");
    let parts = nodes.iter().map(|node| match node {
        Node::Step { kind: "Call", target, .. } => target.clone(),
        Node::Step { kind, target, detail, .. } => format!("{kind}:{target}{detail}"),
        Node::Undo { target, .. } => format!("undo:{target}"),
        Node::Exit { .. } => "?".to_owned(),
        Node::Return { .. } => "return".to_owned(),
        Node::Diverges { .. } => "!".to_owned(),
        Node::Branch { arms: list, .. } => format!("({})", arms(list)),
        Node::Loop { endless, head, body, .. } => {
            format!("{}[{}; {}]", if *endless { "loop" } else { "while" }, short(head), short(body))
        }
        Node::Labelled { body, .. } => format!("'{{{}}}", short(body)),
        Node::Break { depth, .. } => format!("break{depth}"),
        Node::Continue { depth, .. } => format!("continue{depth}"),
        Node::Block { body, .. } => format!("{{{}}}", short(body)),
        Node::Attempt { body, .. } => format!("attempt{{{}}}", short(body)),
        Node::Join { kind, branches, .. } => format!("{kind}<{}>", arms(branches)),
        Node::Each { kind, body, .. } => format!("{kind}*<{}>", short(body)),
    });
    parts.collect::<Vec<_>>().join(" ")
}

fn same(body: &str, expected: &str) {
    assert_eq!(short(&plan(body).nodes), expected, "{body}");
}

#[test]
fn steps_stand_in_the_order_in_which_they_are_awaited() {
    same("a(x).await?; shop::b(c(y).await).await;", "a ? c shop::b");
    same("let z = (a().timeout(d).retry(p).await, b().await);", "a b");
    same("vec![a().await, b().await]; format!(\"{}\", c().await); matches!(d().await, Ok(_))", "a b c d");
}

#[test]
fn operations_of_the_framework_are_told_apart() {
    same("sleep(DAY).await; event::<Approval>().timeout(d).await;", "Timer:sleepDAY Event:Approval");
    same("pivot().await; side_effect(|| host()).await; undo(f(x));", "Pivot:pivot Value:side_effect undo:f");
    same("spawn(ship(x)).await?; call.await", "Spawn:ship ? Other:call");
}

#[test]
fn branches_hold_what_each_way_does() {
    same("if a().await? { b().await } else { c().await }", "a ? (b | c)");
    same("if x { return Err(e); }", "(return | )");
    same("match a().await { Ok(x) => b(x).await, Err(_) => panic!() }", "a (b | !)");
    same("let Some(x) = a().await else { return b().await };", "a ( | b return)");
    same("x && a().await", "(a | )");
    same("if x { y += 1 }", "");
}

#[test]
fn a_macro_that_returns_leaves_the_innermost_body_and_one_that_panics_the_run() {
    same("if x { bail!(\"no\") } else { todo!() }", "(return | !)");
    same("async { a().await?; anyhow::bail!(\"no\") }.await; b().await", "{a ? return} b");
    same("ensure!(a().await, \"no\"); b().await", "a ? b");
}

#[test]
fn loops_know_what_leaves_them() {
    same("for x in xs { a(x).await?; }", "while[; a ?]");
    same("while a().await { b().await; if c { break; } continue; }", "while[a; b (break0 | ) continue0]");
    same("'o: loop { loop { break 'o; } }", "loop[; loop[; break1]]");
    same("'b: { loop { break 'b; } }", "'{loop[; break1]}");
}

#[test]
fn what_goes_on_at_once_is_seen_in_macros_and_lists() {
    same("join!(a(), async { b().await?; c().await }).await", "Join<a | {b ? c}>");
    same("try_join!(a(), b()).await?", "TryJoin<a | b> ?");
    same("select! { x = a() => b(x).await, _ = sleep(d) => return Ok(()), }", "Select<a b | Timer:sleepd return>");
    same("join_all(xs.iter().map(|x| a(x))).await", "All*<a>");
    same("try_join_all(xs.into_iter().map(|x| async move { a(x).await })).await?", "TryAll*<{a}> ?");
    same("join_all([a(), b()]).await; join_all(calls).await", "All<a | b> All*<Other:calls>");
}

#[test]
fn a_guard_is_asked_on_the_way_to_its_arm_and_to_those_below() {
    same("match x { 1 if a().await => b().await, _ => c().await }", "(a | ) (b | c)");
}

#[test]
fn what_is_done_for_each_item_is_seen_by_closure_and_by_name() {
    same("for_each_concurrent(3, xs, |x| a(x)).await", "ForEach*<a>");
    same("for_each_concurrent(3, xs, shop::a).await", "ForEach*<shop::a>");
    same("join_all(xs.into_iter().map(a)).await", "All*<a>");
}

#[test]
fn an_await_that_a_macro_hides_is_a_step_that_nobody_knows() {
    same("json!({ \"a\": b().await })", "Other:json!(…)");
    same("matches!(a().await, Some(x) if b(x).await)", "a Other:matches!(…)");
    same("vec![a().await; b().await]", "a b");
    same("macro_rules! m { ($a:expr) => { $a.await } } m!(a()); m!(b().await)", "Other:m!(…) Other:m!(…) b");
    same("macro_rules! m { ($a:expr) => { $a } } m!(a().await)", "a");
}

#[test]
fn nested_sagas_and_blocks_are_bodies_of_their_own() {
    same("attempt(async { a().await?; b().await }).await", "attempt{{a ? b}}");
    same("async { a().await? }.await", "{a ?}");
    same("let later = async { a().await }; later.await", "({a} | ) Other:later");
    same("let f = |x| async move { a(x).await };", "while[; {({a} | )}]");
}

#[test]
fn a_half_written_body_has_no_plan() {
    for body in ["a(.await", "let x = ;", "a().await b()"] {
        let tokens: Result<TokenStream, _> = body.parse();
        if let Ok(tokens) = tokens {
            assert!(Plan::of(&Group::new(Delimiter::Brace, tokens)).is_err(), "{body}");
        }
    }
}
