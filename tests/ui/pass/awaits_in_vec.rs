#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    let texts = vec![greet(name.clone()).await?, greet(name.clone()).await?];
    let repeated = vec![greet(name).await?; 2];
    drop((texts, repeated));
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
