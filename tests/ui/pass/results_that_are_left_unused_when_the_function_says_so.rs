#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
#[allow(unused_must_use)]
async fn saga(name: String) -> saga_runtime::Result<()> {
    greet(name).await;
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
