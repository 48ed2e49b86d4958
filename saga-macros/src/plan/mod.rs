//! The plan of a body: its steps, branches, loops and exits, as its syntax shows them. The plan
//! becomes a constant beside the workflow; strict sagas are checked along it.

mod calls;
mod macros;
pub(crate) mod strict;
#[cfg(test)]
mod tests;
mod walk;

use proc_macro2::{Group, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Block, ExprPath};

/// The code that a step awaits.
#[derive(Debug, Clone)]
pub(crate) struct StepCode {
    /// What the message calls it.
    pub(crate) shown: String,
    pub(crate) span: Span,
    pub(crate) source: Source,
}

impl StepCode {
    /// Whether it calls the function of this name, by the name alone.
    pub(crate) fn is_call_of(&self, name: &syn::Ident) -> bool {
        matches!(&self.source, Source::Call { path, .. } if path.path.is_ident(name))
    }
}

/// What is awaited, as far as syntax shows it.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// `path(…)`, with builder calls.
    Call { path: ExprPath, arguments: usize, builders: Vec<syn::Ident>, is_local: bool },
    /// An operation of the framework that changes nothing about the order.
    Own,
    /// `spawn(run(…))` or `continue_as_new(run(…))`, with builder calls of the inner call.
    Run { operation: ExprPath, run: ExprPath, builders: Vec<syn::Ident>, spawns: bool },
    /// Something else: a variable, a field, what a method returns.
    Hidden,
}

/// What a body does, in the order in which it does it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Step { index: usize, line: usize, kind: &'static str, target: String, detail: String },
    Undo { line: usize, target: String },
    Exit { line: usize },
    Return { line: usize, detail: String },
    Diverges { line: usize },
    Branch { line: usize, detail: String, arms: Vec<Arm> },
    Loop { line: usize, detail: String, endless: bool, head: Vec<Node>, body: Vec<Node> },
    Labelled { line: usize, body: Vec<Node> },
    Break { line: usize, depth: usize },
    Continue { line: usize, depth: usize },
    Block { line: usize, body: Vec<Node> },
    Attempt { line: usize, body: Vec<Node> },
    Join { line: usize, kind: &'static str, branches: Vec<Arm> },
    Each { line: usize, kind: &'static str, detail: String, body: Vec<Node> },
}

/// One way of several, and what is done there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arm {
    pub(crate) label: String,
    pub(crate) body: Vec<Node>,
}

/// The plan of a body.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<Node>,
    /// The awaited code of each step, by its index.
    pub(crate) steps: Vec<StepCode>,
    /// Operations of the framework that are known by their names: the path, and the type that the
    /// framework's own has.
    pub(crate) operations: Vec<(syn::ExprPath, &'static str)>,
    /// Imports at the head of the body: what its paths may go by.
    pub(crate) uses: Vec<syn::ItemUse>,
}

impl Plan {
    /// The plan of a body as the user wrote it; an error while it is half written.
    pub(crate) fn of(body: &Group) -> syn::Result<Self> {
        let group = TokenStream::from(proc_macro2::TokenTree::Group(body.clone()));
        let block: Block = syn::parse2(group)?;
        Ok(walk::walk(&block))
    }

    /// The plan of a body that cannot be read: nobody knows what it awaits.
    pub(crate) fn unknown() -> Self {
        let detail = "…".to_owned();
        Self {
            nodes: vec![Node::Step { index: 0, line: 0, kind: "Other", target: String::new(), detail }],
            ..Self::default()
        }
    }

    /// The nodes as a constant expression.
    pub(crate) fn tokens(&self, private: &TokenStream, span: Span) -> TokenStream {
        nodes(&self.nodes, private, span)
    }
}

/// The line on which a span begins; 0 where no compiler runs.
pub(crate) fn line(span: Span) -> usize {
    if proc_macro::is_available() { span.unwrap().line() } else { 0 }
}

/// A constant of the runtime's type `Plan`.
pub(crate) fn constant(
    plan: &Plan,
    name: &str,
    version: u32,
    strict: bool,
    of: &proc_macro2::Ident,
    private: &TokenStream,
) -> TokenStream {
    let span = crate::krate::located(of.span());
    let (nodes, line) = (plan.tokens(private, span), number(line(of.span())));
    let function = syn::ext::IdentExt::unraw(of).to_string();
    quote_spanned! {span=>
        #private::plan::Plan {
            name: #name,
            version: #version,
            function: #function,
            module: ::core::module_path!(),
            file: ::core::file!(),
            line: #line,
            strict: #strict,
            nodes: #nodes,
        }
    }
}

fn nodes(list: &[Node], private: &TokenStream, span: Span) -> TokenStream {
    let list = list.iter().map(|node| node_tokens(node, private, span));
    quote_spanned!(span=> &[#(#list),*])
}

fn arms(list: &[Arm], private: &TokenStream, span: Span) -> TokenStream {
    let list = list.iter().map(|arm| {
        let (label, body) = (&arm.label, nodes(&arm.body, private, span));
        quote_spanned!(span=> #private::plan::Arm { label: #label, nodes: #body })
    });
    quote_spanned!(span=> &[#(#list),*])
}

fn number(number: usize) -> proc_macro2::Literal {
    proc_macro2::Literal::u32_unsuffixed(u32::try_from(number).unwrap_or(u32::MAX))
}

fn node_tokens(node: &Node, private: &TokenStream, span: Span) -> TokenStream {
    let nested = |list: &[Node]| nodes(list, private, span);
    let ident = |name: &str| proc_macro2::Ident::new(name, span);
    let inner = match node {
        Node::Step { index, line, kind, target, detail } => {
            let (index, line, kind) = (number(*index), number(*line), ident(kind));
            quote!(Step(#private::plan::Step {
                index: #index, line: #line, kind: #private::plan::StepKind::#kind, target: #target, detail: #detail
            }))
        }
        Node::Undo { line, target } => {
            let line = number(*line);
            quote!(Undo { line: #line, target: #target })
        }
        Node::Exit { line } => {
            let line = number(*line);
            quote!(Exit { line: #line })
        }
        Node::Return { line, detail } => {
            let line = number(*line);
            quote!(Return { line: #line, detail: #detail })
        }
        Node::Diverges { line } => {
            let line = number(*line);
            quote!(Diverges { line: #line })
        }
        Node::Branch { line, detail, arms: list } => {
            let (line, list) = (number(*line), arms(list, private, span));
            quote!(Branch { line: #line, detail: #detail, arms: #list })
        }
        Node::Loop { line, detail, endless, head, body } => {
            let (line, head, body) = (number(*line), nested(head), nested(body));
            quote!(Loop { line: #line, detail: #detail, endless: #endless, head: #head, body: #body })
        }
        Node::Labelled { line, body } => {
            let (line, body) = (number(*line), nested(body));
            quote!(Labelled { line: #line, body: #body })
        }
        Node::Break { line, depth } => {
            let (line, depth) = (number(*line), number(*depth));
            quote!(Break { line: #line, depth: #depth })
        }
        Node::Continue { line, depth } => {
            let (line, depth) = (number(*line), number(*depth));
            quote!(Continue { line: #line, depth: #depth })
        }
        Node::Block { line, body } => {
            let (line, body) = (number(*line), nested(body));
            quote!(Block { line: #line, body: #body })
        }
        Node::Attempt { line, body } => {
            let (line, body) = (number(*line), nested(body));
            quote!(Attempt { line: #line, body: #body })
        }
        Node::Join { line, kind, branches } => {
            let (line, kind, branches) = (number(*line), ident(kind), arms(branches, private, span));
            quote!(Join { line: #line, kind: #private::plan::JoinKind::#kind, branches: #branches })
        }
        Node::Each { line, kind, detail, body } => {
            let (line, kind, body) = (number(*line), ident(kind), nested(body));
            quote!(Each { line: #line, kind: #private::plan::JoinKind::#kind, detail: #detail, body: #body })
        }
    };
    quote_spanned!(span=> #private::plan::Node::#inner)
}
