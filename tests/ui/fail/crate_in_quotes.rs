use saga_runtime::prelude::*;

#[activity(crate = "saga_runtime")]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
