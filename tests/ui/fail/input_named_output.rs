use saga_runtime::prelude::*;

#[activity]
async fn greet(output: String) -> saga_runtime::Result<String> {
    Ok(output)
}

fn main() {}
