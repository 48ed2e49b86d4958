use saga_runtime::prelude::*;

#[activity(compensate = take_again(id))]
async fn release(id: u64) -> saga_runtime::Result<()> {
    let _ = id;
    Ok(())
}

#[activity]
async fn take_again(id: u64) -> saga_runtime::Result<()> {
    let _ = id;
    Ok(())
}

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    greet(String::new()).compensate_with(release(7)).await?;
    Ok(())
}

fn main() {}
