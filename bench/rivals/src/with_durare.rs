//! `durare`: PostgreSQL or a file.

use std::sync::Arc;

use durare::{DurableContext, DurableEngine, WorkflowOptions};

use crate::{Load, drive};

#[durare::step]
async fn nothing(ctx: &DurableContext, number: u32) -> durare::Result<u32> {
    Ok(number)
}

#[durare::workflow]
async fn no_op_steps(ctx: DurableContext, count: u32) -> durare::Result<u32> {
    let mut sum = 0_u32;
    for number in 0..count {
        sum = sum.wrapping_add(nothing(&ctx, number).await?);
    }
    Ok(sum)
}

/// Measures.
pub(crate) async fn run(load: Load) -> anyhow::Result<()> {
    let engine = Arc::new(DurableEngine::connect(&load.url).await?.build().await?);
    let steps = load.steps;
    drive(&load, move |number| {
        let engine = Arc::clone(&engine);
        async move {
            let options = WorkflowOptions::with_id(format!("run-{number}"));
            engine.start_with(NoOpSteps, steps, options).await?.await?;
            Ok(())
        }
    })
    .await
}
