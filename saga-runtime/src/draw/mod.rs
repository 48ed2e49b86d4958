//! A workflow's plan as a drawing.

mod dot;
mod graph;
mod mermaid;

pub(crate) use graph::{Meaning, meaning, meanings};

use crate::plan::Plan;
use crate::registry::Registry;

impl Plan {
    /// The plan as a Mermaid flowchart. Helpers that it awaits are drawn beside it; undo steps are
    /// joined by dotted lines. What a path means is looked up among all that is linked into the
    /// program; what is not found there is drawn as an ordinary step.
    pub fn to_mermaid(&self) -> String {
        mermaid::draw(&graph::Graph::of(self, &Registry::linked()))
    }

    /// The same for Graphviz.
    pub fn to_dot(&self) -> String {
        dot::draw(&graph::Graph::of(self, &Registry::linked()))
    }
}
