//! `run`: every order of the file to its end, however often the program is stopped and started.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use saga_examples::{Interrupt, OpenStore, drive, patiently};
use saga_runtime::Client;
use saga_store::wire::{Entry, Record};

use crate::cli::RunArgs;
use crate::orders::Order;
use crate::report::{Summary, print_json};
use crate::runs::{OrderState, Runs};
use crate::saga::STEPS_OF_A_COMPLETED_ORDER;
use crate::{open, orders};

/// So many journals are read at once.
const READS: usize = 16;

/// Runs the orders and prints what came of them.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let interrupt = Interrupt::listen()?;
    let file = orders::read(args.orders.orders.as_deref(), args.limit)?;
    file.report_malformed();
    let store = OpenStore::open(&args.store.store).await?;
    let shop = open::shop(&args.shop.url(&args.store.store), &args.store.store, &args.work).await?;
    // As many as are started at once, and room beside: a start that finds none waits until it is claimed.
    let engine = open::engine(store, shop.clone(), &args.work, args.work.concurrency.saturating_mul(2)).await?;
    let client = engine.client().clone();

    let before = Runs::read(&client).await?;
    let open: Vec<&Order> = file.orders.iter().filter(|order| !before.state(order.id.as_str()).has_ended()).collect();
    let ended = file.orders.len() - open.len();
    drive(&open, ended, args.work.concurrency, &interrupt, |order| to_the_end(&client, order)).await?;
    engine.shutdown().await;

    let after = Runs::read(&client).await?;
    let took = began.elapsed();
    let mut summary = Summary::count(&after, file.orders.iter().map(|order| order.id.as_str()));
    (summary.steps, summary.undone) = count_steps(&client, &file.orders, &after).await?;
    summary.retries = shop.shop().repeated_attempts().await?;
    let ended = open.iter().filter(|order| after.state(order.id.as_str()).has_ended()).count();
    summary.set_speed(ended, took);

    if args.json {
        print_json(&summary)?;
    } else {
        summary.print();
    }
    if interrupt.is_requested() {
        eprintln!("stopped; the same command goes on");
        return Ok(Interrupt::exit_code());
    }
    let all_well = file.malformed.is_empty() && summary.others() == 0;
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts an order's run and waits for its end. Starting one that was started before finds it
/// again, so those that were interrupted need nothing special.
async fn to_the_end(client: &Client, order: &Order) -> anyhow::Result<()> {
    let run = open::start(client, order).await?;
    patiently(|| run.outcome()).await.with_context(|| format!("cannot wait for {}", order.id))?;
    Ok(())
}

/// Completed forward activities and completed compensations.
///
/// An order that completed took every step once and undid none, so only the journals of the
/// others are read.
async fn count_steps(client: &Client, orders: &[Order], runs: &Runs) -> anyhow::Result<(u64, u64)> {
    let (completed, others): (Vec<_>, Vec<_>) = orders
        .iter()
        .filter(|order| runs.state(order.id.as_str()) != OrderState::Absent)
        .partition(|order| runs.state(order.id.as_str()) == OrderState::Completed);
    let of_completed = STEPS_OF_A_COMPLETED_ORDER * u64::try_from(completed.len())?;
    stream::iter(others)
        .map(|order| async move {
            let run = client.show(order.id.as_str()).await.with_context(|| format!("cannot read {}", order.id))?;
            anyhow::Ok(count_entries(&run.records))
        })
        .buffer_unordered(READS)
        .try_fold((of_completed, 0), |sum, of_run| async move { Ok((sum.0 + of_run.0, sum.1 + of_run.1)) })
        .await
}

fn count_entries(records: &[Record]) -> (u64, u64) {
    let mut counts = (0, 0);
    for entry in records.iter().flat_map(|record| &record.entries) {
        match entry {
            Entry::StepEnded(_) => counts.0 += 1,
            Entry::UndoEnded(..) => counts.1 += 1,
            _ => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use saga_store::Timestamp;
    use saga_store::wire::{OpId, Payload, StepEnded};

    use super::*;

    #[test]
    fn steps_and_undos_are_counted_from_the_journal() {
        let ended = || {
            Entry::StepEnded(StepEnded {
                op: OpId::root().child(0),
                attempt: 1,
                output: Payload::json("1"),
                undo: None,
            })
        };
        let at = Timestamp::from_micros(0);
        let records = [
            Record::new(at, vec![ended(), Entry::TimerFired(OpId::root())]),
            Record::new(at, vec![ended(), Entry::UndoEnded(OpId::root().child(0), 1)]),
        ];
        assert_eq!(count_entries(&records), (2, 1));
    }
}
