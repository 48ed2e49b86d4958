use saga_runtime::prelude::*;

struct Stock;

#[activity]
async fn greet(#[state] stock: Stock, name: String) -> saga_runtime::Result<String> {
    drop(stock);
    Ok(name)
}

fn main() {
    let _ = Stock;
}
