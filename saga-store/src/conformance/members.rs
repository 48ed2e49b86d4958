//! Who is there.

use std::time::Duration;

use super::lab::Lab;
use crate::{BuildId, NodeInfo, Store};

pub async fn members_see_each_others_beats_until_they_leave<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let other = lab.incarnation();
    let lease = Duration::from_secs(77);
    let node = NodeInfo { build: BuildId("build-2".into()), lease, ..Lab::<S>::node(other) };
    let joined = lab.store.join(&node).await.unwrap();
    assert!(!joined.proven_dead.contains(&worker), "a new member proves nobody dead who lives");
    let first = lab.store.beat(worker).await.unwrap();
    assert!(first.member);
    assert!(first.peers.iter().all(|peer| peer.incarnation != worker), "nobody is a peer of itself");
    let peer = first.peers.iter().find(|peer| peer.incarnation == other).unwrap().clone();
    assert_eq!((&peer.build, peer.dead, peer.lease), (&node.build, false, lease));
    let second = lab.store.beat(worker).await.unwrap();
    assert!(second.peers.contains(&peer), "no beat, no change");
    assert!(lab.store.beat(other).await.unwrap().member);
    let third = lab.store.beat(worker).await.unwrap();
    assert!(third.peers.iter().find(|peer| peer.incarnation == other).unwrap().beats != peer.beats);
    lab.store.leave(other).await.unwrap();
    assert!(!lab.store.beat(other).await.unwrap().member);
    assert!(lab.store.beat(worker).await.unwrap().peers.iter().all(|peer| peer.incarnation != other));
}

pub async fn a_stranger_is_no_member<S: Store>(lab: &Lab<S>) {
    let stranger = lab.incarnation();
    assert!(!lab.store.beat(stranger).await.unwrap().member);
    lab.store.leave(stranger).await.unwrap();
    assert!(!lab.store.beat(stranger).await.unwrap().member);
}

pub async fn the_stores_time_does_not_go_back<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let mut last = lab.store.beat(worker).await.unwrap().now;
    for _ in 0..100 {
        let now = lab.store.beat(worker).await.unwrap().now;
        assert!(now >= last);
        last = now;
    }
}
