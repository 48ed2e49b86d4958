use saga_runtime::prelude::*;

#[activity]
async fn greet(#[state] names: &[String]) -> saga_runtime::Result<String> {
    Ok(names.concat())
}

fn main() {}
