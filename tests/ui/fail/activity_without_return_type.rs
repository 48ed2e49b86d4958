use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) {
    drop(name);
}

fn main() {}
