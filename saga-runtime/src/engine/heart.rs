//! The heartbeat: one a worker. It keeps the lease, learns the store's time, and finds workers
//! that are gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use saga_store::{Beat, ErrorKind, Incarnation, Timestamp};

use super::intake;
use super::live::Mailbox;
use super::shared::Shared;

/// What this worker has seen of another one.
struct Seen {
    beats: u64,
    since: Timestamp,
}

/// Beats for as long as the engine lives.
pub(crate) async fn beat_loop(shared: Arc<Shared>) {
    let mut seen: BTreeMap<Incarnation, Seen> = BTreeMap::new();
    // Others are judged only after this worker itself has beaten without a gap for a lease.
    let mut steady_since: Option<Timestamp> = None;
    loop {
        shared.clock.sleep_until(shared.clock.now().after(shared.beat)).await;
        if shared.is_stopping() && shared.live.is_empty() {
            return;
        }
        let sent = shared.clock.now();
        match shared.store.beat(shared.incarnation).await {
            Ok(beat) if beat.member => {
                if !shared.holds_lease(shared.clock.now()) {
                    steady_since = None;
                    seen.clear();
                }
                shared.lease_until.store(sent.after(shared.lease).as_micros(), Ordering::Release);
                shared.clock.learn(beat.now);
                let steady = *steady_since.get_or_insert(sent);
                for dead in judge(&shared, &mut seen, &beat, steady, sent) {
                    tracing::warn!(worker = %dead, "a worker is gone; its runs are taken over");
                    if let Err(error) = intake::adopt(&shared, dead).await {
                        tracing::warn!(%error, worker = %dead, "its runs cannot be taken over now");
                    }
                }
            }
            Ok(_) => {
                tracing::error!("this worker is no longer a member of the store; its runs are dropped");
                shared.lease_until.store(0, Ordering::Release);
                shared.live.for_each(Mailbox::lost);
                return;
            }
            Err(error) => {
                steady_since = None;
                seen.clear();
                tracing::warn!(%error, "the heartbeat failed");
                if error.kind() == ErrorKind::Locked {
                    shared.live.for_each(Mailbox::lost);
                    return;
                }
            }
        }
    }
}

/// The peers whose beat has not changed for their whole lease, as seen by this worker, which has
/// beaten without a gap meanwhile.
fn judge(
    shared: &Shared,
    seen: &mut BTreeMap<Incarnation, Seen>,
    beat: &Beat,
    steady: Timestamp,
    now: Timestamp,
) -> Vec<Incarnation> {
    shared.has_peers.store(!beat.peers.is_empty(), Ordering::Release);
    seen.retain(|incarnation, _| beat.peers.iter().any(|peer| peer.incarnation == *incarnation));
    let mut dead = Vec::new();
    for peer in &beat.peers {
        let entry = seen.entry(peer.incarnation).or_insert(Seen { beats: peer.beats, since: now });
        if entry.beats != peer.beats {
            *entry = Seen { beats: peer.beats, since: now };
        }
        if now.since(entry.since) > peer.lease && now.since(steady) > shared.lease {
            dead.push(peer.incarnation);
        }
    }
    dead
}
