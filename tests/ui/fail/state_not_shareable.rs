use saga_runtime::prelude::*;

struct Stock(std::cell::Cell<u32>);

#[activity]
async fn greet(#[state] stock: &Stock, name: String) -> saga_runtime::Result<String> {
    stock.0.set(1);
    Ok(name)
}

fn main() {
    let _ = Stock(std::cell::Cell::new(0));
}
