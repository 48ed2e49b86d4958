use saga_runtime::prelude::*;

fn spawn(_: impl Future) {}

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    spawn(async { greet(String::new()).await });
    Ok(())
}

fn main() {}
