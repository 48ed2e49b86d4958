//! What the macros ask of types in a body: whether an iterator goes in hash order, around the head
//! of a `for`; and whether refused code was given something durable.

use std::collections::{hash_map, hash_set};
use std::future::Future;
use std::iter;

use crate::durable::Durable;

/// An iterator whose order is that of a hash table, which differs from process to process.
pub trait HashOrdered {}

macro_rules! hash_ordered {
    ($([$($generics:tt)*] $iterator:ty;)*) => {
        $(impl<$($generics)*> HashOrdered for $iterator {})*
    };
}

hash_ordered! {
    [K, V] hash_map::Iter<'_, K, V>;
    [K, V] hash_map::IterMut<'_, K, V>;
    [K, V] hash_map::IntoIter<K, V>;
    [K, V] hash_map::Keys<'_, K, V>;
    [K, V] hash_map::Values<'_, K, V>;
    [K, V] hash_map::ValuesMut<'_, K, V>;
    [K, V] hash_map::IntoKeys<K, V>;
    [K, V] hash_map::IntoValues<K, V>;
    [K, V] hash_map::Drain<'_, K, V>;
    [T] hash_set::Iter<'_, T>;
    [T] hash_set::IntoIter<T>;
    [T] hash_set::Drain<'_, T>;
    [T, S] hash_set::Union<'_, T, S>;
    [T, S] hash_set::Intersection<'_, T, S>;
    [T, S] hash_set::Difference<'_, T, S>;
    [T, S] hash_set::SymmetricDifference<'_, T, S>;
    [I: HashOrdered] iter::Cloned<I>;
    [I: HashOrdered] iter::Copied<I>;
    [I: HashOrdered] iter::Enumerate<I>;
    [I: HashOrdered] iter::Fuse<I>;
    [I: HashOrdered] iter::Skip<I>;
    [I: HashOrdered] iter::StepBy<I>;
    [I: HashOrdered] iter::Take<I>;
    [I: HashOrdered + Iterator] iter::Peekable<I>;
    [I: HashOrdered, F] iter::Filter<I, F>;
    [I: HashOrdered, F] iter::FilterMap<I, F>;
    [I: HashOrdered, F] iter::Inspect<I, F>;
    [I: HashOrdered, F] iter::Map<I, F>;
    [I: HashOrdered, F] iter::MapWhile<I, F>;
    [I: HashOrdered, F] iter::SkipWhile<I, F>;
    [I: HashOrdered, F] iter::TakeWhile<I, F>;
    [I: HashOrdered, F, U: IntoIterator] iter::FlatMap<I, U, F>;
    [I: HashOrdered + Iterator<Item: IntoIterator>] iter::Flatten<I>;
    [I: HashOrdered, J] iter::Chain<I, J>;
    [I: HashOrdered, J] iter::Zip<I, J>;
    [I: HashOrdered + ?Sized] &mut I;
    [I: HashOrdered + ?Sized] Box<I>;
}

/// What a workflow can iterate over. Nothing implements it: what goes in order is never asked.
#[diagnostic::on_unimplemented(
    message = "a workflow cannot iterate over `{Self}`: hash order differs from replay to replay",
    label = "iterated in hash order",
    note = "use a `BTreeMap` or a `BTreeSet`, or collect into a `Vec` and sort it; where the order does not matter, `allow(hash_order)` on the attribute says so"
)]
pub trait InOrder {}

/// The head of a `for`. The method below is chosen where it goes in hash order: the program does
/// not compile. By value, and without a block around it, so that temporaries live as they would.
pub struct Iterated<T>(pub T);

impl<T: IntoIterator<IntoIter: HashOrdered>> Iterated<T> {
    /// Needs what nothing has.
    pub fn in_order(self) -> T
    where
        T: InOrder,
    {
        self.0
    }
}

/// Chosen everywhere else.
pub trait OrderedProbe<T> {
    /// What is iterated over, as it is.
    fn in_order(self) -> T;
}

impl<T> OrderedProbe<T> for Iterated<T> {
    fn in_order(self) -> T {
        self.0
    }
}

/// What refused code gives to a foreign function. The program does not compile; with a future in
/// place of a durable call there is no second error.
pub struct Given<T>(pub T);

/// Chosen where a durable operation was given.
pub trait DurableGiven {
    /// Its future.
    type Future: Future;

    /// The future.
    fn given(self) -> Self::Future;
}

impl<T: Durable> DurableGiven for Given<T> {
    type Future = T::Operation;

    fn given(self) -> T::Operation {
        self.0.into_operation()
    }
}

/// Chosen everywhere else.
pub trait OtherwiseGiven<T> {
    /// Never called.
    fn given(self) -> T;
}

impl<T> OtherwiseGiven<T> for &Given<T> {
    fn given(self) -> T {
        unreachable!("code that is refused does not run")
    }
}
