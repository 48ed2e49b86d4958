//! The macros as plain functions over tokens: a crate of macros can export nothing else, so its
//! modules are compiled once more.

// Not there outside of a compiler, which it says of itself.
extern crate proc_macro;

#[path = "../../../../saga-macros/src/activity/mod.rs"]
mod activity;
#[path = "../../../../saga-macros/src/attr.rs"]
mod attr;
#[path = "../../../../saga-macros/src/awaits.rs"]
mod awaits;
#[path = "../../../../saga-macros/src/classify.rs"]
mod classify;
#[path = "../../../../saga-macros/src/compensate.rs"]
mod compensate;
#[path = "../../../../saga-macros/src/determinism/mod.rs"]
mod determinism;
#[path = "../../../../saga-macros/src/diag.rs"]
mod diag;
#[path = "../../../../saga-macros/src/docs.rs"]
mod docs;
#[path = "../../../../saga-macros/src/durable.rs"]
mod durable;
#[path = "../../../../saga-macros/src/duration.rs"]
mod duration;
#[path = "../../../../saga-macros/src/event.rs"]
mod event;
#[path = "../../../../saga-macros/src/function.rs"]
mod function;
#[path = "../../../../saga-macros/src/item.rs"]
mod item;
#[path = "../../../../saga-macros/src/krate.rs"]
mod krate;
#[path = "../../../../saga-macros/src/plan/mod.rs"]
mod plan;
#[path = "../../../../saga-macros/src/workflow.rs"]
mod workflow;

use proc_macro2::TokenStream;

/// What each attribute makes of an item with these options.
pub fn attributes(options: &TokenStream, item: &TokenStream) -> [TokenStream; 3] {
    [
        activity::activity(options.clone(), item),
        workflow::workflow(options.clone(), item),
        durable::durable(options.clone(), item),
    ]
}

/// What each derive makes of an item.
pub fn derives(item: &TokenStream) -> [TokenStream; 2] {
    [classify::classify(item.clone()), event::event(item.clone())]
}
