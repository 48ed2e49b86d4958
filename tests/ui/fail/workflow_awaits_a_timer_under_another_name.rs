use std::time::Duration;

use saga_runtime::prelude::*;
use tokio::time::sleep as rest;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    rest(Duration::ZERO).await;
    Ok(())
}

fn main() {}
