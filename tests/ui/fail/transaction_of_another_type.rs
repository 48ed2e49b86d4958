use saga_runtime::prelude::*;

#[activity(transaction)]
fn greet(#[transaction] tx: &String) -> saga_runtime::Result<String> {
    Ok(tx.clone())
}

fn main() {}
