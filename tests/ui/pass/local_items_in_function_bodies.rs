//! Activities, workflows and helpers inside function bodies, twice under the same names.
#![deny(warnings, clippy::pedantic)]

use saga_runtime::prelude::*;

fn one() {
    #[activity(compensate = forget(name))]
    async fn greet(name: String) -> saga_runtime::Result<String> {
        Ok(format!("Hello {name}"))
    }
    #[activity]
    async fn forget(name: String) -> saga_runtime::Result<()> {
        drop(name);
        Ok(())
    }
    #[workflow]
    async fn saga(name: String) -> saga_runtime::Result<String> {
        Ok(twice(&name).await?)
    }
    #[durable]
    async fn twice(name: &str) -> Result<String, ActivityError<saga_runtime::Error>> {
        greet(name.to_owned()).await?;
        greet(name.to_owned()).await
    }
    let _ = saga("you".to_owned());
}

fn two() {
    #[activity]
    async fn greet() -> saga_runtime::Result<u32> {
        Ok(7)
    }
    let _ = greet();
}

pub fn main() {
    one();
    two();
}
