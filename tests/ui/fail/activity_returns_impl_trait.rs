use saga_runtime::prelude::*;

#[activity]
async fn greet() -> saga_runtime::Result<impl std::fmt::Display> {
    Ok(String::new())
}

fn main() {}
