use saga_runtime::prelude::*;

#[activity(transaction)]
async fn greet(#[transaction] tx: &mut String) -> saga_runtime::Result<String> {
    Ok(tx.clone())
}

fn main() {}
