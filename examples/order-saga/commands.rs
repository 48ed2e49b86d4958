//! The other commands: `audit`, `show`, `operate`, `submit`, `worker`.

use std::process::ExitCode;

use anstyle::Style;
use futures_util::{StreamExt, TryStreamExt, stream};
use saga_examples::{Interrupt, OpenStore};
use saga_runtime::Tally;
use saga_store::Timestamp;
use serde::Serialize;

use crate::cli::{AuditArgs, OperateArgs, Operation, ShowArgs, SubmitArgs, WorkerArgs};
use crate::orders::{Order, OrderId};
use crate::report::{BAD, BOLD, DIM, GOOD, WARNING, print_json};
use crate::runs::{OrderState, Runs};
use crate::timeline::{Line, Tone, timeline};
use crate::{audit, open, orders};

/// Audits the shop's tables against the runs.
pub(crate) async fn audit(args: AuditArgs) -> anyhow::Result<ExitCode> {
    let url = args.shop.url(&args.store.store);
    let client = open::existing_store(&args.store.store).await?.client();
    let shop = open::existing_shop(&url, &args.store.store).await?;
    let file = orders::read(args.orders.orders.as_deref(), args.limit)?;
    file.report_malformed();
    // The runs first: what an order that ended by then has done is in the shop for good.
    let runs = Runs::read(&client).await?;
    let books = shop.books().await?;
    let audit = audit::audit(&file.orders, &runs, &books);
    if args.json {
        print_json(&audit)?;
    } else {
        audit.print();
    }
    Ok(if audit.violations().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the timeline of an order.
pub(crate) async fn show(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let client = open::existing_store(&args.store.store).await?.client();
    let order = OrderId::from_user(&args.order);
    let run = client.show(order.as_str()).await?;
    let view = &run.view;
    anstream::println!(
        "{BOLD}{}{BOLD:#}  {} v{}  {state}{}{state:#}  {DIM}{}{DIM:#}",
        view.id,
        view.workflow,
        view.version,
        view.state,
        view.created_at,
        state = state_style(view.state),
    );
    for line in timeline(&run.records) {
        print_line(&line, view.created_at);
    }
    Ok(ExitCode::SUCCESS)
}

/// Does something to an order, as an operator.
pub(crate) async fn operate(args: OperateArgs) -> anyhow::Result<ExitCode> {
    let client = open::existing_store(&args.store.store).await?.client();
    let order = OrderId::from_user(&args.order);
    let id = order.as_str();
    match args.action {
        Operation::Cancel => client.cancel(id).await?,
        Operation::Terminate => client.terminate(id, None).await?,
        Operation::Suspend => client.suspend(id).await?,
        Operation::Resume => client.resume(id).await?,
        Operation::Retry if client.get(id).await?.state == saga_store::RunState::Dead => {
            client.repair(id, saga_runtime::Repair::Retry).await?;
        }
        Operation::Retry => drop(client.retry(id).await?),
        Operation::Purge => client.delete(id).await?,
    }
    println!("{id}: done");
    Ok(ExitCode::SUCCESS)
}

fn state_style(state: saga_store::RunState) -> Style {
    use saga_store::RunState as State;
    match state {
        State::Completed => GOOD,
        State::Failed | State::Dead => BAD,
        _ => WARNING,
    }
}

fn print_line(line: &Line, since: Timestamp) {
    let style = match line.tone {
        Tone::Plain => Style::new(),
        Tone::Good => GOOD,
        Tone::Warning => WARNING,
        Tone::Bad => BAD,
    };
    let (after, sign, subject, text) = (line.at.since(since).as_secs_f64(), line.sign, &line.subject, &line.text);
    anstream::println!("{DIM}{after:>+10.3}s{DIM:#} {style}{sign} {subject:<20}{style:#} {text}");
}

/// Starts the orders and leaves their work to workers.
pub(crate) async fn submit(args: SubmitArgs) -> anyhow::Result<ExitCode> {
    let file = orders::read(args.orders.orders.as_deref(), args.limit)?;
    file.report_malformed();
    let client = OpenStore::open(&args.store.store).await?.client();
    let runs = Runs::read(&client).await?;
    let new: Vec<&Order> =
        file.orders.iter().filter(|order| runs.state(order.id.as_str()) == OrderState::Absent).collect();
    let client = &client;
    stream::iter(&new)
        .map(|order| async move { open::start(client, order).await.map(drop) })
        .buffer_unordered(args.concurrency)
        .try_collect::<()>()
        .await?;
    println!("{} of {} orders started", new.len(), file.orders.len());
    Ok(if file.malformed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Works on started orders until told to stop.
pub(crate) async fn worker(args: WorkerArgs) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let store = OpenStore::open(&args.store.store).await?;
    let shop = open::shop(&args.shop.url(&args.store.store), &args.store.store, &args.work).await?;
    let engine = open::engine(store, shop.clone(), &args.work, args.work.concurrency).await?;
    eprintln!("working on the orders in {}; Ctrl-C stops", args.store.store);
    interrupt.requested().await;
    let Tally { refused_commits, dropped_runs, rejoins, takeovers, .. } = engine.tally();
    engine.shutdown().await;
    let worked = Worked { attempts: shop.attempts(), refused_commits, dropped_runs, rejoins, takeovers };
    if args.json {
        print_json(&worked)?;
    } else {
        println!("{} attempts made", worked.attempts);
    }
    Ok(ExitCode::SUCCESS)
}

/// What a worker did.
#[derive(Debug, Serialize)]
struct Worked {
    /// Attempts of steps and of undos.
    attempts: u64,
    /// Commits that came after another worker had taken the run over.
    refused_commits: u64,
    /// Runs that it dropped because it was taken for dead.
    dropped_runs: u64,
    /// How often it joined the store anew after that.
    rejoins: u64,
    /// Runs that it took over from workers that were gone.
    takeovers: u64,
}
