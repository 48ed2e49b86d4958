#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    let pair = (greet(name.clone()).await?, [greet(name.clone()).await?]);
    let nested = greet(greet(name.clone()).await?).await?;
    let length = greet(name).await?.len() + usize::from(pair.0 == nested);
    assert!(length < 7 || pair.1.len() == 1);
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
