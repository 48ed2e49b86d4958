use saga_runtime::prelude::*;

#[activity(read_only)]
async fn look(item: u32) -> saga_runtime::Result<bool> {
    Ok(item > 0)
}

/// Not the framework's.
#[durable(strict)]
async fn join_all(calls: Vec<saga_runtime::ActivityCall<look>>) -> saga_runtime::Result<()> {
    drop(calls);
    Ok(())
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    join_all(vec![look(item)]).await?;
    Ok(())
}

fn main() {}
