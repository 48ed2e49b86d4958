//! A plan as vertices and edges: what Mermaid and Graphviz draw alike.

use std::collections::VecDeque;

use crate::activity::ActivityDefinition;
use crate::place::means;
use crate::plan::{Arm, JoinKind, Node, Plan, RegisteredHelper, Step, StepKind};
use crate::registry::Registry;
use crate::workflow::WorkflowDefinition;

/// What a vertex looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Where a body begins or ends.
    Round,
    Step,
    Pivot,
    /// A helper, which has a drawing of its own.
    Helper,
    /// Another run.
    Child,
    Decision,
    /// Where several things begin at once.
    Fork,
    Undo,
}

#[derive(Debug)]
pub(super) struct Vertex {
    pub(super) shape: Shape,
    pub(super) text: String,
    /// The body to which it belongs, by its place in [`Graph::bodies`].
    pub(super) body: usize,
}

#[derive(Debug, PartialEq)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) label: String,
    pub(super) undo: bool,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    /// The workflow, then the helpers that it awaits.
    pub(super) bodies: Vec<String>,
    pub(super) vertices: Vec<Vertex>,
    pub(super) edges: Vec<Edge>,
}

/// What comes before the next vertex: from where, and what the edge says.
type Front = Vec<(usize, String)>;

struct Scope {
    again: usize,
    left: Front,
}

struct Builder<'a> {
    graph: Graph,
    registry: &'a Registry,
    module: &'static str,
    body: usize,
    scopes: Vec<Scope>,
    /// Where `?` and `return` go, inside async blocks.
    exits: Vec<Front>,
    failed: Option<usize>,
    done: Option<usize>,
    helpers: Vec<&'static Plan>,
    waiting: VecDeque<&'static Plan>,
}

/// What a path calls.
pub(crate) enum Meaning {
    Activity(&'static ActivityDefinition),
    Workflow(&'static WorkflowDefinition),
    Helper(&'static Plan),
    Unknown,
}

impl Graph {
    pub(super) fn of(plan: &Plan, registry: &Registry) -> Self {
        let mut builder = Builder {
            graph: Self::default(),
            registry,
            module: plan.module,
            body: 0,
            scopes: Vec::new(),
            exits: Vec::new(),
            failed: None,
            done: None,
            helpers: Vec::new(),
            waiting: VecDeque::new(),
        };
        builder.body(plan);
        while let Some(helper) = builder.waiting.pop_front() {
            builder.body(helper);
        }
        builder.graph
    }
}

impl Builder<'_> {
    fn body(&mut self, plan: &Plan) {
        self.body = self.graph.bodies.len();
        self.graph.bodies.push(plan.name.to_owned());
        (self.module, self.failed, self.done) = (plan.module, None, None);
        let start = self.vertex(Shape::Round, plan.name.to_owned());
        let front = self.nodes(plan.nodes, vec![(start, String::new())]);
        if !front.is_empty() {
            let done = self.done();
            self.connect(front, done);
        }
    }

    fn vertex(&mut self, shape: Shape, text: String) -> usize {
        self.graph.vertices.push(Vertex { shape, text, body: self.body });
        self.graph.vertices.len() - 1
    }

    fn done(&mut self) -> usize {
        if let Some(done) = self.done {
            return done;
        }
        let done = self.vertex(Shape::Round, "done".to_owned());
        *self.done.insert(done)
    }

    fn failed(&mut self) -> usize {
        if let Some(failed) = self.failed {
            return failed;
        }
        let text = if self.body == 0 { "undone" } else { "error" };
        let failed = self.vertex(Shape::Round, text.to_owned());
        *self.failed.insert(failed)
    }

    fn edge(&mut self, from: usize, to: usize, label: String, undo: bool) {
        let edge = Edge { from, to, label, undo };
        if !self.graph.edges.contains(&edge) {
            self.graph.edges.push(edge);
        }
    }

    fn connect(&mut self, front: Front, to: usize) {
        for (from, label) in front {
            self.edge(from, to, label, false);
        }
    }

    /// A vertex behind what came before.
    fn next(&mut self, front: Front, shape: Shape, text: String) -> usize {
        let vertex = self.vertex(shape, text);
        self.connect(front, vertex);
        vertex
    }

    fn nodes(&mut self, nodes: &'static [Node], mut front: Front) -> Front {
        for node in nodes {
            if front.is_empty() {
                break;
            }
            front = self.node(node, front);
        }
        front
    }

    fn node(&mut self, node: &'static Node, front: Front) -> Front {
        match node {
            Node::Step(step) => {
                let vertex = self.step(step, front);
                vec![(vertex, String::new())]
            }
            Node::Undo { target, .. } => {
                let vertex = self.next(front, Shape::Step, "undo(…)".to_owned());
                self.undo(vertex, (*target).to_owned());
                vec![(vertex, String::new())]
            }
            Node::Exit { .. } => {
                self.exit(front.iter().map(|(from, _)| (*from, "error".to_owned())).collect(), true);
                front
            }
            Node::Return { detail, .. } => {
                self.exit(front, detail.starts_with("Err") || *detail == "bail!");
                Front::new()
            }
            Node::Diverges { .. } => {
                self.exit(front, true);
                Front::new()
            }
            Node::Branch { detail, arms, .. } => {
                let vertex = self.next(front, Shape::Decision, (*detail).to_owned());
                self.arms(arms, vertex)
            }
            Node::Loop { detail, endless, head, body, .. } => self.turns(detail, *endless, head, body, front),
            Node::Labelled { body, .. } => {
                self.scopes.push(Scope { again: 0, left: Front::new() });
                let mut after = self.nodes(body, front);
                after.extend(self.scopes.pop().map(|scope| scope.left).unwrap_or_default());
                after
            }
            Node::Break { depth, .. } => {
                if let Some(scope) = self.scope(*depth) {
                    scope.left.extend(front);
                }
                Front::new()
            }
            Node::Continue { depth, .. } => {
                if let Some(again) = self.scope(*depth).map(|scope| scope.again) {
                    self.connect(front, again);
                }
                Front::new()
            }
            Node::Block { body, .. } => self.future(body, front),
            Node::Attempt { body, .. } => {
                let vertex = self.next(front, Shape::Fork, "attempt".to_owned());
                self.future(body, vec![(vertex, String::new())])
            }
            Node::Join { kind, branches, .. } => {
                let vertex = self.next(front, Shape::Fork, name(*kind).to_owned());
                self.arms(branches, vertex)
            }
            Node::Each { kind, detail, body, .. } => {
                let vertex = self.next(front, Shape::Fork, format!("{}: each of {detail}", name(*kind)));
                self.future(body, vec![(vertex, String::new())])
            }
        }
    }

    fn scope(&mut self, depth: u32) -> Option<&mut Scope> {
        let at = self.scopes.len().checked_sub(depth as usize + 1)?;
        self.scopes.get_mut(at)
    }

    fn exit(&mut self, front: Front, failed: bool) {
        if let Some(exits) = self.exits.last_mut() {
            exits.extend(front);
            return;
        }
        let end = if failed { self.failed() } else { self.done() };
        self.connect(front, end);
    }

    fn arms(&mut self, arms: &'static [Arm], from: usize) -> Front {
        let mut after = Front::new();
        for arm in arms {
            for end in self.nodes(arm.nodes, vec![(from, arm.label.to_owned())]) {
                if !after.contains(&end) {
                    after.push(end);
                }
            }
        }
        after
    }

    fn turns(
        &mut self,
        detail: &str,
        endless: bool,
        head: &'static [Node],
        body: &'static [Node],
        front: Front,
    ) -> Front {
        let vertex = self.next(front, Shape::Decision, detail.to_owned());
        let begun = self.nodes(head, vec![(vertex, String::new())]);
        let mut after = Front::new();
        if !endless {
            after.extend(begun.iter().map(|(from, _)| (*from, "end".to_owned())));
        }
        self.scopes.push(Scope { again: vertex, left: Front::new() });
        let label = if endless { "" } else { "next" };
        let turned = self.nodes(body, begun.into_iter().map(|(from, _)| (from, label.to_owned())).collect());
        self.connect(turned, vertex);
        after.extend(self.scopes.pop().map(|scope| scope.left).unwrap_or_default());
        after
    }

    /// What leaves an async block by `?` or `return` goes on behind it.
    fn future(&mut self, body: &'static [Node], front: Front) -> Front {
        let scopes = std::mem::take(&mut self.scopes);
        self.exits.push(Front::new());
        let mut after = self.nodes(body, front);
        after.extend(self.exits.pop().unwrap_or_default());
        self.scopes = scopes;
        after
    }

    fn step(&mut self, step: &'static Step, front: Front) -> usize {
        let (shape, text) = match step.kind {
            StepKind::Event => (Shape::Step, format!("event {}", step.target)),
            StepKind::Timer => (Shape::Step, format!("{}({})", step.target, step.detail)),
            StepKind::Spawn => return self.child(step.target, format!("spawn {}", step.target), front),
            StepKind::Again => (Shape::Child, format!("continue_as_new {}", step.target)),
            StepKind::Pivot => (Shape::Pivot, "pivot".to_owned()),
            StepKind::Value => (Shape::Step, step.target.to_owned()),
            StepKind::Other => (Shape::Step, step.detail.to_owned()),
            StepKind::Call => return self.call(step, front),
        };
        self.next(front, shape, text)
    }

    fn call(&mut self, step: &'static Step, front: Front) -> usize {
        let text = step.target.to_owned();
        match meaning(step.target, self.module, self.registry) {
            Meaning::Activity(activity) => {
                let shape = if activity.options.pivot { Shape::Pivot } else { Shape::Step };
                let text = if activity.options.retriable { format!("{text}, retriable") } else { text };
                let vertex = self.next(front, shape, text);
                if !activity.undone_by.is_empty() {
                    self.undo(vertex, activity.undone_by.to_owned());
                }
                vertex
            }
            Meaning::Helper(plan) => {
                if !self.helpers.contains(&plan) {
                    self.helpers.push(plan);
                    self.waiting.push_back(plan);
                }
                self.next(front, Shape::Helper, text)
            }
            Meaning::Workflow(_) => self.child(step.target, text, front),
            Meaning::Unknown => self.next(front, Shape::Step, text),
        }
    }

    /// Another run, with what undoes it once it has completed.
    fn child(&mut self, target: &str, text: String, front: Front) -> usize {
        let vertex = self.next(front, Shape::Child, text);
        if let Meaning::Workflow(child) = meaning(target, self.module, self.registry)
            && !child.undone_by.is_empty()
        {
            self.undo(vertex, child.undone_by.to_owned());
        }
        vertex
    }

    fn undo(&mut self, of: usize, by: String) {
        let vertex = self.vertex(Shape::Undo, by);
        self.edge(of, vertex, String::new(), true);
    }
}

/// What a path in this module calls: the item that fits it best of all that is linked.
pub(crate) fn meaning(path: &str, module: &str, registry: &Registry) -> Meaning {
    let all = scored(path, module, registry);
    all.into_iter().max_by_key(|(score, _)| *score).map_or(Meaning::Unknown, |(_, found)| found)
}

/// All that a path in this module may call: an import can hide which of the items of a name it is.
pub(crate) fn meanings(path: &str, module: &str, registry: &Registry) -> Vec<Meaning> {
    scored(path, module, registry).into_iter().map(|(_, found)| found).collect()
}

fn scored(path: &str, module: &str, registry: &Registry) -> Vec<(u8, Meaning)> {
    let last = |name: &'static str| name.rsplit("::").next().unwrap_or(name);
    let score = |item_module: &str, item: &str| means(path, module, item_module, item);
    let activities =
        registry.activities().map(|found| (score(found.module, last((found.type_name)())), Meaning::Activity(found)));
    let workflows = registry
        .workflows()
        .map(|(_, found)| (score(found.module, last((found.type_name)())), Meaning::Workflow(found)));
    let helpers = inventory::iter::<RegisteredHelper>
        .into_iter()
        .map(|RegisteredHelper(found)| (score(found.module, found.function), Meaning::Helper(found)));
    activities.chain(workflows).chain(helpers).filter(|(score, _)| *score > 0).collect()
}

fn name(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Join => "join!",
        JoinKind::TryJoin => "try_join!",
        JoinKind::Select => "select!",
        JoinKind::All => "join_all",
        JoinKind::TryAll => "try_join_all",
        JoinKind::ForEach => "for_each_concurrent",
    }
}
