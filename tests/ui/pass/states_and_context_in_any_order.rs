//! Several states, of the same type as well, the context and inputs in any order.
#![deny(warnings, clippy::pedantic)]

use std::sync::Arc;

use saga_runtime::prelude::*;

trait Shop: Send + Sync {
    fn open(&self) -> bool;
}

struct Always;

impl Shop for Always {
    fn open(&self) -> bool {
        true
    }
}

#[activity]
async fn visit(
    minutes: u32,
    #[state] shop: &Arc<dyn Shop>,
    #[context] cx: &ActivityContext,
    #[state] street: &String,
    name: String,
    #[state] again: &String,
) -> saga_runtime::Result<bool> {
    Ok(shop.open() && minutes > cx.attempt() && street == again && !name.is_empty())
}

pub fn main() {
    let shop: Arc<dyn Shop> = Arc::new(Always);
    assert!(shop.open());
    let _ = visit(3, "you".to_owned());
    let _ = visit::plain;
}
