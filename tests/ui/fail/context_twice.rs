use saga_runtime::prelude::*;

#[activity]
async fn greet(#[context] a: &ActivityContext, #[context] b: &ActivityContext) -> saga_runtime::Result<String> {
    Ok(format!("{a:?}{b:?}"))
}

fn main() {}
