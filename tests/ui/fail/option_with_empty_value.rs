use saga_runtime::prelude::*;

#[activity(timeout = , read_only)]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
