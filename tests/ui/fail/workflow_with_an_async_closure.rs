use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let greet_all = async |name: String| greet(name).await;
    drop(greet_all);
    Ok(())
}

fn main() {}
