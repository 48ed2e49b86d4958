#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    if greet(name.clone()).await?.is_empty() && greet(name.clone()).await.is_err() {
        return Ok(());
    }
    let Ok(text) = greet(name.clone()).await else { return Ok(()) };
    match text.as_str() {
        "x" if greet(name.clone()).await.is_ok() => {}
        _ => drop(greet(name.clone()).await?),
    }
    while let Ok(text) = greet(name.clone()).await {
        if text.len() > 7 {
            break;
        }
    }
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
