//! Drawing with Mermaid.

use std::fmt::Write as _;

use super::graph::{Graph, Shape};

/// The text of a flowchart.
pub(super) fn draw(graph: &Graph) -> String {
    let mut text = String::from("flowchart TD\n");
    for (body, name) in graph.bodies.iter().enumerate() {
        let indent = if body == 0 { "    " } else { "        " };
        if body > 0 {
            let _ = writeln!(text, "    subgraph {}", escape(name));
        }
        for (at, vertex) in graph.vertices.iter().enumerate().filter(|(_, vertex)| vertex.body == body) {
            let (open, close) = match vertex.shape {
                Shape::Round => ("([", "])"),
                Shape::Step => ("[", "]"),
                Shape::Pivot => ("{{", "}}"),
                Shape::Helper => ("[[", "]]"),
                Shape::Child => ("[/", "/]"),
                Shape::Decision => ("{", "}"),
                Shape::Fork => (">", "]"),
                Shape::Undo => ("(", ")"),
            };
            let _ = writeln!(text, "{indent}n{at}{open}\"{}\"{close}", escape(&vertex.text));
        }
        if body > 0 {
            let _ = writeln!(text, "    end");
        }
    }
    for edge in &graph.edges {
        let _ = match (edge.undo, edge.label.as_str()) {
            (true, _) => writeln!(text, "    n{} -. undo .-> n{}", edge.from, edge.to),
            (false, "") => writeln!(text, "    n{} --> n{}", edge.from, edge.to),
            (false, label) => writeln!(text, "    n{} -- \"{}\" --> n{}", edge.from, escape(label), edge.to),
        };
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;").replace('\n', " ")
}
