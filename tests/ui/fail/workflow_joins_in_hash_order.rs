use std::collections::HashMap;

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(map: HashMap<String, u32>) -> saga_runtime::Result<()> {
    join_all(map.into_keys().map(greet)).await;
    Ok(())
}

fn main() {}
