use saga_runtime::prelude::*;

#[activity(timeout = "5s", timeout = "6s")]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
