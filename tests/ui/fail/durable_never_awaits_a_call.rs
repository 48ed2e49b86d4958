use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[durable]
async fn helper() {
    greet(String::new());
}

fn main() {}
