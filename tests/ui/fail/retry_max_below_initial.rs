use saga_runtime::prelude::*;

#[activity(retry(initial = "10s", max = "5s"))]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
