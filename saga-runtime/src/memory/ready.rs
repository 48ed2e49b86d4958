//! Who owns what, and who gets what next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use saga_store::{
    Beat, Claim, ClaimedRun, Differences, ExecutionId, Hint, Incarnation, Joined, NodeInfo, Peer, RunState, Timestamp,
};

use super::state::{Hold, Member, Run, State};

impl State {
    pub(super) fn join(&mut self, node: &NodeInfo, now: Timestamp) -> Joined {
        self.bury();
        let proven_dead = self.members.iter().filter(|(_, member)| member.dead).map(|(id, _)| *id).collect();
        let member = Member { beats: 0, build: node.build.clone(), lease: node.lease, dead: false };
        self.members.entry(node.incarnation).or_insert(member);
        Joined { now, proven_dead }
    }

    pub(super) fn beat(&mut self, incarnation: Incarnation, now: Timestamp) -> Beat {
        let mut member = false;
        if let Some(alive) = self.members.get_mut(&incarnation).filter(|member| !member.dead) {
            alive.beats += 1;
            member = true;
        }
        let peers = self
            .members
            .iter()
            .filter(|(other, _)| **other != incarnation)
            .map(|(other, peer)| Peer {
                incarnation: *other,
                build: peer.build.clone(),
                dead: peer.dead,
                beats: peer.beats,
                lease: peer.lease,
            })
            .collect();
        Beat { now, member, peers }
    }

    pub(super) fn leave(&mut self, incarnation: Incarnation, now: Timestamp, hints: &mut Vec<Hint>) {
        self.members.remove(&incarnation);
        for execution in self.owned.get(&incarnation).cloned().unwrap_or_default() {
            self.hand_over(execution, now);
            hints.push(Hint::Ready);
        }
    }

    /// Lets go a run whose owner did not release it.
    fn hand_over(&mut self, execution: ExecutionId, now: Timestamp) {
        self.place(execution, Hold::Free(Some(now)));
        if let Some(run) = self.runs.get_mut(&execution) {
            run.taken_over = true;
        }
    }

    fn is_alive(&self, incarnation: Incarnation) -> bool {
        self.members.get(&incarnation).is_some_and(|member| !member.dead)
    }

    /// `None` if the worker is no member.
    pub(super) fn claim(&mut self, claim: &Claim, now: Timestamp) -> Option<Vec<ClaimedRun>> {
        if !self.is_alive(claim.incarnation) {
            return None;
        }
        // A worker that was taken for dead and lives on can own what it appended to since.
        let strays: Vec<_> = self
            .owned
            .iter()
            .filter(|(owner, _)| !self.members.contains_key(owner))
            .flat_map(|(_, runs)| runs.iter().copied())
            .collect();
        for execution in strays {
            self.hand_over(execution, now);
        }
        self.offered = Some(now);
        let mut lanes = self.due_by_lane(claim, now);
        let mut claimed = Vec::new();
        while claimed.len() < claim.slots {
            let Some(lane) = next_lane(&lanes, self.last_lane.as_deref()) else { break };
            let Some(queue) = lanes.get_mut(&lane) else { break };
            let next = queue.pop_front();
            if queue.is_empty() {
                lanes.remove(&lane);
            }
            self.last_lane = Some(lane);
            claimed.extend(next.and_then(|execution| self.take(execution, claim.incarnation, now)));
        }
        Some(claimed)
    }

    /// What this worker gets of some runs that have been woken, in the order in which they were.
    pub(super) fn claim_of(
        &mut self,
        claim: &Claim,
        woken: impl Iterator<Item = ExecutionId>,
        now: Timestamp,
    ) -> Vec<ClaimedRun> {
        let mut claimed = Vec::new();
        for execution in woken {
            let fits = self.is_alive(claim.incarnation)
                && self.free.contains(&execution)
                && self.runs.get(&execution).is_some_and(|run| run.due_since(now).is_some() && self.fits(claim, run));
            if fits && claimed.len() < claim.slots {
                claimed.extend(self.take(execution, claim.incarnation, now));
            }
        }
        claimed
    }

    /// Whether a worker serves a run that is not left to those of other builds.
    fn fits(&self, claim: &Claim, run: &Run) -> bool {
        let living = || self.members.values().filter(|member| !member.dead).map(|member| &member.build);
        let left_to_others =
            || run.refused_by.contains(&claim.build) && living().any(|build| !run.refused_by.contains(build));
        let serves = |(name, version): &(String, u32)| *name == run.view.workflow && *version == run.view.version;
        claim.filter.workflows.iter().any(serves) && !left_to_others()
    }

    /// What this worker could take, each lane by priority, then time.
    fn due_by_lane(&self, claim: &Claim, now: Timestamp) -> BTreeMap<String, VecDeque<ExecutionId>> {
        let mut due: Vec<_> = self
            .free
            .iter()
            .filter_map(|execution| self.runs.get(execution))
            .filter(|run| self.fits(claim, run))
            .filter_map(|run| {
                Some((Reverse(run.view.priority), run.due_since(now)?, run.view.execution, &run.view.lane))
            })
            .collect();
        due.sort_unstable();
        let mut lanes = BTreeMap::<String, VecDeque<ExecutionId>>::new();
        for (.., execution, lane) in due {
            lanes.entry(lane.clone()).or_default().push_back(execution);
        }
        lanes
    }

    /// Makes a worker the owner of a run.
    fn take(&mut self, execution: ExecutionId, by: Incarnation, now: Timestamp) -> Option<ClaimedRun> {
        self.place(execution, Hold::Owned(by));
        let run = self.runs.get_mut(&execution)?;
        if run.view.state == RunState::Pending {
            run.view.state = RunState::Running;
            run.view.updated_at = now;
        }
        // Until a claim record is appended, every further takeover needs one as well.
        run.claim_record_due = run.taken_over;
        Some(given(run))
    }

    pub(super) fn reconcile(&self, owner: Incarnation, driven: &[ExecutionId], max: usize) -> Differences {
        let driven: BTreeSet<ExecutionId> = driven.iter().copied().collect();
        let theirs = self.owned.get(&owner).cloned().unwrap_or_default();
        let run = |execution: &ExecutionId| self.runs.get(execution);
        let kept = theirs.intersection(&driven).filter_map(run);
        Differences {
            undriven: theirs.difference(&driven).take(max).filter_map(run).map(given).collect(),
            lost: driven.difference(&theirs).copied().collect(),
            unread: kept.filter(|run| !run.inbox.is_empty()).map(|run| run.view.execution).collect(),
        }
    }

    /// `None` if the adopter is no member.
    pub(super) fn adopt(
        &mut self,
        dead: Incarnation,
        by: Incarnation,
        max: usize,
        now: Timestamp,
    ) -> Option<Vec<ClaimedRun>> {
        if !self.is_alive(by) || dead == by {
            return None;
        }
        if let Some(member) = self.members.get_mut(&dead) {
            member.dead = true;
        }
        for sent in self.outbox.values_mut().filter(|sent| sent.sender == dead) {
            sent.sender = by;
        }
        let left: Vec<_> = self.owned.get(&dead).into_iter().flatten().copied().take(max).collect();
        let mut adopted = Vec::with_capacity(left.len());
        for execution in left {
            if let Some(run) = self.runs.get_mut(&execution) {
                run.taken_over = true;
                run.deaths = run.deaths.saturating_add(1);
            }
            adopted.extend(self.take(execution, by, now));
        }
        self.bury();
        Some(adopted)
    }

    /// When the next free run is due that the last claim was too early for. (What was due by
    /// then and not taken waits for a free slot or for another build, not for a time.)
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.free
            .iter()
            .filter_map(|execution| match self.runs.get(execution)?.hold {
                Hold::Free(at) => at,
                Hold::Owned(_) | Hold::Ended => None,
            })
            .filter(|at| self.offered.is_none_or(|offered| *at > offered))
            .min()
    }
}

/// A run as its owner gets it.
fn given(run: &Run) -> ClaimedRun {
    ClaimedRun {
        id: run.view.id.clone(),
        execution: run.view.execution,
        workflow: run.view.workflow.clone(),
        version: run.view.version,
        taken_over: run.taken_over,
        deaths: run.deaths,
    }
}

/// The first lane after the one that was served last, in the order of their names, around.
fn next_lane(lanes: &BTreeMap<String, VecDeque<ExecutionId>>, last: Option<&str>) -> Option<String> {
    let after = last.and_then(|last| lanes.range::<str, _>((Bound::Excluded(last), Bound::Unbounded)).next());
    after.or_else(|| lanes.first_key_value()).map(|(lane, _)| lane.clone())
}
