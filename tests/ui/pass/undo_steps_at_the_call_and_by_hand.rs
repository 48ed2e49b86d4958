#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[activity]
async fn say_sorry(name: String) -> saga_runtime::Result<()> {
    drop(name);
    Ok(())
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    undo(say_sorry(name.clone()));
    greet(name.clone()).compensate_with(say_sorry(name.clone())).await?;
    greet(name).no_compensation().await?;
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
