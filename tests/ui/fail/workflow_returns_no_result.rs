use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> u32 {
    7
}

fn main() {}
