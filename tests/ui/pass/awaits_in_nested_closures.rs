#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    let outer = |name: String| {
        let inner = |name: String| async move { greet(name).await };
        async move {
            let text = inner(name).await?;
            inner(text).await
        }
    };
    outer(name).await?;
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
