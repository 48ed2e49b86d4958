#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    async fn ordinary(name: String) -> String {
        println!("{:?}", std::time::Instant::now());
        std::future::ready(name).await
    }
    drop(ordinary(name.clone()));
    greet(name).await?;
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
