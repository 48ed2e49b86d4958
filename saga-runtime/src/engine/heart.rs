//! The heartbeat: one a worker. It keeps the lease, learns the store's time, finds workers that
//! are gone, and joins anew when this worker was taken for gone itself.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use saga_store::{BuildId, ErrorKind, Incarnation, Joined, NodeInfo, StoreError};

use super::intake;
use super::mailbox::Mailbox;
use super::membership::Membership;
use super::observer::Observer;
use super::shared::Shared;

/// Who joins: the same in each life but for the incarnation.
pub(crate) struct Candidate<'a> {
    pub(crate) store: &'a dyn crate::erased::AnyStore,
    pub(crate) clock: &'a dyn crate::clock::Clock,
    pub(crate) entropy: &'a crate::entropy::Entropy,
    pub(crate) name: &'a str,
    pub(crate) build: &'a BuildId,
    pub(crate) lease: std::time::Duration,
}

impl Candidate<'_> {
    /// Makes this worker a member, under an incarnation that was never used before.
    pub(crate) async fn join(&self) -> Result<(Membership, Joined), StoreError> {
        let incarnation = self.entropy.incarnation(self.clock.now());
        let sent = self.clock.elapsed();
        let node = NodeInfo { name: self.name.to_owned(), incarnation, build: self.build.clone(), lease: self.lease };
        let joined = self.store.join(&node).await?;
        self.clock.learn(joined.now);
        Ok((Membership::new(incarnation, sent + self.lease), joined))
    }
}

/// Beats for as long as the engine lives.
pub(crate) async fn beat_loop(shared: Arc<Shared>) {
    let mut observer = Observer::new(shared.lease);
    let adopting = Arc::new(Adopting::default());
    loop {
        tokio::select! {
            biased;
            () = shared.doubt.notified() => {}
            () = shared.clock.sleep_until(shared.clock.now().after(shared.beat)) => {}
        }
        if shared.is_stopping() && shared.live.is_empty() {
            return;
        }
        let membership = shared.membership();
        let sent = shared.clock.elapsed();
        match shared.store.beat(membership.incarnation()).await {
            Ok(beat) if beat.member => {
                if !membership.holds_lease(shared.clock.elapsed()) {
                    observer.gap();
                }
                membership.extend(sent + shared.lease);
                shared.clock.learn(beat.now);
                for dead in observer.observe(&beat.peers, sent) {
                    adopting.adopt(&shared, dead);
                }
            }
            Ok(_) => {
                observer.gap();
                match rejoin(&shared, &membership).await {
                    Some(proven_dead) => proven_dead.into_iter().for_each(|dead| adopting.adopt(&shared, dead)),
                    None => return,
                }
            }
            Err(error) => {
                observer.gap();
                tracing::warn!(%error, "the heartbeat failed");
                if error.kind() == ErrorKind::Locked {
                    membership.end();
                    shared.live.for_each(Mailbox::lost);
                    return;
                }
            }
        }
    }
}

/// This worker was taken for dead: it drops its runs, which are others' by now, and begins a new
/// life. Gives the workers that the join has proven dead; nothing, if it shall not go on.
async fn rejoin(shared: &Arc<Shared>, old: &Membership) -> Option<Vec<Incarnation>> {
    tracing::error!(
        worker = %old.incarnation(),
        runs = shared.live.len(),
        "this worker was silent for too long and is no longer a member of the store; it drops its runs and joins anew"
    );
    old.end();
    shared.counts.dropped_runs.add(shared.live.len());
    shared.live.for_each(Mailbox::lost);
    let joined = loop {
        if shared.is_stopping() {
            return None;
        }
        match shared.join().await {
            Ok(joined) => break joined,
            Err(error) if error.kind() == ErrorKind::Locked => {
                tracing::error!(%error, "another engine has the store; this one drives nothing any more");
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, "the store cannot be joined now");
                shared.clock.sleep_until(shared.clock.now().after(shared.beat)).await;
            }
        }
    };
    // What nobody has taken over yet is free at once. If the store is not told, it finds out.
    if let Err(error) = shared.store.leave(old.incarnation()).await {
        tracing::warn!(%error, "the store was not told that runs of the life before are free");
    }
    shared.counts.rejoins.add(1);
    tracing::info!(worker = %shared.membership().incarnation(), "joined anew");
    shared.live.look_again();
    shared.post.sweep();
    Some(joined.proven_dead.into_iter().filter(|dead| *dead != old.incarnation()).collect())
}

/// Whose runs are being taken over: beside the heartbeat, which must not wait for it.
#[derive(Default)]
struct Adopting(Mutex<BTreeSet<Incarnation>>);

impl Adopting {
    fn adopt(self: &Arc<Self>, shared: &Arc<Shared>, dead: Incarnation) {
        if !self.lock().insert(dead) {
            return;
        }
        tracing::warn!(worker = %dead, "a worker is gone; its runs are taken over");
        let (adopting, shared) = (Arc::clone(self), Arc::clone(shared));
        let spawner = shared.spawner.clone();
        spawner.spawn(async move {
            if let Err(error) = intake::adopt(&shared, dead).await {
                tracing::warn!(%error, worker = %dead, "its runs cannot be taken over now");
            }
            adopting.lock().remove(&dead);
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<Incarnation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
