//! Steps whose business writes and journal record are one transaction.
//!
//! The store runs the step's code between its own `BEGIN` and `COMMIT`, then appends the record
//! that the code's outcome calls for. A store that can do so names its transaction type by a
//! [`TxFamily`]; the engine carries the code to it as [`TxStep`], type-erased.
//!
//! There are two kinds. Where transactions are used from one thread the code is a plain function
//! and part of a commit ([`RunCommit::tx`](crate::RunCommit::tx), [`TxStep::blocking`]). Where they are sessions of
//! their own the code awaits: [`Store::transact`](crate::Store::transact) runs it and leaves the
//! transaction open, and [`OpenTx::commit`](crate::OpenTx::commit) ends it with the append. Meanwhile the run, and all
//! others, go on.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

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

/// Links a transaction type that plain functions use to its family: `SqliteTx<'_>` to the family
/// of SQLite's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no transaction of a plain `fn`",
    label = "not such a transaction",
    note = "a plain `fn` takes `&SqliteTx<'_>`; for PostgreSQL write an `async fn` that takes `&mut PostgresTx<'_>`"
)]
pub trait Transaction {
    /// The family that this type belongs to.
    type Family: TxFamily;
}

/// Links a transaction type that async functions use to its family: `PostgresTx<'_>` to the
/// family of PostgreSQL's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no transaction of an `async fn`",
    label = "not such a transaction",
    note = "an `async fn` takes `&mut PostgresTx<'_>`; for SQLite write a plain `fn` that takes `&SqliteTx<'_>`"
)]
pub trait AsyncTransaction {
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

/// What the code of a step wishes for what it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxEnd {
    /// To be committed, with the step's record.
    Keep,
    /// To be undone.
    RollBack,
}

/// The code of a step on a store whose transactions are sessions of their own.
pub struct AsyncTxFn<F: TxFamily>(pub Box<AsyncCode<F>>);

/// What an [`AsyncTxFn`] boxes.
pub type AsyncCode<F> = dyn for<'t, 'a> FnOnce(&'t mut <F as TxFamily>::Tx<'a>) -> TxFuture<'t, TxEnd> + Send;

/// A boxed future of a step.
pub type TxFuture<'t, T> = Pin<Box<dyn Future<Output = T> + Send + 't>>;

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

    /// Packs code that awaits.
    pub fn awaiting<F: TxFamily>(code: AsyncTxFn<F>) -> Self {
        Self { code: Box::new(code), store_kind: F::STORE_KIND, on_rows: None }
    }

    /// The code that awaits, if it is of this family.
    pub fn into_awaiting<F: TxFamily>(self) -> Option<AsyncTxFn<F>> {
        self.code.downcast().ok().map(|code| *code)
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

impl fmt::Debug for TxStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxStep").field("store_kind", &self.store_kind).finish_non_exhaustive()
    }
}
