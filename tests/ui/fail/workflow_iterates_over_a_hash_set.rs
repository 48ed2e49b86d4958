use std::collections::HashSet;

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(names: HashSet<String>) -> saga_runtime::Result<()> {
    for name in names.iter() {
        greet(name.clone()).await?;
    }
    Ok(())
}

fn main() {}
