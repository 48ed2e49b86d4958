use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

async fn ordinary() {
    let _ = greet(String::new()).await;
}

fn main() {
    drop(ordinary());
}
