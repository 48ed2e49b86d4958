use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<impl std::fmt::Display> {
    Ok(String::new())
}

fn main() {}
