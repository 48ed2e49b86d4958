use saga_runtime::prelude::*;

#[activity(retriable, compensate = call_back())]
async fn ship() -> saga_runtime::Result<()> {
    Ok(())
}

#[activity]
async fn call_back() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
