//! Journals put into an empty store as a worker that died had left them.

use std::time::Duration;

use saga_runtime::store::wire::{Entry, Row, join_rows};
use saga_runtime::store::{
    BuildId, CommitOutcome, Incarnation, JournalRow, NewRun, NodeInfo, OnExisting, RunCommit, RunView, Started, Store,
    Then, Timestamp,
};

/// A run as another store has it.
pub(crate) struct Whole {
    pub(crate) view: RunView,
    pub(crate) journal: Vec<JournalRow>,
}

impl Whole {
    /// The newest execution of a run.
    pub(crate) async fn read(store: &impl Store, id: &str) -> Self {
        let id = saga_runtime::store::RunId::new(id).unwrap();
        let view = store.get(&id).await.unwrap().unwrap();
        let journal = store.load(&[view.execution]).await.unwrap().remove(0).journal;
        Self { view, journal }
    }

    /// The entries of the first so many rows.
    pub(crate) fn entries(&self, rows: usize) -> Vec<Entry> {
        join_rows(&self.journal[..rows]).unwrap().into_iter().flat_map(|record| record.entries).collect()
    }

    /// Puts the first so many rows into an empty store.
    pub(crate) async fn plant(&self, store: &impl Store, rows: usize) {
        let old = Incarnation::generate(Timestamp::from_system_clock(), &[3; 10]);
        let build = BuildId("old".into());
        let node = NodeInfo { name: "old".to_owned(), incarnation: old, build, lease: Duration::from_secs(1) };
        store.join(&node).await.unwrap();
        assert_eq!(store.start(vec![self.new_run(old)]).await.unwrap(), [Started::New]);
        for row in &self.journal[1..rows] {
            let outcome = store.commit(vec![self.append(row, old)]).await.unwrap().remove(0);
            assert!(matches!(outcome, CommitOutcome::Applied(_)), "{outcome:?}");
        }
        store.leave(old).await.unwrap();
    }

    fn new_run(&self, owner: Incarnation) -> NewRun {
        NewRun {
            id: self.view.id.clone(),
            execution: self.view.execution,
            workflow: self.view.workflow.clone(),
            version: self.view.version,
            lane: String::new(),
            priority: 0,
            not_before: None,
            attributes: Vec::new(),
            memo: None,
            input_digest: 0,
            first: self.journal[0].body.clone(),
            nonce: self.journal[0].nonce,
            blobs: Vec::new(),
            messages: Vec::new(),
            claim_for: Some(owner),
            on_existing: OnExisting::Return,
        }
    }

    fn append(&self, row: &JournalRow, owner: Incarnation) -> RunCommit {
        RunCommit {
            execution: self.view.execution,
            owner,
            seq: row.seq,
            nonce: row.nonce,
            rows: vec![Row { body: row.body.clone(), more: row.more }],
            blobs: Vec::new(),
            inbox_seen: None,
            outbox: Vec::new(),
            sent: Vec::new(),
            change: None,
            status: None,
            then: Then::Keep,
            tx: None,
        }
    }
}
