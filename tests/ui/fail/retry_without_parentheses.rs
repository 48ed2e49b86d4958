use saga_runtime::prelude::*;

#[activity(retry = 3)]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
