use saga_runtime::prelude::*;

async fn fetch() -> u32 {
    7
}

#[durable]
async fn helper() -> u32 {
    fetch().await
}

fn main() {}
