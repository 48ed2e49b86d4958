use saga_runtime::prelude::*;

trait Stock: Send + Sync {}

#[activity]
async fn greet(#[state] _stock: &dyn Stock, name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
