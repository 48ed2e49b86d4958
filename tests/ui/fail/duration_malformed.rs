use saga_runtime::prelude::*;

#[activity(timeout = "5 parsecs")]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
