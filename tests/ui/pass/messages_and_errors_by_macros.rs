#![deny(warnings)]

use anyhow::{anyhow, bail, ensure};
use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[durable]
async fn twice(name: &str) -> anyhow::Result<String> {
    ensure!(!greet(name.to_owned()).await?.is_empty(), "no name");
    if name == "nobody" {
        bail!("{} is not greeted", greet(name.to_owned()).await?);
    }
    greet(name.to_owned()).await.map_err(|error| anyhow!("{name} is not greeted: {error}"))
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<String> {
    log::info!("greeting {name}");
    tracing::info!(name, "greeting");
    let greeted = twice(&name).await.map_err(saga_runtime::Error::msg)?;
    let checked: anyhow::Result<()> = async {
        let again = greet(greeted.clone()).await?;
        log::debug!("{again}");
        ensure!(again == greeted);
        Ok(())
    }
    .await;
    if let Err(error) = checked {
        tracing::error!(%error, "not the same");
    }
    Ok(greeted)
}

pub fn main() {
    let _ = saga(String::new());
}
