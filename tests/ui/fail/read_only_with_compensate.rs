use saga_runtime::prelude::*;

#[activity(read_only, compensate = forget(name))]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[activity]
async fn forget(name: String) -> saga_runtime::Result<()> {
    drop(name);
    Ok(())
}

fn main() {}
