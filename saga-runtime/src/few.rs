//! A map that mostly has one or two entries and sometimes thousands: few are kept in a vector,
//! whose room stays when they go, so that a run of steps one after another allocates nothing for
//! them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// So many entries are few.
const FEW: usize = 8;

/// A map in the order of its keys.
#[derive(Debug)]
pub(crate) enum FewMap<K, V> {
    Few(Vec<(K, V)>),
    Many(BTreeMap<K, V>),
}

impl<K, V> FewMap<K, V> {
    pub(crate) const fn new() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K, V> Default for FewMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord, V> FewMap<K, V> {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Few(few) => few.is_empty(),
            Self::Many(many) => many.is_empty(),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::Few(few) => find(few, key).ok().map(|at| &few[at].1),
            Self::Many(many) => many.get(key),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::Few(few) => find(few, key).ok().map(|at| &mut few[at].1),
            Self::Many(many) => many.get_mut(key),
        }
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Self::Few(few) = self
            && few.len() == FEW
        {
            *self = Self::Many(std::mem::take(few).into_iter().collect());
        }
        match self {
            Self::Few(few) => match find(few, &key) {
                Ok(at) => Some(std::mem::replace(&mut few[at].1, value)),
                Err(at) => {
                    if few.capacity() == 0 {
                        // Most have one at a time, and there are many runs.
                        few.reserve_exact(1);
                    }
                    few.insert(at, (key, value));
                    None
                }
            },
            Self::Many(many) => many.insert(key, value),
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            Self::Few(few) => find(few, key).ok().map(|at| few.remove(at).1),
            Self::Many(many) => {
                let removed = many.remove(key);
                if many.is_empty() {
                    *self = Self::default();
                }
                removed
            }
        }
    }

    /// Removes an entry where it is, and gives what is said of it.
    pub(crate) fn drop_entry<R>(&mut self, key: &K, say: impl FnOnce(&V) -> R) -> Option<R> {
        if let Self::Few(few) = self {
            let at = find(few, key).ok()?;
            let said = say(&few[at].1);
            // The last one is not moved.
            few.drain(at..=at);
            return Some(said);
        }
        self.remove(key).map(|value| say(&value))
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        match self {
            Self::Few(few) => few.retain_mut(|(key, value)| keep(key, value)),
            Self::Many(many) => many.retain(|key, value| {
                looked();
                keep(key, value)
            }),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many)),
        };
        few.into_iter()
            .flatten()
            .map(|(key, value)| (key, value))
            .chain(many.into_iter().flatten())
            .inspect(|_| looked())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many)),
        };
        few.into_iter()
            .flatten()
            .map(|(key, value)| (&*key, value))
            .chain(many.into_iter().flatten())
            .inspect(|_| looked())
    }

    /// From this key on.
    pub(crate) fn starting_at(&self, key: &K) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match self {
            Self::Few(few) => (Some(&few[find(few, key).unwrap_or_else(|at| at)..]), None),
            Self::Many(many) => (None, Some(many.range(key..))),
        };
        few.into_iter()
            .flatten()
            .map(|(key, value)| (key, value))
            .chain(many.into_iter().flatten())
            .inspect(|_| looked())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.iter_mut().map(|(_, value)| value)
    }

    /// The first key.
    pub(crate) fn first(&self) -> Option<&K> {
        match self {
            Self::Few(few) => few.first().map(|(key, _)| key),
            Self::Many(many) => many.first_key_value().map(|(key, _)| key),
        }
    }

    /// Takes the first entry out.
    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        match self {
            Self::Few(few) => (!few.is_empty()).then(|| few.remove(0)),
            Self::Many(many) => {
                let first = many.pop_first();
                if many.is_empty() {
                    *self = Self::default();
                }
                first
            }
        }
    }

    /// The room of entries that went is given back.
    pub(crate) fn shrink(&mut self) {
        if let Self::Few(few) = self {
            few.shrink_to_fit();
        }
    }

    /// Takes all out.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (K, V)> + use<K, V> {
        let (few, many) = match std::mem::take(self) {
            Self::Few(few) => (few, BTreeMap::new()),
            Self::Many(many) => (Vec::new(), many),
        };
        few.into_iter().chain(many)
    }
}

/// An entry was looked at that nobody has named.
#[inline]
fn looked() {
    #[cfg(test)]
    LOOKED.set(LOOKED.get() + 1);
}

#[cfg(test)]
thread_local! {
    /// How many entries were looked at on this thread without being named: what counts for the
    /// question whether something takes the square of their number.
    pub(crate) static LOOKED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[inline]
fn find<K: Ord, V>(few: &[(K, V)], key: &K) -> Result<usize, usize> {
    match few {
        [] => Err(0),
        // What most have.
        [(only, _)] => match only.cmp(key) {
            Ordering::Equal => Ok(0),
            Ordering::Less => Err(1),
            Ordering::Greater => Err(0),
        },
        few => few.binary_search_by(|(other, _)| other.cmp(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_entries_are_kept_alike() {
        let (mut ours, mut theirs) = (FewMap::default(), BTreeMap::new());
        let mut word = 1_u64;
        for _ in 0..20_000 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // It grows beyond few and shrinks again.
            let (key, grows) = ((word >> 40) % 16, (word >> 58) < 24 + 16 * ((word >> 20) & 1));
            if grows {
                assert_eq!(ours.insert(key, word), theirs.insert(key, word));
            } else {
                assert_eq!(ours.remove(&key), theirs.remove(&key));
            }
            assert!(ours.iter().eq(&theirs));
            assert_eq!(ours.first(), theirs.keys().next());
            if word.is_multiple_of(5) {
                assert_eq!(ours.drop_entry(&key, |value| *value), theirs.remove(&key));
            }
            if word.is_multiple_of(7) {
                assert_eq!(ours.pop_first(), theirs.pop_first());
            }
            assert_eq!(ours.get(&key), theirs.get(&key));
            assert!(ours.starting_at(&key).eq(theirs.range(key..)));
            assert_eq!(ours.is_empty(), theirs.is_empty());
        }
        ours.retain(|key, _| *key % 2 == 0);
        theirs.retain(|key, _| *key % 2 == 0);
        assert!(ours.keys().eq(theirs.keys()));
        ours.iter_mut().for_each(|(key, value)| *value = *key);
        assert!(ours.values().eq(theirs.keys()));
        assert!(ours.take().map(|(key, _)| key).eq(theirs.into_keys()));
        assert!(ours.is_empty());
    }
}
