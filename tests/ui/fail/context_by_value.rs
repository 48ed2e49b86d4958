use saga_runtime::prelude::*;

#[activity]
async fn greet(#[context] cx: ActivityContext) -> saga_runtime::Result<String> {
    Ok(cx.activity().to_owned())
}

fn main() {}
