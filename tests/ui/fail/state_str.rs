use saga_runtime::prelude::*;

#[activity]
async fn greet(#[state] name: &str) -> saga_runtime::Result<String> {
    Ok(name.to_owned())
}

fn main() {}
