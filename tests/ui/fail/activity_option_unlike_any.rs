use saga_runtime::prelude::*;

#[activity(color = "red")]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
