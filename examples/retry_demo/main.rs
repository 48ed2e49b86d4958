//! Four activities, of which the third fails three times: it is repeated after one, two and four
//! seconds, and the first two never run again.
//!
//! Run it: `cargo run --bin retry_demo` (it takes seven seconds)

use std::sync::atomic::{AtomicU32, Ordering};

use saga_examples::Place;
use saga_runtime::prelude::*;
use saga_runtime::store::wire::Entry;

/// A gateway that is away for the first three calls.
#[derive(Default)]
struct Gateway {
    calls: AtomicU32,
}

#[activity]
async fn validate(order: u32) -> saga_runtime::Result<u32> {
    println!("validate order {order}");
    Ok(order)
}

#[activity]
async fn reserve(order: u32) -> saga_runtime::Result<String> {
    println!("reserve stock for order {order}");
    Ok(format!("R-{order}"))
}

#[activity(retry(max_attempts = 5, initial = "1s", max = "10s", multiplier = 2.0, jitter = 0.0))]
async fn charge(
    #[state] gateway: &Gateway,
    #[context] cx: &ActivityContext,
    order: u32,
) -> saga_runtime::Result<String> {
    if gateway.calls.fetch_add(1, Ordering::Relaxed) < 3 {
        println!("charge order {order}, attempt {}: the gateway is away", cx.attempt());
        return Err(saga_runtime::Error::msg("the gateway is away"));
    }
    println!("charge order {order}, attempt {}: charged", cx.attempt());
    Ok(format!("P-{order}"))
}

#[activity]
async fn ship(reservation: String, payment: String) -> saga_runtime::Result<String> {
    println!("ship {reservation}, paid by {payment}");
    Ok(format!("{reservation} shipped"))
}

#[workflow]
async fn order_pipeline(order: u32) -> saga_runtime::Result<String> {
    let order = validate(order).await?;
    let reservation = reserve(order).await?;
    let payment = charge(order).await?;
    Ok(ship(reservation, payment).await?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    saga_examples::init_logging();
    let place = Place::from_args()?;
    let engine = place.engine().await?.state(Gateway::default()).only::<order_pipeline>().start().await?;
    let run = engine.client().start(order_pipeline(7)).id("order-7").replace_finished().await?;
    println!("result: {}", run.result().await?);

    println!("what the journal says of the attempts that failed:");
    for record in engine.client().show("order-7").await?.records {
        for entry in &record.entries {
            if let Entry::Attempted(attempted) = entry {
                let delay = attempted.retry_at - record.at().as_micros();
                let (attempt, why) = (attempted.attempt, &attempted.failure.message);
                println!("  attempt {attempt}: {why}; again after {} s", (delay + 500_000) / 1_000_000);
            }
        }
    }
    engine.shutdown().await;
    Ok(())
}
