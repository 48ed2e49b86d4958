use saga_runtime::prelude::*;

#[activity(retry(max = "50ms"))]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
