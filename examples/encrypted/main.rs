//! What runs say is encrypted in the store, and the key is rotated while a run waits.
//!
//! Run it: `cargo run --bin encrypted`

mod look;

use saga_examples::{OpenStore, Place};
use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_seal::{Key, KeyId, Keys, Seal, SealedStore};
use serde::{Deserialize, Serialize};

/// The doctor's signature.
#[derive(Debug, Serialize, Deserialize, Event)]
struct Signature {
    doctor: String,
}

#[activity]
async fn write_letter(patient: String) -> saga_runtime::Result<String> {
    Ok(format!("Dear {patient}, your results are fine."))
}

#[workflow]
async fn results(patient: String) -> saga_runtime::Result<String> {
    let letter = write_letter(patient).await?;
    let signature = event::<Signature>().await;
    Ok(format!("{letter} {}", signature.doctor))
}

/// Keys come from where your secrets are; here, from a text.
fn key(digits: &str) -> anyhow::Result<Key> {
    Ok(digits.repeat(32).parse()?)
}

async fn engine(place: &Place, keys: Keys) -> anyhow::Result<Engine> {
    let seal = Seal::new().encrypt(keys).compress_over(1024);
    let builder = match place.open().await? {
        OpenStore::Sqlite(store) => Engine::builder(SealedStore::new(store, seal)),
        OpenStore::Postgres(store) => Engine::builder(SealedStore::new(store, seal)),
    };
    Ok(builder.only::<results>().start().await?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    saga_examples::init_logging();
    let place = Place::from_args()?;

    let first = engine(&place, Keys::new(KeyId(1), key("a1")?)).await?;
    let run = first.client().start(results("Mrs Lovelace".to_owned())).id("letter-1").replace_finished().await?;
    while run.view().await?.state != RunState::Waiting {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    first.shutdown().await;
    println!("the run's id can be found in the store: {}", look::holds(place.url(), "letter-1").await?);
    println!("the patient's name can be found in the store: {}", look::holds(place.url(), "Lovelace").await?);

    let rotated = Keys::new(KeyId(2), key("b2")?).with_old(KeyId(1), key("a1")?);
    let second = engine(&place, rotated).await?;
    let run = second.client().attach::<results>("letter-1").await?;
    run.send(Signature { doctor: "Dr Babbage".to_owned() }).await?;
    println!("with the new key and the old one: {}", run.result().await?);
    second.shutdown().await;

    let third = engine(&place, Keys::new(KeyId(2), key("b2")?)).await?;
    match third.client().show("letter-1").await {
        Ok(_) => println!("without the old key the run can still be read"),
        Err(error) => {
            let error = error.to_string();
            println!("without the old key: {}", error.split_once(": ").map_or(&*error, |(_, why)| why));
        }
    }
    third.shutdown().await;
    Ok(())
}
