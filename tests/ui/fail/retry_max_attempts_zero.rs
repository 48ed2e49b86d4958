use saga_runtime::prelude::*;

#[activity(retry(max_attempts = 0))]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
