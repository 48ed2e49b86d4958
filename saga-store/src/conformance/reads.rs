//! What clients and operators see.

use bytes::Bytes;

use super::lab::{HOUR, Lab, run_id};
use crate::{ExecutionId, NewRun, OnExisting, Query, RunState, RunView, Store};

fn all() -> Query {
    Query { limit: 100, ..Query::default() }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

pub async fn what_does_not_exist_is_not_found<S: Store>(lab: &Lab<S>) {
    let unknown = lab.execution();
    assert_eq!(lab.store.get(&run_id("ORD-1")).await.unwrap(), None);
    assert_eq!(lab.store.get_execution(unknown).await.unwrap(), None);
    assert_eq!(lab.store.load(&[unknown]).await.unwrap(), []);
    assert_eq!(lab.store.load(&[]).await.unwrap(), []);
    assert_eq!(lab.store.blobs(unknown, &[lab.blob("").id]).await.unwrap(), []);
    assert_eq!(lab.list(&all()).await, []);
}

pub async fn a_run_is_seen_as_it_was_started<S: Store>(lab: &Lab<S>) {
    let before = lab.now().await;
    let attributes = vec![pair("customer", "4"), pair("region", "eu")];
    let memo = Some(Bytes::from_static(&[0, 255, 10]));
    let new = NewRun { version: u32::MAX, attributes, memo, priority: i16::MIN, ..lab.new_run("ORD-1") };
    lab.started(new.clone()).await;
    let view = lab.view(new.execution).await;
    assert!(view.created_at >= before && view.created_at <= lab.now().await);
    let mut seen = view.clone();
    seen.attributes.sort();
    let expected = RunView {
        id: new.id.clone(),
        execution: new.execution,
        workflow: new.workflow,
        version: new.version,
        lane: new.lane,
        priority: new.priority,
        state: RunState::Pending,
        created_at: view.created_at,
        updated_at: view.created_at,
        attributes: new.attributes,
        memo: new.memo,
        status: None,
        conclusion: None,
    };
    assert_eq!(seen, expected);
    assert_eq!(lab.store.get(&new.id).await.unwrap().as_ref(), Some(&view));
    assert_eq!(lab.load(new.execution).await.view, view);
    assert_eq!(lab.store.list(&all()).await.unwrap().runs, [view]);
}

pub async fn the_newest_execution_of_a_run_is_found_by_its_id<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let old = lab.ended("ORD-1", worker).await;
    let replacing = NewRun { on_existing: OnExisting::ReplaceFinished, ..lab.new_run("ORD-1") };
    let new = lab.started(replacing).await;
    let found = lab.store.get(&run_id("ORD-1")).await.unwrap().unwrap();
    assert_eq!((found.execution, found.state), (new, RunState::Pending));
    let found = lab.store.get_execution(old).await.unwrap().unwrap();
    assert_eq!((found.execution, found.state), (old, RunState::Completed));
}

pub async fn what_has_ended_or_is_not_there_is_named<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let pending = lab.pending("pending").await;
    let running = lab.owned("running", worker).await;
    let [first, second] = [lab.ended("first", worker).await, lab.ended("second", worker).await];
    let unknown = lab.execution();
    let asked = [second, pending, unknown, running, first];
    let mut named = lab.store.ended(&asked).await.expect("executions can be asked for");
    named.sort();
    assert_eq!(named, [first, second, unknown]);
    assert_eq!(lab.store.ended(&[pending, running]).await.expect("executions can be asked for"), []);
    assert_eq!(lab.store.ended(&[]).await.expect("nothing can be asked for"), []);
}

pub async fn text_of_every_kind_comes_back_as_it_was<S: Store>(lab: &Lab<S>) {
    for id in ["'; drop table runs; --", "%", "_", "größe/尺寸 \u{1f680}", &"x".repeat(512)] {
        let new = NewRun {
            attributes: vec![pair(id, id), pair("empty", "")],
            workflow: id.to_owned(),
            lane: id.to_owned(),
            ..lab.new_run(id)
        };
        lab.started(new.clone()).await;
        let view = lab.store.get(&run_id(id)).await.unwrap().unwrap();
        assert_eq!((view.id.as_str(), view.workflow.as_str()), (id, id));
        let query = Query { workflow: Some(id.to_owned()), attributes: vec![pair(id, id)], ..all() };
        assert_eq!(lab.list(&query).await, [new.execution]);
    }
}

pub async fn ids_that_differ_in_case_are_two_runs<S: Store>(lab: &Lab<S>) {
    let (lower, upper) = (lab.pending("ord-1").await, lab.pending("ORD-1").await);
    assert_eq!(lab.store.get(&run_id("ord-1")).await.unwrap().unwrap().execution, lower);
    assert_eq!(lab.list(&Query { id_prefix: Some("ORD".to_owned()), ..all() }).await, [upper]);
}

pub async fn runs_are_loaded_in_the_order_asked_and_unknown_ones_left_out<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let (one, two) = (lab.owned("one", worker).await, lab.owned("two", worker).await);
    lab.apply(lab.append(one, worker, 1)).await;
    lab.send(two).await;
    let loaded = lab.store.load(&[two, lab.execution(), one]).await.unwrap();
    assert_eq!(loaded.iter().map(|run| run.view.execution).collect::<Vec<_>>(), [two, one]);
    assert_eq!((loaded[0].journal.len(), loaded[0].inbox.len()), (1, 1));
    assert_eq!((loaded[1].journal.len(), loaded[1].inbox.len()), (2, 0));
}

pub async fn a_long_journal_is_loaded_whole_and_in_order<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    for seq in 1..300 {
        lab.apply(lab.append(execution, worker, seq)).await;
    }
    let expected: Vec<_> = (0..300).map(|seq| format!("record {seq}")).collect();
    assert_eq!(lab.journal(execution).await, expected);
}

pub async fn a_list_begins_with_the_newest<S: Store>(lab: &Lab<S>) {
    let mut started = Vec::new();
    for id in ["b", "c", "a"] {
        started.push(lab.pending(id).await);
    }
    started.reverse();
    assert_eq!(lab.list(&all()).await, started);
}

pub async fn a_list_gives_what_every_part_of_the_query_allows<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let refund = NewRun {
        workflow: "refund".to_owned(),
        attributes: vec![pair("customer", "4"), pair("region", "eu")],
        ..lab.new_run("REF_1")
    };
    let order = NewRun { attributes: vec![pair("customer", "4")], ..lab.new_run("REFX1") };
    let (refund, order) = (lab.started(refund).await, lab.started(order).await);
    let ended = lab.ended("ORD-1", worker).await;

    let text = |text: &str| Some(text.to_owned());
    let cases: Vec<(Query, Vec<ExecutionId>)> = vec![
        (Query { workflow: text("order"), ..all() }, vec![ended, order]),
        (Query { workflow: text("ord"), ..all() }, vec![]),
        (Query { states: vec![RunState::Completed], ..all() }, vec![ended]),
        (Query { states: vec![RunState::Pending, RunState::Completed], ..all() }, vec![ended, order, refund]),
        (Query { states: vec![RunState::Dead], ..all() }, vec![]),
        (Query { id_prefix: text("REF"), ..all() }, vec![order, refund]),
        (Query { id_prefix: text("REF_"), ..all() }, vec![refund]),
        (Query { id_prefix: text("%"), ..all() }, vec![]),
        (Query { id_prefix: text(""), ..all() }, vec![ended, order, refund]),
        (Query { attributes: vec![pair("customer", "4")], ..all() }, vec![order, refund]),
        (Query { attributes: vec![pair("customer", "4"), pair("region", "eu")], ..all() }, vec![refund]),
        (Query { attributes: vec![pair("customer", "eu")], ..all() }, vec![]),
        (Query { attributes: vec![pair("customer", "4")], workflow: text("order"), ..all() }, vec![order]),
    ];
    for (query, expected) in cases {
        assert_eq!(lab.list(&query).await, expected, "{query:?}");
    }
}

pub async fn a_list_is_bounded_by_the_time_of_the_start<S: Store>(lab: &Lab<S>) {
    let execution = lab.pending("ORD-1").await;
    let at = lab.view(execution).await.created_at;
    let found: &[ExecutionId] = &[execution];
    for (from, before, expected) in [
        (Some(at), None, found),
        (Some(at.after(HOUR)), None, &[]),
        (None, Some(at), &[]),
        (None, Some(at.after(HOUR)), found),
        (Some(at), Some(at.after(HOUR)), found),
    ] {
        let query = Query { started_from: from, started_before: before, ..all() };
        assert_eq!(lab.list(&query).await, expected, "{query:?}");
    }
}

pub async fn pages_together_give_each_run_once<S: Store>(lab: &Lab<S>) {
    let mut expected = Vec::new();
    for i in 0..11 {
        expected.push(lab.pending(&format!("ORD-{i}")).await);
        lab.started(NewRun { workflow: "refund".to_owned(), ..lab.new_run(&format!("REF-{i}")) }).await;
    }
    expected.reverse();
    let mut query = Query { workflow: Some("order".to_owned()), limit: 3, ..Query::default() };
    let mut found = Vec::new();
    loop {
        let page = lab.store.list(&query).await.unwrap();
        assert!(page.runs.len() <= 3);
        found.extend(page.runs.iter().map(|view| view.execution));
        assert!(found.len() <= expected.len(), "the pages end");
        query.after = page.next;
        if page.next.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
}

/// All pages of a query, as one list.
async fn paged<S: Store>(lab: &Lab<S>, mut query: Query) -> Vec<ExecutionId> {
    let mut found = Vec::new();
    loop {
        let page = lab.store.list(&query).await.unwrap();
        assert!(page.runs.len() <= query.limit);
        found.extend(page.runs.iter().map(|view| view.execution));
        assert!(found.len() <= 100, "the pages end");
        query.after = page.next;
        if page.next.is_none() {
            return found;
        }
    }
}

/// Whether a filter allows the run of this number.
type Allows = fn(usize) -> bool;

pub async fn pages_of_each_filter_together_give_each_run_once<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let mut runs = Vec::new();
    for i in 0..24_usize {
        let new = NewRun {
            workflow: ["order", "refund"][i % 2].to_owned(),
            attributes: vec![pair("customer", &(i % 3).to_string()), pair("region", ["eu", "us"][i / 12])],
            claim_for: Some(worker),
            ..lab.new_run(&format!("{}-{i}", ["ORD", "REF", "REG"][i % 3]))
        };
        let execution = lab.started(new).await;
        if i % 4 == 3 {
            lab.apply(lab.end(execution, worker, 1)).await;
        }
        runs.push((i, execution, lab.view(execution).await.created_at));
    }
    let text = |text: &str| Some(text.to_owned());
    let middle = runs[12].2;
    let (running, completed) = (RunState::Running, RunState::Completed);
    let cases: Vec<(Query, Allows)> = vec![
        (all(), |_| true),
        (Query { workflow: text("refund"), ..all() }, |i| i % 2 == 1),
        (Query { states: vec![running], ..all() }, |i| i % 4 != 3),
        (Query { states: vec![completed, running, RunState::Dead], ..all() }, |_| true),
        (Query { workflow: text("refund"), states: vec![completed], ..all() }, |i| i % 4 == 3),
        (Query { id_prefix: text("RE"), ..all() }, |i| i % 3 != 0),
        (Query { id_prefix: text("REG-"), workflow: text("order"), ..all() }, |i| i % 6 == 2),
        (Query { id_prefix: text("ORD-"), states: vec![completed], ..all() }, |i| i % 12 == 3),
        (Query { attributes: vec![pair("customer", "1")], ..all() }, |i| i % 3 == 1),
        (Query { attributes: vec![pair("customer", "1"), pair("region", "us")], ..all() }, |i| i % 3 == 1 && i >= 12),
        (Query { attributes: vec![pair("region", "eu")], states: vec![completed], ..all() }, |i| i % 4 == 3 && i < 12),
        (Query { attributes: vec![pair("region", "eu")], id_prefix: text("REF"), ..all() }, |i| i % 3 == 1 && i < 12),
    ];
    for (query, allows) in cases {
        for (from, before) in [(None, None), (Some(middle), None), (None, Some(middle))] {
            let in_time = |at| from.is_none_or(|from| at >= from) && before.is_none_or(|before| at < before);
            let allowed = runs.iter().rev().filter(|(i, _, at)| allows(*i) && in_time(*at));
            let expected: Vec<ExecutionId> = allowed.map(|(_, execution, _)| *execution).collect();
            for limit in [1, 2, 5] {
                let query = Query { limit, started_from: from, started_before: before, ..query.clone() };
                assert_eq!(paged(lab, query.clone()).await, expected, "{query:?}");
            }
        }
    }
}

pub async fn a_page_goes_on_though_the_run_before_it_was_purged<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let mut runs = vec![lab.pending("ORD-0").await, lab.pending("ORD-1").await, lab.ended("ORD-2", worker).await];
    runs.push(lab.pending("ORD-3").await);
    let page = lab.store.list(&Query { limit: 2, ..all() }).await.unwrap();
    assert_eq!(page.next, Some(runs[2]));
    let later = lab.now().await.after(HOUR);
    lab.store.purge(later, 10).await.unwrap();
    assert_eq!(lab.list(&Query { after: page.next, ..all() }).await, [runs[1], runs[0]]);
}
