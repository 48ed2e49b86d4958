use saga_runtime::prelude::*;

#[durable]
async fn helper(#[state] stock: &u32) {
    let _ = stock;
}

fn main() {}
