//! Who is dead: judged by their beats as this worker has seen them, on its own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use saga_store::{Incarnation, Peer};

/// What this worker has seen of the others.
#[derive(Debug)]
pub(crate) struct Observer {
    lease: Duration,
    /// Since when this worker itself has beaten without a gap: others are judged only after a
    /// lease of that, else one outage would make everyone take everything.
    steady_since: Option<Duration>,
    seen: BTreeMap<Incarnation, Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    beats: u64,
    since: Duration,
}

impl Observer {
    /// An observer whose own lease is this long.
    pub(crate) fn new(lease: Duration) -> Self {
        Self { lease, steady_since: None, seen: BTreeMap::new() }
    }

    /// This worker's own beat failed, or came too late.
    pub(crate) fn gap(&mut self) {
        self.steady_since = None;
        self.seen.clear();
    }

    /// A good beat, sent at this moment of the process's own time; says who is dead: those whose
    /// beat has not changed for their whole lease.
    pub(crate) fn observe(&mut self, peers: &[Peer], sent: Duration) -> Vec<Incarnation> {
        let steady = sent.saturating_sub(*self.steady_since.get_or_insert(sent)) > self.lease;
        self.seen.retain(|incarnation, _| peers.iter().any(|peer| peer.incarnation == *incarnation));
        let mut dead = Vec::new();
        for peer in peers {
            let fresh = Seen { beats: peer.beats, since: sent };
            let seen = self.seen.entry(peer.incarnation).or_insert(fresh);
            if seen.beats != peer.beats {
                *seen = fresh;
            }
            if steady && sent.saturating_sub(seen.since) > peer.lease {
                dead.push(peer.incarnation);
            }
        }
        dead
    }
}

#[cfg(test)]
mod tests {
    use saga_store::BuildId;

    use super::*;

    const LEASE: Duration = Duration::from_secs(12);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1000 + seconds)
    }

    fn peer(beats: u64) -> Peer {
        Peer {
            incarnation: Incarnation::from_bytes([7; 16]),
            build: BuildId("1".into()),
            dead: false,
            beats,
            lease: LEASE,
        }
    }

    fn dead(observer: &mut Observer, beats: u64, seconds: u64) -> bool {
        !observer.observe(&[peer(beats)], at(seconds)).is_empty()
    }

    #[test]
    fn a_peer_that_is_silent_for_its_lease_is_dead() {
        let mut observer = Observer::new(LEASE);
        assert!(!dead(&mut observer, 1, 0));
        assert!(!dead(&mut observer, 2, 3));
        assert!(!dead(&mut observer, 2, 15));
        assert!(dead(&mut observer, 2, 16));
        assert!(!dead(&mut observer, 3, 17), "it beats again");
    }

    #[test]
    fn after_a_gap_of_its_own_it_judges_nobody_for_a_lease() {
        let mut observer = Observer::new(LEASE);
        assert!(!dead(&mut observer, 1, 0));
        observer.gap();
        for seconds in [100, 103, 112] {
            assert!(!dead(&mut observer, 1, seconds), "the outage was everyone's");
        }
        assert!(dead(&mut observer, 1, 113));
    }

    #[test]
    fn a_peer_that_has_just_come_is_given_its_lease() {
        let mut observer = Observer::new(LEASE);
        observer.observe(&[], at(0));
        assert!(!dead(&mut observer, 1, 100));
        assert!(!dead(&mut observer, 1, 112));
        assert!(dead(&mut observer, 1, 113));
    }
}
