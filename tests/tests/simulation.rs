//! The whole engine in simulation: workers that die and stop, a store that loses answers, clocks
//! that are off, and hints that are lost, all drawn from a seed. `SAGA_SIM_SEEDS` says how many
//! seeds are played, `SAGA_SIM_FIRST` from which on.

#![allow(missing_docs, reason = "tests are named as sentences")]

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::test::sim::{Bug, Scenario, Simulated, Start, simulate};
use saga_runtime::{ClientError, Workflow, WorkflowCall};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
#[error("not to be had")]
#[permanent]
struct Refused;

#[derive(Debug, Serialize, Deserialize, Event)]
struct GoOn;

#[activity(timeout = "5s", compensate = give_back(number))]
async fn take(number: u32) -> Result<u32, Refused> {
    Ok(number)
}

#[activity(timeout = "5s", compensate = hand_in(output))]
async fn fetch(number: u32) -> Result<u32, Refused> {
    Ok(number + 100)
}

#[activity(timeout = "5s")]
async fn give_back(number: u32) -> Result<u32, Refused> {
    Ok(number)
}

#[activity(timeout = "5s")]
async fn hand_in(ticket: u32) -> Result<u32, Refused> {
    Ok(ticket)
}

type Taken<T> = Result<T, ActivityError<Refused>>;

fn gives_up() -> ActivityError<Refused> {
    ActivityError::Failed(Refused)
}

#[workflow]
async fn sim_steps() -> Taken<u32> {
    let mut sum = 0;
    for number in 0..4 {
        sum += take(number).await?;
    }
    Ok(sum)
}

#[workflow]
async fn sim_fails() -> Taken<u32> {
    take(1).await?;
    let (left, right) = join!(fetch(2), take(3)).await;
    left?;
    right?;
    take(4).await?;
    Err(gives_up())
}

#[workflow]
async fn sim_waits() -> Taken<u32> {
    take(1).await?;
    sleep(Duration::from_secs(75)).await;
    event::<GoOn>().await;
    sleep(Duration::from_millis(900)).await;
    fetch(2).await
}

#[workflow]
async fn sim_races() -> Taken<u32> {
    let first = select! {
        number = take(1) => number,
        number = fetch(2) => number,
        () = sleep(Duration::from_millis(300)) => Ok(3),
    };
    first?;
    match event::<GoOn>().timeout(Duration::from_secs(40)).await {
        Ok(GoOn) => take(4).await,
        Err(_) => Err(gives_up()),
    }
}

/// Children that complete and that fail, one of them beside a step.
#[workflow]
async fn sim_parent() -> Taken<u32> {
    let first = sim_steps().await;
    let (child, step) = join!(sim_fails(), take(7)).await;
    step?;
    match (first, child) {
        (Ok(sum), Err(ChildError::Failed(_))) => fetch(sum).await,
        _ => Err(gives_up()),
    }
}

#[workflow]
async fn sim_goes_on(rounds: u32) -> Taken<u32> {
    take(rounds).await?;
    if rounds == 0 {
        return fetch(9).await;
    }
    sleep(Duration::from_secs(7)).await;
    continue_as_new(sim_goes_on(rounds - 1)).await
}

/// Its retries come so late that the run has left memory.
#[activity(timeout = "5s", retry(initial = "65s", max = "65s", jitter = 0.0), compensate = give_back(number))]
async fn take_patiently(number: u32) -> Result<u32, Refused> {
    Ok(number)
}

#[workflow]
async fn sim_is_patient() -> Taken<u32> {
    let mut sum = 0;
    for number in 0..3 {
        sum += take_patiently(number).await?;
    }
    Ok(sum)
}

async fn starts<W: Workflow>(client: Client, call: WorkflowCall<W>, id: String) -> bool {
    match client.start(call).id(id).await {
        Ok(run) => run.outcome().await.is_ok(),
        Err(_) => false,
    }
}

const START: &[Start] = &[
    |client, id| Box::pin(starts(client, sim_steps(), id)),
    |client, id| Box::pin(starts(client, sim_fails(), id)),
    |client, id| Box::pin(starts(client, sim_waits(), id)),
    |client, id| Box::pin(starts(client, sim_races(), id)),
    |client, id| Box::pin(starts(client, sim_parent(), id)),
    |client, id| Box::pin(starts(client, sim_goes_on(2), id)),
    |client, id| Box::pin(starts(client, sim_is_patient(), id)),
];

fn send(client: Client, id: String) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send>> {
    Box::pin(async move {
        let sent = match client.attach::<sim_waits>(&id).await {
            Ok(run) => run.send(GoOn).await,
            Err(ClientError::OtherWorkflow { .. }) => match client.attach::<sim_races>(&id).await {
                Ok(run) => run.send(GoOn).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        !matches!(sent, Err(ClientError::Store(_) | ClientError::NoRun { .. }))
    })
}

fn is_answered(answer: Result<(), ClientError>) -> bool {
    !matches!(answer, Err(ClientError::Store(_)))
}

const OPERATE: &[Start] = &[
    |client, id| Box::pin(async move { is_answered(client.suspend(id).await) }),
    |client, id| Box::pin(async move { is_answered(client.resume(id).await) }),
    |client, id| Box::pin(async move { is_answered(client.terminate(id, "by hand".to_owned()).await) }),
];

/// A run that is not there yet may be suspended when it is.
fn release(client: Client, id: String) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send>> {
    Box::pin(async move {
        let answer = client.resume(id).await;
        !matches!(answer, Err(ClientError::Store(_) | ClientError::NoRun { .. }))
    })
}

const SCENARIO: Scenario = Scenario { start: START, send, operate: OPERATE, release };

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What goes wrong, as the trace has it.
const FAULTS: [(&str, &str); 7] = [
    (" Kill(", "workers killed"),
    (" Pause(", "workers paused"),
    (" Hint", "false hints"),
    (": the store does not answer ", "calls without an answer"),
    (": a commit's answer is lost", "answers to commits lost"),
    (" does not hear which runs it was given", "answers to claims lost"),
    (": the claim of ", "claims undone by a crash of the store"),
];

#[test]
fn no_rule_is_broken_whatever_goes_wrong() {
    let (first, seeds) = (number("SAGA_SIM_FIRST", 0), number("SAGA_SIM_SEEDS", 2_000));
    let (mut ends, mut events, mut injected) = (std::collections::BTreeMap::new(), 0, [0; FAULTS.len()]);
    for seed in first..first + seeds {
        let simulated = simulate(SCENARIO, seed, None);
        assert_eq!(simulated.broken, None, "{simulated}");
        events += simulated.trace.len();
        for (count, (mark, _)) in injected.iter_mut().zip(FAULTS) {
            *count += simulated.trace.iter().filter(|line| line.contains(mark)).count();
        }
        for (end, count) in simulated.ends {
            *ends.entry(end).or_insert(0) += count;
        }
    }
    let runs: u64 = ends.values().map(|count| *count as u64).sum();
    println!("{seeds} seeds, {events} events; {runs} runs ended as {ends:?}");
    let injected: Vec<_> = injected.into_iter().zip(FAULTS).map(|(count, (_, fault))| (count, fault)).collect();
    println!("injected: {injected:?}");
    assert!(seeds < 100 || injected.iter().all(|(count, _)| *count > 0), "something never goes wrong: {injected:?}");
    assert!(
        seeds < 100 || ["completed", "failed", "cancelled", "terminated"].iter().all(|end| ends.contains_key(*end)),
        "{ends:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let traces = [simulate(SCENARIO, seed, None).trace, simulate(SCENARIO, seed, None).trace];
        assert!(traces[0] == traces[1], "seed {seed}");
    }
}

#[test]
fn each_planted_bug_is_found_within_the_seeds_of_a_test_run() {
    let found = |bug: Bug| -> Option<Simulated> {
        (0..2_000).map(|seed| simulate(SCENARIO, seed, Some(bug))).find(|simulated| simulated.broken.is_some())
    };
    for bug in Bug::ALL {
        let simulated = found(bug);
        assert!(simulated.is_some(), "{bug:?} is not found");
        if let Some(Simulated { seed, broken: Some(broken), .. }) = simulated {
            println!("{bug:?}: seed {seed}: {broken}");
        }
    }
}
