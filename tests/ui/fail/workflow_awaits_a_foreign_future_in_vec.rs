use saga_runtime::prelude::*;

async fn fetch() -> u32 {
    7
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = vec![fetch().await];
    Ok(())
}

fn main() {}
