use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> String {
    name
}

fn main() {}
