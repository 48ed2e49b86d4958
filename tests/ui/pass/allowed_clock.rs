#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow(allow(clock))]
async fn saga(name: String) -> saga_runtime::Result<()> {
    let _ = std::time::Instant::now();
    greet(name).await?;
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
