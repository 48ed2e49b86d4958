use saga_runtime::prelude::*;

#[activity]
async fn greet(#[cfg(unix)] name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
