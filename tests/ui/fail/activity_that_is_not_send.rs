use saga_runtime::prelude::*;

async fn fetch() -> u32 {
    7
}

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    let shared = std::rc::Rc::new(name);
    fetch().await;
    Ok(shared.to_string())
}

fn main() {}
