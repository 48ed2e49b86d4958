use saga_runtime::prelude::*;

#[activity(read_only = true)]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
