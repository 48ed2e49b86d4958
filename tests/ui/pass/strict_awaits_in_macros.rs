#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity(read_only)]
async fn look(item: u32) -> saga_runtime::Result<bool> {
    Ok(item > 0)
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    let looked = vec![look(item).await?, look(item + 1).await?];
    let repeated = vec![look(item).await?; 3];
    assert!(matches!(look(item).await, Ok(true)), "{} {repeated:?}", looked[0] == look(item).await?);
    Ok(())
}

pub fn main() {
    assert!(order::PLAN.strict);
}
