//! Steps whose business writes and journal record are one transaction.
//!
//! The store runs the step's code between its own `BEGIN` and `COMMIT`, then appends the record
//! that the code's outcome calls for. A store that can do so names its transaction type by a
//! [`TxFamily`]; the engine carries the code to it as [`TxStep`], type-erased, and the store
//! takes it apart with [`TxStep::blocking`].

use std::any::Any;

use bytes::Bytes;

use crate::ids::Seq;
use crate::wire::{Row, split_rows};

/// A kind of transaction that user code can write through, named without its lifetime.
pub trait TxFamily: 'static {
    /// The transaction as user code sees it.
    type Tx<'a>;

    /// The [`Store::kind`](crate::Store::kind) of the stores that offer it.
    const STORE_KIND: &'static str;
}

/// Links a transaction type to its family: `SqliteTx<'_>` to the family of SQLite's.
pub trait Transaction {
    /// The family that this type belongs to.
    type Family: TxFamily;
}

/// What a transactional step asks of the store after its code has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxVerdict {
    /// Keep the writes and append this record body in place of the commit's last row.
    Keep(Bytes),
    /// Undo the writes; append the commit's own rows only.
    RollBack,
}

/// The code of a step on a store whose transactions are used from one thread.
///
/// It may be called again if the whole group has to be: what it did the first time was undone.
pub struct BlockingTxFn<F: TxFamily>(pub Box<BlockingCode<F>>);

/// What a [`BlockingTxFn`] boxes.
pub type BlockingCode<F> = dyn for<'a> FnMut(&<F as TxFamily>::Tx<'a>) -> TxVerdict + Send;

/// A transactional step on its way through the engine to a store.
pub struct TxStep {
    code: Box<dyn Any + Send>,
    store_kind: &'static str,
    on_rows: Option<Box<RowRewrite>>,
}

/// What [`TxStep::rewrite_rows`] boxes.
type RowRewrite = dyn Fn(Seq, Bytes) -> Bytes + Send;

impl TxStep {
    /// Packs the code of a step for stores of the family's kind.
    pub fn new<F: TxFamily>(code: BlockingTxFn<F>) -> Self {
        Self { code: Box::new(code), store_kind: F::STORE_KIND, on_rows: None }
    }

    /// The kind of store that can run it.
    pub fn store_kind(&self) -> &'static str {
        self.store_kind
    }

    /// Has each row of the record that the step brings rewritten before it is appended: a store
    /// around a store encrypts it.
    pub fn rewrite_rows(&mut self, rewrite: impl Fn(Seq, Bytes) -> Bytes + Send + 'static) {
        self.on_rows = Some(Box::new(rewrite));
    }

    /// The rows of the record that a [`TxVerdict::Keep`] brought, the first of them at `seq`. What
    /// a store appends.
    pub fn rows(&self, seq: Seq, record: Bytes) -> Vec<Row> {
        let mut rows = split_rows(record);
        if let Some(rewrite) = &self.on_rows {
            for (offset, row) in (0..).zip(&mut rows) {
                row.body = rewrite(seq.plus(offset), std::mem::take(&mut row.body));
            }
        }
        rows
    }

    /// The code, if it is of this family.
    pub fn blocking<F: TxFamily>(&mut self) -> Option<&mut BlockingTxFn<F>> {
        self.code.downcast_mut()
    }
}

impl std::fmt::Debug for TxStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TxStep").field("store_kind", &self.store_kind).finish_non_exhaustive()
    }
}
