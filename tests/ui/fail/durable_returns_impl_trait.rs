use saga_runtime::prelude::*;

#[durable]
async fn helper() -> impl ToString {
    7
}

fn main() {}
