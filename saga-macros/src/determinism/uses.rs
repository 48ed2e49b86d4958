//! The `use` declarations in a body: which path a name stands for.

use std::collections::HashMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::{ItemUse, UseTree};

/// The names that a block and those around it import.
#[derive(Clone, Default)]
pub(crate) struct Uses(HashMap<String, Vec<String>>);

impl Uses {
    /// These names, and those that the declarations of a block add, wherever in it they stand.
    pub(crate) fn within(&self, block: &[TokenTree]) -> Self {
        let mut uses = self.clone();
        let mut at = 0;
        while at < block.len() {
            match declaration(block, at) {
                Some(length) => {
                    let tokens: TokenStream = block[at..at + length].iter().cloned().collect();
                    if let Ok(item) = syn::parse2::<ItemUse>(tokens) {
                        uses.add(&item.tree, &mut Vec::new());
                    }
                    at += length;
                }
                None => at += 1,
            }
        }
        uses
    }

    fn add(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.unraw().to_string());
                self.add(&path.tree, before);
                before.pop();
            }
            UseTree::Name(name) => self.name(&name.ident, &name.ident, before),
            UseTree::Rename(rename) => self.name(&rename.ident, &rename.rename, before),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add(tree, before);
                }
            }
            UseTree::Glob(_) => {}
        }
    }

    fn name(&mut self, ident: &syn::Ident, alias: &syn::Ident, before: &[String]) {
        let mut path = before.to_vec();
        if ident != "self" {
            path.push(ident.unraw().to_string());
        }
        let alias = if alias == "self" { path.last().cloned() } else { Some(alias.unraw().to_string()) };
        if let Some(alias) = alias {
            self.0.insert(alias, path);
        }
    }

    /// The path in full. A name may stand for one that begins with another imported name.
    pub(crate) fn resolve(&self, mut path: Vec<String>) -> Vec<String> {
        for _ in 0..8 {
            let Some(full) = path.first().and_then(|root| self.0.get(root)) else { break };
            if full.first() == path.first() && full.len() == 1 {
                break;
            }
            let own = full.first() == path.first();
            path.splice(0..1, full.iter().cloned());
            if own {
                break;
            }
        }
        path
    }

    /// Whether the name was imported in the body.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// How many trees a `use …;` at this place has.
pub(crate) fn declaration(trees: &[TokenTree], at: usize) -> Option<usize> {
    let is_punct = |tree: Option<&TokenTree>, c| matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == c);
    if !matches!(&trees[at], TokenTree::Ident(word) if word == "use") || is_punct(trees.get(at + 1), '<') {
        return None;
    }
    let end = trees[at..].iter().position(|tree| is_punct(Some(tree), ';'))?;
    Some(end + 1)
}
