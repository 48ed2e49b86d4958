use saga_runtime::prelude::*;

#[durable]
async fn helper(a: &str, b: &str) -> &str {
    if a.is_empty() { b } else { a }
}

fn main() {}
