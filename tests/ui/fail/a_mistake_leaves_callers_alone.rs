use saga_runtime::prelude::*;

#[activity(timeuot = "5s")]
async fn greet(#[state] stock: &u32, name: String) -> saga_runtime::Result<String> {
    let _ = stock;
    Ok(name)
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let greeting: String = greet(String::new()).await?;
    drop(greeting);
    let plain = greet::plain(&7, String::new());
    drop(plain);
    Ok(())
}

fn main() {}
