use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let shared = std::rc::Rc::new(7);
    greet(shared.to_string()).await?;
    drop(shared);
    Ok(())
}

fn main() {}
