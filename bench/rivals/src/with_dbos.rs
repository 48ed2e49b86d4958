//! `dbos`: one system database on PostgreSQL.

use std::sync::Arc;

use dbos::{Config, DBOS, Error, step};

use crate::{Load, drive};

/// Measures.
pub(crate) async fn run(load: Load) -> anyhow::Result<()> {
    let dbos = DBOS::new(Config::new("saga-rivals", load.url.clone()));
    let workflow = dbos.register_workflow("steps", |count: u32| async move {
        let mut sum = 0_u32;
        for number in 0..count {
            sum = sum.wrapping_add(step("nothing", move || async move { Ok::<u32, Error>(number) }).await?);
        }
        Ok::<u32, Error>(sum)
    })?;
    dbos.launch().await?;
    let (workflow, steps) = (Arc::new(workflow), load.steps);
    drive(&load, move |_| {
        let workflow = Arc::clone(&workflow);
        async move {
            workflow.start(steps).await?.result().await?;
            Ok(())
        }
    })
    .await?;
    dbos.shutdown().await;
    Ok(())
}
