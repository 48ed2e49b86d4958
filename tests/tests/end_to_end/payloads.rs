//! Large values: beside the journal, and back.

use saga_runtime::prelude::*;
use saga_runtime::store::Store;
use saga_runtime::store::wire::{Entry, PayloadData, join_rows};
use saga_tests::steps::{SagaError, step};
use saga_tests::{Act, Place, World, engine, on_each_store};

const LARGE: usize = 100_000;

/// Returns the output of its first step, once the second one has ended.
#[workflow]
async fn carries_a_large_value(input: String) -> Result<(String, String), SagaError> {
    let large = step("large".to_owned()).await?;
    step("small".to_owned()).await?;
    Ok((input, large))
}

on_each_store!(a_large_value_is_kept_beside_the_journal_and_comes_back_after_a_restart);

async fn a_large_value_is_kept_beside_the_journal_and_comes_back_after_a_restart(place: impl Place) {
    let world = World::default();
    world.plan("large", [Act::Fill(LARGE)]);
    world.plan("small", [Act::Hang]);
    let first = engine(&place, &world).await;
    let (input, large) = ("i".repeat(LARGE), "x".repeat(LARGE));
    first.client().start(carries_a_large_value(input.clone())).id("A").await.unwrap();
    world.began("small").await;
    drop(first);
    let second = engine(&place, &world).await;
    let run = second.client().attach::<carries_a_large_value>("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), (input.clone(), large.clone()));
    assert_eq!(world.log(), ["large", "small", "small"]);
    drop((run, second));
    let third = engine(&place, &world).await;
    let run = third.client().attach::<carries_a_large_value>("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), (input, large), "the result too");
    let execution = run.execution();
    drop((run, third));
    let journal = place.beside().await.load(&[execution]).await.unwrap().remove(0).journal;
    assert!(journal.iter().all(|row| row.body.len() < LARGE / 10), "the rows are small");
    let mut beside = 0;
    for mut entry in join_rows(&journal).unwrap().into_iter().flat_map(|record| record.entries) {
        if !matches!(entry, Entry::Claimed(_)) {
            entry.for_each_payload(|payload| beside += usize::from(matches!(payload.data, PayloadData::Blob { .. })));
        }
    }
    assert_eq!(beside, 3, "input, output, result");
}
