use saga_runtime::prelude::*;

#[workflow]
async fn saga<'a>() -> saga_runtime::Result<&'a str> {
    Ok("")
}

fn main() {}
