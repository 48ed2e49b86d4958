use saga_runtime::prelude::*;

#[activity(name = " ")]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
