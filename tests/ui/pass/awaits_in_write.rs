#![deny(warnings)]

use std::fmt::Write as _;

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    let mut text = String::new();
    write!(text, "{}", greet(name.clone()).await?)?;
    writeln!(text, "{}", greet(name).await?)?;
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
