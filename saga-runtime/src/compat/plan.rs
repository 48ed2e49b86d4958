//! A plan as lines that can be compared: what is awaited, by its durable name, in order.

use crate::activity::ActivityDefinition;
use crate::draw::{Meaning, meaning};
use crate::event::RegisteredEvent;
use crate::plan::{JoinKind, Node, Plan, Step, StepKind};
use crate::registry::Registry;
use crate::shape::Described;
use crate::workflow::WorkflowDefinition;

/// A plan as lines, helpers inlined.
pub(super) struct Flat<'a> {
    registry: &'a Registry,
    pub(super) lines: Vec<String>,
    pub(super) activities: Vec<&'static ActivityDefinition>,
    pub(super) undos: Vec<&'static ActivityDefinition>,
    pub(super) children: Vec<&'static WorkflowDefinition>,
    pub(super) events: Vec<&'static RegisteredEvent>,
    helpers: Vec<&'static Plan>,
    module: &'static str,
}

impl<'a> Flat<'a> {
    pub(super) fn of(plan: &'static Plan, registry: &'a Registry) -> Self {
        let mut flat = Self {
            registry,
            lines: Vec::new(),
            activities: Vec::new(),
            undos: Vec::new(),
            children: Vec::new(),
            events: Vec::new(),
            helpers: Vec::new(),
            module: plan.module,
        };
        flat.nodes(plan.nodes, 0);
        flat
    }

    /// What is recorded for what it awaits, each with what it is of.
    pub(super) fn recorded(&self) -> Vec<(String, Described)> {
        let activities = self.activities.iter().flat_map(|found| {
            (found.describe)().map(|(what, described)| (format!("{what} of `{}`", found.name), described))
        });
        let children = self.children.iter().flat_map(|found| {
            (found.describe)().map(|(what, described)| (format!("{what} of child `{}`", found.name), described))
        });
        let undos = self.undos.iter().map(|found| {
            let [(what, input), ..] = (found.describe)();
            (format!("{what} of undo `{}`", found.name), input)
        });
        let events = self.events.iter().map(|found| (format!("event `{}`", found.name), (found.describe)()));
        activities.chain(children).chain(undos).chain(events).collect()
    }

    fn line(&mut self, depth: usize, text: &str) {
        self.lines.push(format!("{}{text}", "  ".repeat(depth)));
    }

    fn nodes(&mut self, nodes: &'static [Node], depth: usize) {
        for node in nodes {
            self.node(node, depth);
        }
    }

    /// What is in something that is left out if nothing is in it.
    fn within(&mut self, depth: usize, head: &str, parts: &[(&str, &'static [Node])]) {
        let at = self.lines.len();
        self.line(depth, head);
        let mut is_empty = true;
        for (label, nodes) in parts {
            let before = self.lines.len();
            if !label.is_empty() {
                self.line(depth + 1, label);
            }
            let inner = self.lines.len();
            self.nodes(nodes, depth + 1 + usize::from(!label.is_empty()));
            if self.lines.len() == inner {
                self.lines.truncate(before);
            } else {
                is_empty = false;
            }
        }
        if is_empty {
            self.lines.truncate(at);
        }
    }

    fn node(&mut self, node: &'static Node, depth: usize) {
        match node {
            Node::Step(step) => self.step(step, depth),
            Node::Undo { target, .. } => {
                let name = self.undo(target, self.module).unwrap_or_else(|| last(target));
                self.line(depth, &format!("undo `{name}`"));
            }
            Node::Branch { detail, arms, .. } => {
                let detail = detail.replace(' ', "");
                let patch = |call: &str| Some(detail.strip_prefix(call)?.split(')').next()?.to_owned());
                let head = match (patch("patched("), patch("!patched(")) {
                    (Some(patch), _) => format!("patched {patch}"),
                    (_, Some(patch)) => format!("not patched {patch}"),
                    _ => "branch".to_owned(),
                };
                let labels = ["way 1", "way 2", "way 3", "way 4", "way 5", "way 6", "way 7", "way 8"];
                let parts: Vec<_> = arms
                    .iter()
                    .enumerate()
                    .map(|(at, arm)| (labels.get(at).copied().unwrap_or("another way"), arm.nodes))
                    .collect();
                self.within(depth, &head, &parts);
            }
            Node::Loop { head, body, .. } => self.within(depth, "loop", &[("", head), ("", body)]),
            Node::Labelled { body, .. } | Node::Block { body, .. } => self.nodes(body, depth),
            Node::Attempt { body, .. } => self.within(depth, "attempt", &[("", body)]),
            Node::Join { kind, branches, .. } => {
                let parts: Vec<_> = branches.iter().map(|branch| ("at once", branch.nodes)).collect();
                self.within(depth, name_of(*kind), &parts);
            }
            Node::Each { kind, body, .. } => self.within(depth, &format!("{} of each", name_of(*kind)), &[("", body)]),
            Node::Exit { .. }
            | Node::Return { .. }
            | Node::Diverges { .. }
            | Node::Break { .. }
            | Node::Continue { .. } => {}
        }
    }

    fn step(&mut self, step: &'static Step, depth: usize) {
        match step.kind {
            StepKind::Call => self.call(step, depth),
            StepKind::Event => {
                let event = RegisteredEvent::called(step.target, self.module);
                self.events.extend(event);
                self.line(depth, &format!("event `{}`", event.map_or(step.target, |event| event.name)));
            }
            StepKind::Timer => self.line(depth, "sleep"),
            StepKind::Value => self.line(depth, "side_effect"),
            StepKind::Pivot => self.line(depth, "pivot"),
            StepKind::Spawn => {
                let name = self.child(step.target);
                self.line(depth, &format!("spawn `{name}`"));
            }
            StepKind::Again => self.line(depth, &format!("continue_as_new `{}`", step.target)),
            StepKind::Other => self.line(depth, &format!("what `{}` holds", step.detail)),
        }
    }

    fn call(&mut self, step: &'static Step, depth: usize) {
        match meaning(step.target, self.module, self.registry) {
            Meaning::Activity(activity) => {
                if !self.activities.iter().any(|known| known.name == activity.name) {
                    self.activities.push(activity);
                    self.undo(activity.undone_by, activity.module);
                }
                self.line(depth, &format!("step `{}`", activity.name));
            }
            Meaning::Helper(plan) if !self.helpers.contains(&plan) => {
                let module = std::mem::replace(&mut self.module, plan.module);
                self.helpers.push(plan);
                self.nodes(plan.nodes, depth);
                self.helpers.pop();
                self.module = module;
            }
            Meaning::Helper(plan) => self.line(depth, &format!("again `{}`", plan.name)),
            Meaning::Workflow(_) => {
                let name = self.child(step.target);
                self.line(depth, &format!("child `{name}`"));
            }
            Meaning::Unknown => self.line(depth, &format!("step `{}`", last(step.target))),
        }
    }

    /// The durable name of the child that a path starts.
    fn child(&mut self, path: &'static str) -> &'static str {
        let Meaning::Workflow(child) = meaning(path, self.module, self.registry) else { return last(path) };
        self.children.push(child);
        if !child.undone_by.is_empty() {
            self.undo(child.undone_by, child.module);
        }
        child.name
    }

    /// The durable name of the activity that this call undoes by.
    fn undo(&mut self, call: &str, module: &str) -> Option<&'static str> {
        let path = call.split('(').next().unwrap_or(call).replace(' ', "");
        let Meaning::Activity(undo) = meaning(&path, module, self.registry) else { return None };
        self.undos.push(undo);
        Some(undo.name)
    }
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

fn name_of(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Join => "join!",
        JoinKind::TryJoin => "try_join!",
        JoinKind::Select => "select!",
        JoinKind::All => "join_all",
        JoinKind::TryAll => "try_join_all",
        JoinKind::ForEach => "for_each_concurrent",
    }
}

/// What keeps runs of the old plan from going on in the new one.
pub(super) fn differences(old: &[String], new: &[String]) -> Vec<String> {
    let new = without_new_patches(old, new);
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let place = if same == 0 { "at its beginning".to_owned() } else { format!("after {}", old[same - 1].trim()) };
    let come = new.get(same);
    let Some(gone) = old.get(same) else {
        // What follows at the very end breaks no run; in the next turn of a loop it would.
        let within = come.filter(|come| come.starts_with(' '));
        return within.map(|come| format!("plan: {} is new, {place}", come.trim())).into_iter().collect();
    };
    let (gone_text, old_rest, new_rest) = (gone.trim(), &old[same + 1..], new.get(same + 1..).unwrap_or_default());
    let has = |list: &[String], text: &str| list.iter().any(|line| line.trim() == text);
    let Some(come) = come.map(|come| come.trim()) else {
        return vec![format!("plan: {gone_text}, {place}, is gone")];
    };
    vec![match (has(new_rest, gone_text), has(old_rest, come)) {
        (true, true) => format!("plan: {come} comes before {gone_text}, {place}; it came after it"),
        (true, false) => format!("plan: {come} is new, {place} and before {gone_text}"),
        (false, true) => format!("plan: {gone_text}, {place}, is gone"),
        (false, false) => format!("plan: {gone_text}, {place}, has become {come}"),
    }]
}

/// The new plan as an old run sees it: a patch that the old plan has not is the way without it.
fn without_new_patches(old: &[String], new: &[String]) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut kept = Vec::new();
    let mut at = 0;
    while at < new.len() {
        let line = &new[at];
        let (is_patched, is_not) = (line.trim().starts_with("patched "), line.trim().starts_with("not patched "));
        if !(is_patched || is_not) || old.contains(line) {
            kept.push(line.clone());
            at += 1;
            continue;
        }
        let end =
            new[at + 1..].iter().position(|inner| indent(inner) <= indent(line)).map_or(new.len(), |n| at + 1 + n);
        let mut in_old_way = false;
        for inner in &new[at + 1..end] {
            if indent(inner) == indent(line) + 2 {
                in_old_way = inner.trim() == if is_not { "way 1" } else { "way 2" };
            } else if in_old_way {
                kept.push(inner[4..].to_owned());
            }
        }
        at = end;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::differences;

    fn lines(text: &str) -> Vec<String> {
        text.split(" / ").map(str::to_owned).collect()
    }

    fn found(old: &str, new: &str) -> String {
        differences(&lines(old), &lines(new)).join("; ")
    }

    #[test]
    fn the_same_plan_and_a_longer_one_are_compatible() {
        assert_eq!(found("a / b", "a / b"), "");
        assert_eq!(found("a / b", "a / b / c"), "");
        assert_eq!(found("loop /   a", "loop /   a /   b"), "plan: b is new, after a");
    }

    #[test]
    fn a_step_that_is_gone_new_renamed_or_moved_is_told_as_such() {
        assert_eq!(found("a / b / c", "a / c"), "plan: b, after a, is gone");
        assert_eq!(found("a / b", "a"), "plan: b, after a, is gone");
        assert_eq!(found("a / c", "a / b / c"), "plan: b is new, after a and before c");
        assert_eq!(found("a / b", "a / x"), "plan: b, after a, has become x");
        assert_eq!(found("a / b", "b / a"), "plan: b comes before a, at its beginning; it came after it");
    }

    #[test]
    fn a_new_patch_leaves_old_runs_on_the_old_way() {
        let patched = "a / patched \"p\" /   way 1 /     x /   way 2 /     b / c";
        assert_eq!(found("a / b / c", patched), "");
        assert_eq!(found("a / c", "a / patched \"p\" /   way 1 /     x / c"), "");
        assert_eq!(found(patched, patched), "");
        assert_eq!(found("a / b", "not patched \"p\" /   way 1 /     a /   way 2 /     x / b"), "");
    }
}
