use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Reservation {
    id: u64,
}

#[activity(compensate = release(ouput.id))]
async fn reserve(sku: String) -> saga_runtime::Result<Reservation> {
    drop(sku);
    Ok(Reservation { id: 1 })
}

#[activity]
async fn release(id: u64) -> saga_runtime::Result<()> {
    let _ = id;
    Ok(())
}

fn main() {}
