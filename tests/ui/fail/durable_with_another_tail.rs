use saga_runtime::prelude::*;

#[durable]
async fn helper() -> u32 {
    "seven"
}

fn main() {}
