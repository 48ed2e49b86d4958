#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    let text = format!("{} {greeting}", greet(name.clone()).await?, greeting = greet(name).await?);
    drop(text);
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
