//! Journals of any content, replayed through a workflow: they end, match or mismatch.

use std::fmt::Write as _;
use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::test::replay_of;
use serde::{Deserialize, Serialize};

use crate::Target;

pub(crate) const TARGET: Target = Target { name: "replay", take, words: &[] };

#[derive(Debug, Serialize, Deserialize, Event)]
struct Note {
    text: String,
}

#[activity(compensate = give_back(output.clone()))]
async fn take_one(name: String, number: u32) -> saga_runtime::Result<String> {
    Ok(format!("{name} {number}"))
}

#[activity]
async fn give_back(name: String) -> saga_runtime::Result<()> {
    drop(name);
    Ok(())
}

#[activity(pivot)]
async fn seal() -> saga_runtime::Result<u8> {
    Ok(1)
}

#[workflow]
async fn child_of_it(number: u32) -> saga_runtime::Result<u32> {
    Ok(number)
}

/// A bit of everything that a workflow can say.
#[workflow]
pub async fn everything(name: String) -> saga_runtime::Result<u64> {
    let first = take_one(name.clone(), 1).await?;
    let (left, right) = join!(take_one(name.clone(), 2), sleep(Duration::from_secs(60))).await;
    let () = right;
    drop(left?);
    let won = select! {
        note = event::<Note>() => note.text,
        () = sleep(Duration::from_secs(5)) => String::new(),
        taken = take_one(name, 3) => taken?,
    };
    let inner = attempt(async { Ok::<u32, saga_runtime::Error>(child_of_it(7).await?) }).await;
    set_status(&first);
    let drawn: u64 = random();
    if patched("newer") {
        seal().await?;
    }
    Ok(drawn % 7 + u64::from(inner.unwrap_or(0)) + u64::try_from(won.len())?)
}

/// Records one after another, each behind its length: what the target takes.
pub fn framed(records: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records.iter().map(AsRef::as_ref) {
        bytes.extend(u16::try_from(record.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(record);
    }
    bytes
}

fn take(bytes: &[u8]) -> bool {
    let mut records = String::new();
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let (record, after) = tail.split_at(usize::from(u16::from_be_bytes(*length)).min(tail.len()));
        let cbor = record.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let comma = if records.is_empty() { "" } else { "," };
        let _ = write!(records, r#"{comma}{{"at":"","says":[],"cbor":"{cbor}"}}"#);
        rest = after;
    }
    let history = format!(r#"{{"history":1,"run":"r","workflow":"everything","version":1,"records":[{records}]}}"#);
    // A mismatch beyond the first record is one that the machine found.
    match replay_of::<everything>(&history) {
        Ok(_) => true,
        Err(mismatch) => mismatch.position().is_some(),
    }
}
