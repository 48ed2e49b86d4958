#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    assert!(greet(name.clone()).await.is_ok(), "{}", greet(name.clone()).await?);
    assert_eq!(greet(name.clone()).await?, name);
    assert_ne!(greet(name.clone()).await?, "", "{}", greet(name).await?);
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
