//! Drawing with Graphviz.

use std::fmt::Write as _;

use super::graph::{Graph, Shape};

/// The text of a digraph.
pub(super) fn draw(graph: &Graph) -> String {
    let name = graph.bodies.first().map(String::as_str).unwrap_or_default();
    let mut text = format!("digraph \"{}\" {{\n", escape(name));
    for (body, name) in graph.bodies.iter().enumerate() {
        let indent = if body == 0 { "    " } else { "        " };
        if body > 0 {
            let _ = writeln!(text, "    subgraph cluster_{body} {{\n        label=\"{}\"", escape(name));
        }
        for (at, vertex) in graph.vertices.iter().enumerate().filter(|(_, vertex)| vertex.body == body) {
            let look = match vertex.shape {
                Shape::Round => "shape=oval",
                Shape::Step => "shape=box",
                Shape::Pivot => "shape=hexagon",
                Shape::Helper => "shape=box, peripheries=2",
                Shape::Child => "shape=parallelogram",
                Shape::Decision => "shape=diamond",
                Shape::Fork => "shape=cds",
                Shape::Undo => "shape=box, style=dashed",
            };
            let _ = writeln!(text, "{indent}n{at} [label=\"{}\", {look}]", escape(&vertex.text));
        }
        if body > 0 {
            text.push_str("    }\n");
        }
    }
    for edge in &graph.edges {
        let _ = match (edge.undo, edge.label.as_str()) {
            (true, _) => writeln!(text, "    n{} -> n{} [label=\"undo\", style=dashed]", edge.from, edge.to),
            (false, "") => writeln!(text, "    n{} -> n{}", edge.from, edge.to),
            (false, label) => writeln!(text, "    n{} -> n{} [label=\"{}\"]", edge.from, edge.to, escape(label)),
        };
    }
    text.push_str("}\n");
    text
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
}
