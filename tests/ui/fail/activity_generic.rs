use saga_runtime::prelude::*;

#[activity]
async fn greet<T: ToString>(name: T) -> saga_runtime::Result<String> {
    Ok(name.to_string())
}

fn main() {}
