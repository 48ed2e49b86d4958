//! Many at once: an order is a child run for each of its parcels. They are shipped side by side;
//! when one cannot be, the others are recalled by the undo that `ship` declares, and then the
//! order fails.
//!
//! Run it: `cargo run --bin fan_out`

use saga_examples::Place;
use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Classify)]
enum CourierError {
    #[error("{address} cannot be reached")]
    #[permanent]
    Unreachable { address: String },
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
enum ShipError {
    #[error(transparent)]
    Courier(#[from] ActivityError<CourierError>),
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
enum OrderError {
    #[error("a parcel was not shipped: {0}")]
    Parcel(#[from] ChildError<ShipError>),
}

#[activity]
async fn pack(address: String) -> Result<String, CourierError> {
    Ok(format!("parcel for {address}"))
}

#[activity]
async fn hand_over(parcel: String, address: String) -> Result<String, CourierError> {
    if address == "Atlantis" { Err(CourierError::Unreachable { address }) } else { Ok(parcel) }
}

#[activity]
async fn recall(parcel: String) -> Result<(), CourierError> {
    println!("  recall the {parcel}");
    Ok(())
}

#[workflow(compensate = recall(output))]
async fn ship(address: String) -> Result<String, ShipError> {
    let parcel = pack(address.clone()).await?;
    Ok(hand_over(parcel, address).await?)
}

#[workflow]
async fn order(addresses: Vec<String>) -> Result<Vec<String>, OrderError> {
    let parcels = join_all(addresses.into_iter().map(ship)).await;
    Ok(parcels.into_iter().collect::<Result<Vec<_>, _>>()?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    saga_examples::init_logging();
    let place = Place::from_args()?;
    let engine = place.engine().await?.only::<order>().only::<ship>().start().await?;
    let client = engine.client();
    let far_and_wide = (1..=1000).map(|number| format!("house {number}")).collect();
    let shipped = client.start(order(far_and_wide)).await?.result().await?;
    println!("{} parcels, from the {} to the {}", shipped.len(), shipped[0], shipped[999]);
    let addresses = ["Lisbon", "Atlantis"].map(str::to_owned).to_vec();
    match client.start(order(addresses)).await?.outcome().await? {
        Outcome::Failed(error) => println!("{error}"),
        other => println!("{other:?}"),
    }
    engine.shutdown().await;
    Ok(())
}
