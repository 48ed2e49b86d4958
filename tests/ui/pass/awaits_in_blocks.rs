#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    let text = async { greet(name.clone()).await }.await?;
    let later = async move { greet(text).await };
    later.await?;
    let deep = async { async { greet(name).await }.await };
    deep.await?;
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
