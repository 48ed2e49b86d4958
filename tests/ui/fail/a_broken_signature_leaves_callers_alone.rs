use saga_runtime::prelude::*;

#[activity]
async fn greet(name: &str) -> saga_runtime::Result<String> {
    Ok(name.to_owned())
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let greeting: String = greet("you").await?;
    drop(greeting);
    Ok(())
}

fn main() {}
