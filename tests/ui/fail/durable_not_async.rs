use saga_runtime::prelude::*;

#[durable]
fn helper() -> u32 {
    7
}

fn main() {}
