use saga_runtime::prelude::*;

#[activity(transaction)]
fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
