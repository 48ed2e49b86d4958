use saga_runtime::prelude::*;

#[activity(compensate = forget(name), pivot)]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[activity]
async fn forget(name: String) -> saga_runtime::Result<()> {
    drop(name);
    Ok(())
}

fn main() {}
