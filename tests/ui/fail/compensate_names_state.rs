use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Reservation {
    id: u64,
}

struct Stock(u64);

#[activity(compensate = release(stock.0))]
async fn reserve(#[state] stock: &Stock, sku: String) -> saga_runtime::Result<Reservation> {
    drop(sku);
    let _ = stock.0;
    Ok(Reservation { id: 1 })
}

#[activity]
async fn release(id: u64) -> saga_runtime::Result<()> {
    let _ = id;
    Ok(())
}

fn main() {}
