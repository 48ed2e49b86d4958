//! A workflow's plan: its steps, branches, loops and exits as the macro saw them in the syntax.

/// What a workflow, or a `#[durable]` helper, does: `order_saga::PLAN`.
///
/// It is read off the syntax, so it shows what may happen, not what does. Code in functions that
/// the workflow calls is not in it, except that of helpers, which have plans of their own.
///
/// ```
/// use saga_runtime::prelude::*;
/// # #[activity]
/// # async fn check(sku: String) -> saga_runtime::Result<bool> { Ok(sku.is_empty()) }
/// #[workflow]
/// async fn order(sku: String) -> saga_runtime::Result<()> {
///     if !check(sku).await? {
///         return Err(saga_runtime::Error::msg("out of stock"));
///     }
///     Ok(())
/// }
/// assert!(order::PLAN.to_mermaid().contains("check"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The durable name of the workflow, or the helper's name.
    pub name: &'static str,
    /// The workflow's version; 0 for a helper.
    pub version: u32,
    /// The function's name.
    pub function: &'static str,
    /// The module in which it is declared.
    pub module: &'static str,
    /// The file in which it is declared.
    pub file: &'static str,
    /// The line of its name.
    pub line: u32,
    /// Whether it is checked as a strict saga.
    pub strict: bool,
    /// What it does, in order.
    pub nodes: &'static [Node],
}

/// One thing that a body does. Lines are those of the file that [`Plan::file`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Node {
    /// Something durable is awaited.
    Step(Step),
    /// `undo(call)`: an undo step by hand.
    Undo {
        /// Its line.
        line: u32,
        /// The activity, as it is written.
        target: &'static str,
    },
    /// `?`: leaves the body, or the async block around it, on an error.
    Exit {
        /// Its line.
        line: u32,
    },
    /// `return`.
    Return {
        /// Its line.
        line: u32,
        /// What is returned, as it is written.
        detail: &'static str,
    },
    /// `panic!` and the like.
    Diverges {
        /// Its line.
        line: u32,
    },
    /// One of several ways: `if`, `match`, `let … else`, `&&` and `||`.
    Branch {
        /// Its line.
        line: u32,
        /// The condition, as it is written.
        detail: &'static str,
        /// The ways.
        arms: &'static [Arm],
    },
    /// `for`, `while` and `loop`, and a closure, which may be called any number of times.
    Loop {
        /// Its line.
        line: u32,
        /// Its head, as it is written.
        detail: &'static str,
        /// Whether only a `break` ends it.
        endless: bool,
        /// What is done before each turn: the condition of a `while`.
        head: &'static [Node],
        /// What is done in each turn.
        body: &'static [Node],
    },
    /// A block with a label.
    Labelled {
        /// Its line.
        line: u32,
        /// What is done in it.
        body: &'static [Node],
    },
    /// `break`.
    Break {
        /// Its line.
        line: u32,
        /// How many loops and labelled blocks lie between it and the one that it leaves.
        depth: u32,
    },
    /// `continue`.
    Continue {
        /// Its line.
        line: u32,
        /// As for `Break`.
        depth: u32,
    },
    /// An async block.
    Block {
        /// Its line.
        line: u32,
        /// What is done in it.
        body: &'static [Node],
    },
    /// `attempt(…)`: a saga within the saga.
    Attempt {
        /// Its line.
        line: u32,
        /// What is done in it.
        body: &'static [Node],
    },
    /// Several things at once, written out.
    Join {
        /// Its line.
        line: u32,
        /// Which it is.
        kind: JoinKind,
        /// The things.
        branches: &'static [Arm],
    },
    /// The same for each of several items.
    Each {
        /// Its line.
        line: u32,
        /// Which it is.
        kind: JoinKind,
        /// The items, as they are written.
        detail: &'static str,
        /// What is done for each.
        body: &'static [Node],
    },
}

/// Something durable that is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its place among the steps of the body, in the order of the source.
    pub index: u32,
    /// Its line.
    pub line: u32,
    /// What it is, as far as the syntax shows.
    pub kind: StepKind,
    /// What is called, as it is written: a path, or the type of an event.
    pub target: &'static str,
    /// More of what is written.
    pub detail: &'static str,
}

/// What a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepKind {
    /// A call of an activity, a workflow or a helper.
    Call,
    /// `event::<E>()`.
    Event,
    /// `sleep` or `sleep_until`.
    Timer,
    /// `side_effect`.
    Value,
    /// `pivot()`.
    Pivot,
    /// `spawn`: a child that goes on by itself.
    Spawn,
    /// `continue_as_new`.
    Again,
    /// Something else: a call in a variable.
    Other,
}

/// How several things are awaited at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinKind {
    /// `join!`: all.
    Join,
    /// `try_join!`: all, or the first error.
    TryJoin,
    /// `select!`: the first.
    Select,
    /// `join_all`.
    All,
    /// `try_join_all`.
    TryAll,
    /// `for_each_concurrent`.
    ForEach,
}

/// One way of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arm {
    /// When it is taken, as it is written.
    pub label: &'static str,
    /// What is done there.
    pub nodes: &'static [Node],
}

/// The plan of a helper, registered by `#[durable]`.
#[doc(hidden)]
pub struct RegisteredHelper(pub &'static Plan);

inventory::collect!(RegisteredHelper);

impl Plan {
    /// All steps, those in branches and loops included, in the order of the source.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for_each(self.nodes, &mut |node| {
            if let Node::Step(step) = node {
                steps.push(*step);
            }
        });
        steps
    }
}

/// Visits nodes and what they hold, each before what it holds.
pub(crate) fn for_each(nodes: &'static [Node], visit: &mut impl FnMut(&'static Node)) {
    for node in nodes {
        visit(node);
        match node {
            Node::Branch { arms, .. } | Node::Join { branches: arms, .. } => {
                arms.iter().for_each(|arm| for_each(arm.nodes, visit));
            }
            Node::Loop { head, body, .. } => {
                for_each(head, visit);
                for_each(body, visit);
            }
            Node::Labelled { body, .. }
            | Node::Block { body, .. }
            | Node::Attempt { body, .. }
            | Node::Each { body, .. } => for_each(body, visit),
            Node::Step(_)
            | Node::Undo { .. }
            | Node::Exit { .. }
            | Node::Return { .. }
            | Node::Diverges { .. }
            | Node::Break { .. }
            | Node::Continue { .. } => {}
        }
    }
}
