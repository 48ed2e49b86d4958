//! A subscription of twelve months: each month is an execution with a fresh journal, under the same
//! id. Vouchers that were sent on the first day are kept for the months that take them.
//!
//! Run it: `cargo run --bin subscription`

use std::time::Duration;

use saga_examples::Place;
use saga_runtime::prelude::*;
use saga_runtime::store::Query;
use serde::{Deserialize, Serialize};

/// A month, for those who cannot wait.
const MONTH: Duration = Duration::from_millis(10);

/// Pays for one month.
#[derive(Debug, Serialize, Deserialize, Event)]
struct Voucher {
    code: String,
}

#[activity]
async fn redeem(month: u32, voucher: Voucher) -> saga_runtime::Result<u32> {
    println!("month {month}: paid with voucher {}", voucher.code);
    Ok(0)
}

#[activity]
async fn charge(customer: String, month: u32) -> saga_runtime::Result<u32> {
    println!("month {month}: {customer} pays 990 cents");
    Ok(990)
}

#[workflow]
async fn subscription(customer: String, month: u32, paid: u32) -> saga_runtime::Result<u32> {
    let paid = paid
        + match event::<Voucher>().timeout(Duration::ZERO).await {
            Ok(voucher) => redeem(month, voucher).await?,
            Err(Elapsed) => charge(customer.clone(), month).await?,
        };
    sleep(MONTH).await;
    if month == 12 {
        return Ok(paid);
    }
    continue_as_new(subscription(customer, month + 1, paid)).await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    saga_examples::init_logging();
    let place = Place::from_args()?;
    let engine = place.engine().await?.only::<subscription>().start().await?;
    let client = engine.client();
    let voucher = |code: &str| Voucher { code: code.to_owned() };
    let start = client.start(subscription("Ada".to_owned(), 1, 0)).id("ada").attribute("plan", "basic");
    let run = start.with_event(voucher("SPRING")).with_event(voucher("FRIEND")).await?;
    println!("a year cost {} cents", run.result().await?);

    let year = Query { id_prefix: Some("ada".to_owned()), limit: 100, ..Query::default() };
    let executions = client.list(&year).await?.runs;
    println!("executions of `ada`: {}, of which the last is {}", executions.len(), executions[0].state);
    let records = client.show("ada").await?.records.len();
    println!("its journal has {records} records; its plan is {}", executions[0].attributes[0].1);
    engine.shutdown().await;
    Ok(())
}
