use saga_runtime::prelude::*;

#[activity]
async fn greet(#[state] name: &impl ToString) -> saga_runtime::Result<String> {
    Ok(name.to_string())
}

fn main() {}
