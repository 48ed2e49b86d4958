//! One small workflow for each thing that a workflow can say.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::{step, undo_step};
use crate::activity::{Activity, ActivityDefinition};
use crate::prelude::*;
use crate::workflow::{Workflow, WorkflowDefinition};

/// What the play sends.
#[derive(Debug, Clone, Serialize, Deserialize, Event)]
#[event(name = "go")]
pub(super) struct Go {
    pub(super) number: u32,
}

/// Its undo needs the output.
#[activity(compensate = undo_step(output))]
async fn made(number: u32) -> crate::Result<u32> {
    Ok(number)
}

#[activity]
async fn plain(number: u32) -> crate::Result<u32> {
    Ok(number)
}

#[activity(pivot)]
async fn shut(number: u32) -> crate::Result<u32> {
    Ok(number)
}

#[activity(queue = "afar", compensate = undo_step(number))]
async fn afar(number: u32) -> crate::Result<u32> {
    Ok(number)
}

#[activity(queue = "afar", compensate = undo_step(output))]
async fn made_afar(number: u32) -> crate::Result<u32> {
    Ok(number)
}

#[activity(queue = "afar", pivot)]
async fn shut_afar(number: u32) -> crate::Result<u32> {
    Ok(number)
}

/// A child, which is undone by another step once it has completed.
#[workflow(compensate = undo_step(number))]
async fn child(number: u32) -> crate::Result<u32> {
    Ok(step(number).await?)
}

#[workflow]
async fn one_after_another() -> crate::Result<u32> {
    let sum = step(1).await? + made(2).await? + plain(3).await? + afar(4).await? + made_afar(5).await?;
    undo(undo_step(6));
    Ok(sum + step(7).await?)
}

#[workflow]
async fn events() -> crate::Result<u32> {
    step(1).await?;
    let first = event::<Go>().await.number;
    made(first).await?;
    let second = event::<Go>().timeout(Duration::from_secs(20)).await.map_or(0, |go| go.number);
    Ok(step(second).await?)
}

#[workflow]
async fn timers() -> crate::Result<u32> {
    made(1).await?;
    sleep(Duration::from_secs(3)).await;
    let (slept, ()) = join!(step(2), sleep(Duration::from_secs(5))).await;
    slept?;
    match afar(3).deadline(Duration::from_secs(4)).await {
        Ok(three) => Ok(three),
        Err(_) => Ok(step(4).deadline(Duration::from_secs(60)).await?),
    }
}

#[workflow]
async fn joins() -> crate::Result<u32> {
    step(1).await?;
    let (left, right) = try_join!(
        async {
            step(2).await?;
            Ok::<_, crate::Error>(made(3).await?)
        },
        async { Ok::<_, crate::Error>(afar(4).await? + step(5).await?) }
    )
    .await?;
    let all = try_join_all([6, 7, 8].map(made)).await?;
    Ok(left + right + all.iter().sum::<u32>())
}

#[workflow]
async fn races() -> crate::Result<u32> {
    step(1).await?;
    select! {
        done = async { step(2).await?; Ok::<_, crate::Error>(made(3).await?) } => drop(done?),
        _ = async { made_afar(4).await?; Ok::<_, crate::Error>(step(5).await?) } => {},
        _ = event::<Go>() => {},
        _ = async { made(6).await?; sleep(Duration::from_secs(9)).await; Ok::<_, crate::Error>(()) } => {},
    }
    select! {
        won = child(7) => drop(won?),
        won = afar(8) => drop(won?),
    }
    Ok(step(9).await?)
}

#[workflow]
async fn each() -> crate::Result<u32> {
    let mut sum = step(1).await?;
    for done in for_each_concurrent(2, 2..7, made).await {
        sum += done?;
    }
    for done in join_all([8, 9].map(afar)).await {
        sum += done?;
    }
    Ok(sum)
}

#[workflow]
async fn children() -> crate::Result<u32> {
    step(1).await?;
    let first = spawn(child(2)).await?;
    let third = child(3).await?;
    let second = spawn(child(4)).await?;
    made(5).await?;
    second.cancel();
    drop(second.await);
    Ok(third + first.await?)
}

#[workflow]
async fn attempts() -> crate::Result<u32> {
    step(1).await?;
    let tried = attempt(async {
        step(2).await?;
        made(3).await?;
        select! {
            done = async { step(4).await?; Ok::<_, crate::Error>(step(5).await?) } => drop(done?),
            () = sleep(Duration::from_secs(2)) => {},
        }
        attempt(async {
            made_afar(6).await?;
            Err::<(), _>(crate::Error::msg("as planned"))
        })
        .await?;
        Ok::<_, crate::Error>(())
    })
    .await;
    Ok(step(if tried.is_ok() { 7 } else { 8 }).await?)
}

#[workflow]
async fn sessions() -> crate::Result<u32> {
    step(1).await?;
    let near = session("afar");
    let tried = attempt(async {
        let (left, right) = try_join!(afar(2).session(&near), made_afar(3).session(&near)).await?;
        select! {
            won = made_afar(4).session(&near) => drop(won?),
            () = sleep(Duration::from_secs(3)) => {},
        }
        Ok::<_, crate::Error>(left + right)
    });
    if tried.await.is_err() {
        let second = session("afar");
        afar(5).session(&second).await?;
        made_afar(6).session(&second).await?;
    }
    shut_afar(7).session(&near).await?;
    drop(near);
    Ok(plain(8).await?)
}

#[workflow]
async fn pivots() -> crate::Result<u32> {
    let (before, beside) = join!(step(1), made(2)).await;
    let sum = before? + beside? + shut(3).await?;
    pivot().await;
    step(4).await?;
    Ok(sum)
}

#[workflow]
async fn goes_on(number: u32) -> crate::Result<u32> {
    step(number).await?;
    let _ = event::<Go>().timeout(Duration::from_secs(2)).await;
    if number == 0 {
        return continue_as_new(goes_on(1)).await;
    }
    Ok(number)
}

#[workflow]
async fn values() -> crate::Result<u32> {
    let drawn = side_effect(|| 1_u32).await;
    let number: u32 = random();
    let (id, at) = (new_uuid(), now());
    set_status(format!("{id} {at:?}"));
    if patched("more") {
        made(number % 7).await?;
    }
    step(drawn).await?;
    set_status("done");
    Ok(side_effect(|| 2_u32).await)
}

/// A workflow with its input, and whether it may end as continued.
pub(super) struct Case {
    pub(super) definition: fn() -> &'static WorkflowDefinition,
    pub(super) input: &'static str,
    pub(super) continues: bool,
}

const fn case(definition: fn() -> &'static WorkflowDefinition) -> Case {
    Case { definition, input: "{}", continues: false }
}

pub(super) const TABLE: [Case; 13] = [
    case(one_after_another::definition),
    case(events::definition),
    case(timers::definition),
    case(joins::definition),
    case(races::definition),
    case(each::definition),
    case(children::definition),
    case(attempts::definition),
    case(sessions::definition),
    case(pivots::definition),
    Case { input: r#"{"number":0}"#, continues: true, ..case(goes_on::definition) },
    Case { input: r#"{"number":1}"#, ..case(goes_on::definition) },
    case(values::definition),
];

pub(super) fn activity(name: &str) -> Option<&'static ActivityDefinition> {
    let all = [
        step::definition(),
        undo_step::definition(),
        made::definition(),
        plain::definition(),
        shut::definition(),
        afar::definition(),
        made_afar::definition(),
        shut_afar::definition(),
    ];
    all.into_iter().find(|definition| definition.name == name)
}

pub(super) fn workflow(name: &str, _version: u32) -> Option<&'static WorkflowDefinition> {
    [child::definition(), goes_on::definition()].into_iter().find(|definition| definition.name == name)
}
