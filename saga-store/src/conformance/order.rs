//! Which run goes to which worker next.

use super::lab::{Lab, executions};
use crate::{Applied, BuildId, Claim, Filter, NewRun, NodeInfo, RunCommit, Store, Then, Timestamp};

pub async fn a_claim_gives_only_what_the_worker_has<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let mut run = Vec::new();
    for (workflow, version) in [("order", 1), ("order", 2), ("refund", 1), ("refund", 2)] {
        let id = format!("{workflow} {version}");
        run.push(lab.started(NewRun { workflow: workflow.to_owned(), version, ..lab.new_run(&id) }).await);
    }
    let request = |workflows: &[(&str, u32)]| Claim {
        filter: Filter { workflows: workflows.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect() },
        ..Lab::<S>::request(worker, 100)
    };
    assert_eq!(lab.claim_by(&request(&[])).await, []);
    assert_eq!(lab.claim_by(&request(&[("other", 1), ("order", 3)])).await, []);
    let mut claimed = lab.claim_by(&request(&[("order", 2), ("refund", 1)])).await;
    claimed.sort_by_key(|run| run.execution);
    assert_eq!(executions(&claimed), run[1..3]);
    assert_eq!((claimed[0].workflow.as_str(), claimed[0].version), ("order", 2));
    assert_eq!(executions(&lab.claim_by(&request(&[("refund", 2)])).await), run[3..]);
}

pub async fn a_run_marked_not_this_build_is_left_to_others<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let now = Some(lab.now().await);
    let build = |name: &str| BuildId(name.into());
    let by = |name: &str| Claim { build: build(name), ..Lab::<S>::request(worker, 100) };
    for (seq, name) in [(1, "a"), (2, "b")] {
        let then = Then::Release { wake_at: now, not_build: Some(build(name)) };
        lab.apply(RunCommit { then, ..lab.append(execution, worker, seq) }).await;
        assert_eq!(lab.claim_by(&by("a")).await, []);
        assert_eq!(lab.claim_by(&by(name)).await, []);
        let next = if name == "a" { "b" } else { "c" };
        assert_eq!(executions(&lab.claim_by(&by(next)).await), [execution]);
    }
}

pub async fn a_run_that_is_marked_with_all_living_builds_is_given_to_whoever_asks<S: Store>(lab: &Lab<S>) {
    let build = |name: &str| BuildId(name.into());
    let joins = async |name: &str| {
        let incarnation = lab.incarnation();
        let node = NodeInfo { build: build(name), ..Lab::<S>::node(incarnation) };
        lab.store.join(&node).await.expect("a worker can join");
        incarnation
    };
    let by = |worker, name: &str| Claim { build: build(name), ..Lab::<S>::request(worker, 100) };
    let (old, new, last) = (joins("old").await, joins("new").await, joins("last").await);
    let execution = lab.owned("ORD-1", new).await;
    let now = Some(lab.now().await);
    for (seq, owner, name) in [(1, new, "new"), (2, last, "last")] {
        let then = Then::Release { wake_at: now, not_build: Some(build(name)) };
        lab.apply(RunCommit { then, ..lab.append(execution, owner, seq) }).await;
        assert_eq!(lab.claim_by(&by(new, "new")).await, [], "there is still the old build");
    }
    assert_eq!(lab.claim_by(&by(last, "last")).await, []);
    lab.store.leave(old).await.expect("a worker can leave");
    assert_eq!(executions(&lab.claim_by(&by(new, "new")).await), [execution], "else nobody would ever have it");
}

pub async fn a_build_that_cannot_drive_a_run_lets_go_of_it_in_spite_of_messages<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    lab.send(execution).await;
    let build = BuildId("old".into());
    let then = Then::Release { wake_at: None, not_build: Some(build.clone()) };
    let applied = lab.apply(RunCommit { then, ..lab.append(execution, worker, 1) }).await;
    assert_eq!(applied, Applied { stay: false });
    assert_eq!(lab.claim_by(&Claim { build, ..Lab::<S>::request(worker, 100) }).await, []);
    assert_eq!(executions(&lab.claim(worker).await), [execution]);
}

pub async fn claims_are_shared_out_by_lane<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let mut lane_of = Vec::new();
    for (lane, count) in [("a", 6), ("b", 3), ("c", 3)] {
        for i in 0..count {
            let new = NewRun { lane: lane.to_owned(), ..lab.new_run(&format!("{lane}{i}")) };
            lane_of.push((lab.started(new).await, lane));
        }
    }
    // Nine slots, whether given at once or one at a time, are three a lane.
    let mut lanes = Vec::new();
    for slots in [1, 1, 1, 2, 4] {
        for execution in executions(&lab.claim_by(&Lab::<S>::request(worker, slots)).await) {
            lanes.push(lane_of.iter().find(|(other, _)| *other == execution).unwrap().1);
        }
    }
    for lane in ["a", "b", "c"] {
        assert_eq!(lanes.iter().filter(|other| **other == lane).count(), 3, "{lanes:?}");
    }
    assert_eq!(lab.claim(worker).await.len(), 3, "a lane alone has all slots");
}

pub async fn within_a_lane_priority_goes_first_and_then_time<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let now = lab.now().await;
    let mut ids = Vec::new();
    for (priority, seconds_ago) in [(0, 4), (i16::MIN, 9), (5, 1), (0, 6), (i16::MAX, 1), (5, 3)] {
        let id = format!("{priority} since {seconds_ago}");
        let new = NewRun { priority, claim_for: Some(worker), ..lab.new_run(&id) };
        let execution = lab.started(new).await;
        let due = Timestamp::from_micros(now.as_micros() - seconds_ago * 1_000_000);
        lab.apply(lab.release(execution, worker, 1, Some(due))).await;
        ids.push(execution);
    }
    let mut claimed = Vec::new();
    for _ in &ids {
        claimed.extend(executions(&lab.claim_by(&Lab::<S>::request(worker, 1)).await));
    }
    assert_eq!(claimed, [4, 5, 2, 3, 0, 1].map(|place: usize| ids[place]));
}
