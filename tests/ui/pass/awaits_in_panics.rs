#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    if name.is_empty() {
        panic!("{}", greet(name).await?);
    } else if name == "x" {
        unreachable!("{}", greet(name).await?);
    }
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
