//! Runs whose store is cut after each write, as by a crash of all workers, and that go on from there:
//! they end the same, and nothing whose completion was recorded is done again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use saga_runtime::store::wire::{Entry, join_rows};
use saga_runtime::store::{ExecutionId, JournalRow, Query, RunState, Seq};
use saga_runtime::{Client, Engine, Outcome, StartRun, Workflow};
use saga_tests::{Place, Recorder, World, Write, write_again};

/// What a run, and those that it started, left behind.
struct Left<W: Workflow> {
    outcome: Outcome<W::Output, W::Error>,
    done: BTreeMap<String, String>,
    /// How the executions of all runs ended: the names of their runs, and their states.
    ends: Vec<(String, RunState)>,
}

/// Cuts what the run `A` that this starts writes after each write, and lets another process go on.
///
/// Names of effects are to be different from each other: those of a child that was started anew have
/// other keys.
pub(crate) async fn cut_everywhere<W>(
    place: &impl Place,
    world: impl Fn() -> World,
    start: impl Fn(&Client) -> StartRun<W>,
) where
    W: Workflow,
    W::Output: PartialEq + Debug,
    W::Error: PartialEq + Debug,
{
    let store = Recorder::new(place.open().await);
    let engine = Engine::builder(store.clone()).state(world()).start().await.unwrap();
    engine.shutdown().await;
    let planned = world();
    let engine = Engine::builder(store.clone()).state(planned.clone()).start().await.unwrap();
    start(engine.client()).id("A").await.unwrap();
    let whole = left::<W>(&engine, &planned).await;
    engine.shutdown().await;
    let writes = store.take();
    assert!(writes.len() > 2, "{writes:#?}");
    for cut in 1..writes.len() {
        let place = place.another();
        let store = place.open().await;
        write_again(&store, &writes[..cut]).await;
        let planned = world();
        let engine = Engine::builder(store).state(planned.clone()).start().await.unwrap();
        let resumed = left::<W>(&engine, &planned).await;
        engine.shutdown().await;
        let after = || format!("cut after {cut} of {}: {:?}", writes.len(), writes[cut - 1]);
        assert_eq!(resumed.outcome, whole.outcome, "{}", after());
        let before = recorded(&writes[..cut]);
        let again: Vec<_> = resumed.done.iter().filter(|(key, _)| before.contains(*key)).collect();
        assert!(again.is_empty(), "{again:?} was done again, {}", after());
        let kept = whole.done.iter().filter(|(key, _)| before.contains(*key)).map(|(_, name)| name);
        let together: BTreeSet<&String> = kept.chain(resumed.done.values()).collect();
        assert_eq!(together, whole.done.values().collect(), "{}", after());
        assert_eq!(resumed.ends, whole.ends, "{}", after());
    }
}

async fn left<W: Workflow>(engine: &Engine, world: &World) -> Left<W> {
    let outcome = engine.client().attach::<W>("A").await.unwrap().outcome().await.unwrap();
    let all = Query { limit: 1000, ..Query::default() };
    let ends = loop {
        let runs = engine.client().list(&all).await.unwrap().runs;
        if runs.iter().all(|view| view.state.is_final()) {
            // Errands and children without a name have that of an execution.
            let name = |id: &str| if id.len() > 36 { id[36..].to_owned() } else { id.to_owned() };
            let mut ends: Vec<_> = runs.iter().map(|view| (name(view.id.as_str()), view.state)).collect();
            ends.sort();
            break ends;
        }
        tokio::task::yield_now().await;
    };
    Left { outcome, done: world.done(), ends }
}

/// The keys of the effects whose completion these writes tell of.
fn recorded(writes: &[Write]) -> BTreeSet<String> {
    let mut rows: BTreeMap<ExecutionId, Vec<JournalRow>> = BTreeMap::new();
    for write in writes {
        let (execution, seq, nonce, bodies) = match write {
            Write::Start(new) => (new.execution, Seq::FIRST, new.nonce, vec![(new.first.clone(), false)]),
            Write::Commit(commit) => {
                let bodies = commit.rows.iter().map(|row| (row.body.clone(), row.more)).collect();
                (commit.execution, commit.seq, commit.nonce, bodies)
            }
            Write::Deliver(_) | Write::Forget(_) => continue,
        };
        let rows = rows.entry(execution).or_default();
        let new = (0..).zip(bodies).map(|(at, (body, more))| JournalRow { seq: seq.plus(at), nonce, more, body });
        rows.extend(new);
    }
    let mut keys = BTreeSet::new();
    for (execution, rows) in rows {
        for entry in join_rows(&rows).unwrap().iter().flat_map(|record| &record.entries) {
            match entry {
                Entry::StepEnded(ended) => keys.insert(format!("{execution}/{}", ended.op)),
                Entry::UndoEnded(op, _) => keys.insert(format!("{execution}/{op}/undo")),
                _ => false,
            };
        }
    }
    keys
}
