//! The check of strict sagas, in constants: what may have happened when a step begins.
//!
//! A set of states is walked along the plan. A step that stands where it must not is found by the
//! states that reach it; the generated code panics at that step.

use crate::activity::Activity;
use crate::call::{ActivityCall, WorkflowCall};
use crate::durable::Helper;
use crate::event::Event;
use crate::ops::{
    Attempt, EventTimeout, EventWait, ForEachConcurrent, JoinAll, Pivot, SendEvent, SideEffect, Sleep, TryJoinAll,
};
pub use crate::ops::{ContinueAsNew, Spawn};
use crate::plan::{Arm, JoinKind, Node};
use crate::workflow::Workflow;

/// Nothing has happened that cannot be undone.
const BEFORE: u8 = 1;
/// A pivot may have taken effect.
const AFTER_PIVOT: u8 = 2;
/// A retriable step may have taken effect, and no pivot.
const AFTER_RETRIABLE: u8 = 4;

/// What `side_effect` must be.
pub type SideEffectFn = fn(fn() -> u8) -> SideEffect<fn() -> u8, u8>;
/// What `send` must be.
pub type SendFn = fn(&'static str, AnyEvent) -> SendEvent;
/// What `attempt` must be.
pub type AttemptFn = fn(EventTimeout<AnyEvent>) -> Attempt<EventTimeout<AnyEvent>>;
/// What `join_all` must be.
pub type JoinAllFn = fn(Vec<Sleep>) -> JoinAll<Sleep>;
/// What `try_join_all` must be.
pub type TryJoinAllFn = fn(Vec<EventTimeout<AnyEvent>>) -> TryJoinAll<EventTimeout<AnyEvent>>;
/// What `for_each_concurrent` must be.
pub type ForEachFn = fn(usize, Vec<u8>, fn(u8) -> Sleep) -> ForEachConcurrent<u8, fn(u8) -> Sleep>;

/// Stands for any event.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct AnyEvent;

impl Event for AnyEvent {
    const NAME: &'static str = "AnyEvent";
}

/// What a step means for the order of a strict saga.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// The states after it, begun in [`BEFORE`]; `None` if it changes nothing.
    leaves: u8,
    /// Why it must not stand after a pivot; 0 if it may.
    refused: u8,
    retriable: bool,
}

/// What an activity declares to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// `compensate = …`
    Undoable,
    /// `read_only`
    ReadOnly,
    /// `pivot`
    Pivot,
    /// `retriable`
    Retriable,
    /// `read_only, retriable`
    RetriableRead,
}

impl Summary {
    /// Allowed everywhere, changes nothing.
    pub const NEUTRAL: Self = Self { leaves: BEFORE, refused: 0, retriable: false };

    /// That of an activity.
    pub const fn of(declared: Declared) -> Self {
        match declared {
            Declared::Undoable => Self { leaves: BEFORE, refused: 1, retriable: false },
            Declared::Pivot => Self { leaves: AFTER_PIVOT, refused: 2, retriable: false },
            Declared::ReadOnly => Self { leaves: BEFORE, refused: 3, retriable: false },
            Declared::Retriable => Self { leaves: AFTER_RETRIABLE, refused: 0, retriable: true },
            Declared::RetriableRead => Self { leaves: BEFORE, refused: 0, retriable: true },
        }
    }

    /// That of a helper with this plan.
    pub const fn of_helper<const N: usize>(nodes: &[Node], classes: &[Self; N]) -> Self {
        let mut walk = Walk { classes, reached: [0; N], leaves: [0; DEPTH], again: [0; DEPTH], top: 0, exits: 0 };
        let leaves = walk.nodes(nodes, BEFORE) | walk.exits;
        let mut walk = Walk { classes, reached: [0; N], leaves: [0; DEPTH], again: [0; DEPTH], top: 0, exits: 0 };
        walk.nodes(nodes, AFTER_PIVOT);
        let (mut refused, mut at) = (0, 0);
        while at < N {
            if walk.reached[at] != 0 && (refused == 0 || classes[at].refused == 1) {
                refused = classes[at].refused;
            }
            at += 1;
        }
        Self { leaves, refused, retriable: false }
    }

    const fn after(self, states: u8) -> u8 {
        let mut after = states & (AFTER_PIVOT | AFTER_RETRIABLE);
        if states & BEFORE != 0 {
            after |= self.leaves;
        }
        if states & AFTER_RETRIABLE != 0 && self.leaves & AFTER_PIVOT != 0 {
            after |= AFTER_PIVOT;
        }
        after
    }
}

/// An activity that says what it is. Implemented by `#[activity]` for those that do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is awaited in a strict workflow and does not say what it is",
    label = "can this be undone?",
    note = "add `compensate = …`, `read_only`, `pivot` or `retriable` to the `#[activity(…)]` of `{Self}`"
)]
pub trait Declares {
    /// What it is.
    const DECLARED: Declared;
}

/// A helper that is checked itself.
#[diagnostic::on_unimplemented(
    message = "a strict workflow awaits helpers that are checked as well, and this one is not",
    label = "not checked",
    note = "annotate the helper with `#[durable(strict)]`"
)]
pub trait Checked {
    /// What its body means for the order.
    const SUMMARY: Summary;
}

/// What a strict workflow can await by a path.
#[diagnostic::on_unimplemented(
    message = "a strict workflow cannot tell what `{Self}` does",
    label = "not an activity, a helper or an operation of the framework",
    note = "await a call of an activity here, or of a helper annotated with `#[durable(strict)]`"
)]
pub trait Awaitable {
    /// What it means for the order.
    const SUMMARY: Summary;
}

impl<A: Activity + Declares> Awaitable for ActivityCall<A> {
    const SUMMARY: Summary = Summary::of(A::DECLARED);
}

/// A child: what it did is undone if its `#[workflow(compensate = …)]` says how.
impl<W: Workflow + Declares> Awaitable for WorkflowCall<W> {
    const SUMMARY: Summary = Summary::of(W::DECLARED);
}

impl<T, S: Checked> Awaitable for Helper<'_, T, S> {
    const SUMMARY: Summary = S::SUMMARY;
}

impl Awaitable for Sleep {
    const SUMMARY: Summary = Summary::NEUTRAL;
}

impl Awaitable for Pivot {
    const SUMMARY: Summary = Summary::of(Declared::Pivot);
}

impl<E: Event> Awaitable for EventWait<E> {
    const SUMMARY: Summary = Summary::NEUTRAL;
}

impl<E: Event> Awaitable for EventTimeout<E> {
    const SUMMARY: Summary = Summary::NEUTRAL;
}

macro_rules! of {
    ($($name:ident($($argument:ident),*);)*) => {$(
        /// The summary of what a function of so many arguments returns.
        pub const fn $name<F, $($argument,)* R>(_: &F) -> Summary
        where
            F: FnOnce($($argument),*) -> R,
            R: Awaitable,
        {
            R::SUMMARY
        }
    )*};
}

of! {
    of0();
    of1(A);
    of2(A, B);
    of3(A, B, C);
    of4(A, B, C, D);
    of5(A, B, C, D, E);
    of6(A, B, C, D, E, G);
    of7(A, B, C, D, E, G, H);
    of8(A, B, C, D, E, G, H, I);
    of9(A, B, C, D, E, G, H, I, J);
    of10(A, B, C, D, E, G, H, I, J, K);
    of11(A, B, C, D, E, G, H, I, J, K, L);
    of12(A, B, C, D, E, G, H, I, J, K, L, M);
}

/// What is wrong with a step that these states reach; 0 if nothing is.
pub const fn verdict(reached: u8, step: Summary, deadline: bool) -> u8 {
    if deadline && step.retriable {
        7
    } else if reached & AFTER_PIVOT != 0 {
        step.refused
    } else if reached & AFTER_RETRIABLE != 0 && step.refused != 0 {
        step.refused + 3
    } else {
        0
    }
}

/// The states that reach each step of a plan.
pub const fn reached<const N: usize>(nodes: &[Node], classes: &[Summary; N]) -> [u8; N] {
    let mut walk = Walk { classes, reached: [0; N], leaves: [0; DEPTH], again: [0; DEPTH], top: 0, exits: 0 };
    walk.nodes(nodes, BEFORE);
    walk.reached
}

/// The deepest nesting of loops and labelled blocks that is walked.
const DEPTH: usize = 32;

/// A loop's states are complete after so many turns: one for each state, and one that adds none.
const TURNS: u8 = 4;

struct Walk<'a, const N: usize> {
    classes: &'a [Summary; N],
    reached: [u8; N],
    /// The states of each `break`, by the scope that it leaves.
    leaves: [u8; DEPTH],
    /// The same for each `continue`.
    again: [u8; DEPTH],
    top: usize,
    /// The states of each `?` and `return` of the async block, or body, that is walked.
    exits: u8,
}

impl<const N: usize> Walk<'_, N> {
    const fn nodes(&mut self, nodes: &[Node], mut states: u8) -> u8 {
        let mut at = 0;
        while at < nodes.len() {
            states = self.node(&nodes[at], states);
            at += 1;
        }
        states
    }

    const fn node(&mut self, node: &Node, states: u8) -> u8 {
        if states == 0 {
            return 0;
        }
        match node {
            Node::Step(step) => {
                self.reached[step.index as usize] |= states;
                self.classes[step.index as usize].after(states)
            }
            Node::Undo { .. } => states,
            Node::Exit { .. } => {
                self.exits |= states;
                states
            }
            Node::Return { .. } => {
                self.exits |= states;
                0
            }
            Node::Diverges { .. } => 0,
            Node::Branch { arms, .. } => self.arms(arms, states),
            Node::Loop { endless, head, body, .. } => self.turns(head, body, *endless, states),
            Node::Labelled { body, .. } => {
                let scope = self.enter();
                let after = self.nodes(body, states);
                self.leave(scope) | after
            }
            Node::Break { depth, .. } => {
                let scope = self.scope(*depth);
                self.leaves[scope] |= states;
                0
            }
            Node::Continue { depth, .. } => {
                let scope = self.scope(*depth);
                self.again[scope] |= states;
                0
            }
            Node::Block { body, .. } | Node::Attempt { body, .. } => self.future(body, states),
            Node::Join { kind, branches, .. } => self.join(branches, states, matches!(kind, JoinKind::Select)),
            Node::Each { body, .. } => {
                let after = self.future(body, states);
                // Each runs beside the others, or there is none.
                self.future(body, states | after) | states
            }
        }
    }

    const fn arms(&mut self, arms: &[Arm], states: u8) -> u8 {
        let (mut after, mut at) = (0, 0);
        while at < arms.len() {
            after |= self.nodes(arms[at].nodes, states);
            at += 1;
        }
        after
    }

    const fn turns(&mut self, head: &[Node], body: &[Node], endless: bool, states: u8) -> u8 {
        let scope = self.enter();
        let (mut entered, mut after, mut turn) = (states, 0, 0);
        while turn < TURNS {
            let begun = self.nodes(head, entered);
            if !endless {
                after |= begun;
            }
            entered |= self.nodes(body, begun) | self.again[scope];
            turn += 1;
        }
        self.leave(scope) | after
    }

    /// What leaves an async block by `?` or `return` goes on behind it.
    const fn future(&mut self, body: &[Node], states: u8) -> u8 {
        let outer = self.exits;
        self.exits = 0;
        let after = self.nodes(body, states) | self.exits;
        self.exits = outer;
        after
    }

    /// What a branch does may happen before or after any step of the others.
    const fn join(&mut self, branches: &[Arm], states: u8, first: bool) -> u8 {
        let mut at = 0;
        let mut together = states;
        while at < branches.len() {
            together |= self.alone(branches[at].nodes, states) & (AFTER_PIVOT | AFTER_RETRIABLE);
            at += 1;
        }
        let (mut after, mut all_before, mut at) = (0, true, 0);
        while at < branches.len() {
            let mut beside = states;
            let mut other = 0;
            while other < branches.len() {
                if other != at {
                    beside |= self.alone(branches[other].nodes, states) & (AFTER_PIVOT | AFTER_RETRIABLE);
                }
                other += 1;
            }
            let branch = self.nodes(branches[at].nodes, beside);
            all_before = all_before && branch & BEFORE != 0;
            after |= branch;
            at += 1;
        }
        if first {
            // One that is let go may have done its pivot.
            return if after == 0 { 0 } else { after | (together & !states) };
        }
        if all_before { after } else { after & !BEFORE }
    }

    /// The states that a branch can leave, whatever is beside it. Nothing is noted.
    const fn alone(&mut self, nodes: &[Node], states: u8) -> u8 {
        let mut walk = Walk {
            classes: self.classes,
            reached: [0; N],
            leaves: [0; DEPTH],
            again: [0; DEPTH],
            top: self.top,
            exits: 0,
        };
        let after = walk.nodes(nodes, states);
        let mut all = after | walk.exits;
        let mut at = 0;
        while at < DEPTH {
            all |= walk.leaves[at] | walk.again[at];
            at += 1;
        }
        all
    }

    const fn enter(&mut self) -> usize {
        let scope = self.top;
        assert!(scope < DEPTH, "a strict workflow nests at most 32 loops and labelled blocks: move some into a helper");
        self.leaves[scope] = 0;
        self.again[scope] = 0;
        self.top += 1;
        scope
    }

    const fn leave(&mut self, scope: usize) -> u8 {
        self.top = scope;
        self.leaves[scope]
    }

    const fn scope(&self, depth: u32) -> usize {
        self.top.saturating_sub(depth as usize + 1)
    }
}
