use saga_runtime::prelude::*;

#[activity(timeuot = "5s")]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
