use saga_runtime::prelude::*;

struct Stock;

#[activity]
async fn greet(#[state(main)] stock: &Stock) -> saga_runtime::Result<()> {
    let _ = stock;
    Ok(())
}

fn main() {}
