use saga_runtime::prelude::*;

async fn fetch() -> u32 {
    7
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let block = async move { fetch().await };
    block.await;
    Ok(())
}

fn main() {}
