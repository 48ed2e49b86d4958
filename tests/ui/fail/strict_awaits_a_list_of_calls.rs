use saga_runtime::prelude::*;

#[activity(read_only)]
async fn look(item: u32) -> saga_runtime::Result<bool> {
    Ok(item > 0)
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    let calls: Vec<_> = (0..item).map(|item| look(item)).collect();
    join_all(calls).await;
    Ok(())
}

fn main() {}
