#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow(allow(threads))]
async fn saga(name: String) -> saga_runtime::Result<()> {
    drop(std::thread::spawn(|| 7).join());
    greet(name).await?;
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
