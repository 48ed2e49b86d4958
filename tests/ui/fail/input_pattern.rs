use saga_runtime::prelude::*;

#[activity]
async fn greet((first, last): (String, String)) -> saga_runtime::Result<String> {
    Ok(first + &last)
}

fn main() {}
