//! `durare`: PostgreSQL or a file.

use std::sync::Arc;

use durare::{DurableContext, DurableEngine, Tx, WorkflowOptions, params};

use crate::{Load, drive};

const ACCOUNTS: i64 = 1_000;

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

#[durare::transaction]
async fn set_up(ctx: &DurableContext, tx: &mut Tx<'_>) -> durare::Result<()> {
    tx.execute("CREATE TABLE IF NOT EXISTS ledger (account BIGINT PRIMARY KEY, cents BIGINT NOT NULL)", &params![])
        .await?;
    for account in 0..ACCOUNTS {
        let insert = "INSERT INTO ledger (account, cents) VALUES (?, 0) ON CONFLICT (account) DO NOTHING";
        tx.execute(insert, &params![account]).await?;
    }
    Ok(())
}

#[durare::transaction]
async fn increment(ctx: &DurableContext, tx: &mut Tx<'_>, account: i64) -> durare::Result<i64> {
    let row = tx.query_one("SELECT cents FROM ledger WHERE account = ?", &params![account]).await?;
    let cents = row.get::<i64>("cents") + 1;
    tx.execute("UPDATE ledger SET cents = ? WHERE account = ?", &params![cents, account]).await?;
    Ok(cents)
}

#[durare::workflow]
async fn set_up_ledger(ctx: DurableContext, _nothing: ()) -> durare::Result<()> {
    set_up(&ctx).await
}

#[durare::workflow]
async fn increments(ctx: DurableContext, first: u64) -> durare::Result<()> {
    for step in 0..10 {
        increment(&ctx, ((first + step * 37) as i64) % ACCOUNTS).await?;
    }
    Ok(())
}

/// Measures steps that write to a table in the transaction that records them.
pub(crate) async fn ledger(load: Load) -> anyhow::Result<()> {
    let engine = Arc::new(DurableEngine::connect(&load.url).await?.build().await?);
    engine.start_with(SetUpLedger, (), WorkflowOptions::with_id("set-up")).await?.await?;
    drive(&load, move |number| {
        let engine = Arc::clone(&engine);
        async move {
            let options = WorkflowOptions::with_id(format!("ledger-{number}"));
            engine.start_with(Increments, number * 7, options).await?.await?;
            Ok(())
        }
    })
    .await
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
