#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    let held = matches!(greet(name.clone()).await, Ok(text) if text == greet(name.clone()).await?);
    assert!(matches!(greet(name).await, Ok(_)) || held);
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
