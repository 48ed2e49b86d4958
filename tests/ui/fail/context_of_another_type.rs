use saga_runtime::prelude::*;

#[activity]
async fn greet(#[context] cx: &String) -> saga_runtime::Result<String> {
    Ok(cx.clone())
}

fn main() {}
