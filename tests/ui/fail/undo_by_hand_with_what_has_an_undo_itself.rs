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

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    undo(release(7));
    Ok(())
}

fn main() {}
