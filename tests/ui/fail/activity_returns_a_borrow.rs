use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<&str> {
    drop(name);
    Ok("hello")
}

fn main() {}
