//! Two steps wait for people: the run sleeps in the store, without a process, until they answer.
//!
//! Run it: `cargo run --bin approval`

use std::time::Duration;

use saga_examples::Place;
use saga_runtime::RunHandle;
use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_runtime::store::wire::Entry;
use serde::{Deserialize, Serialize};

/// A manager's answer, for the second step.
#[derive(Debug, Serialize, Deserialize, Event)]
struct Approval {
    by: String,
}

/// The bank's answer, for the fourth step.
#[derive(Debug, Serialize, Deserialize, Event)]
struct BankRelease {
    reference: String,
}

#[activity]
async fn prepare(invoice: u32) -> saga_runtime::Result<String> {
    println!("step 1: invoice {invoice} is prepared");
    Ok(format!("INV-{invoice}"))
}

#[activity]
async fn record_approval(invoice: String, by: String) -> saga_runtime::Result<()> {
    println!("step 2: {invoice} is approved by {by}");
    Ok(())
}

#[activity]
async fn order_payment(invoice: String) -> saga_runtime::Result<()> {
    println!("step 3: the payment of {invoice} is ordered");
    Ok(())
}

#[activity]
async fn close(invoice: String, reference: String) -> saga_runtime::Result<String> {
    println!("step 4: {invoice} is closed with {reference}");
    Ok(format!("{invoice} paid"))
}

#[workflow]
async fn pay_invoice(number: u32) -> saga_runtime::Result<String> {
    let invoice = prepare(number).await?;
    let approval = event::<Approval>().await;
    record_approval(invoice.clone(), approval.by).await?;
    order_payment(invoice.clone()).await?;
    let release = event::<BankRelease>().await;
    Ok(close(invoice, release.reference).await?)
}

/// One life of the program: it works until so many steps are done and the run waits or has ended,
/// and goes.
async fn live(
    place: &Place,
    steps: usize,
    visit: impl AsyncFnOnce(&RunHandle<pay_invoice>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let engine = place.engine().await?.only::<pay_invoice>().start().await?;
    let run = engine.client().start(pay_invoice(12)).id("invoice-12").replace_finished().await?;
    visit(&run).await?;
    let state = loop {
        let shown = engine.client().show("invoice-12").await?;
        let entries = shown.records.iter().flat_map(|record| &record.entries);
        let done = entries.filter(|entry| matches!(entry, Entry::StepEnded(_))).count();
        if done == steps && matches!(shown.view.state, RunState::Waiting | RunState::Completed) {
            break shown.view.state;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    engine.shutdown().await;
    println!("-- the process ends; invoice-12 is {state}");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    saga_examples::init_logging();
    let place = Place::from_args()?;
    live(&place, 1, async |_| Ok(())).await?;
    live(&place, 3, async |run| Ok(run.send(Approval { by: "Ada".to_owned() }).await?)).await?;
    live(&place, 4, async |run| {
        run.send(BankRelease { reference: "REF-99".to_owned() }).await?;
        println!("result: {}", run.result().await?);
        Ok(())
    })
    .await
}
