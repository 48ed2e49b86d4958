use saga_runtime::prelude::*;

struct Stock;

#[activity]
async fn greet(#[state] #[context] stock: &Stock, name: String) -> saga_runtime::Result<String> {
    let Stock = stock;
    Ok(name)
}

fn main() {
    let _ = Stock;
}
