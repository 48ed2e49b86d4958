use saga_runtime::prelude::*;

#[durable(timeout = "5s")]
async fn helper() -> u32 {
    7
}

fn main() {}
