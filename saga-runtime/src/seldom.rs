//! What most runs have nothing of takes no room in them: a run is looked at from one end to the other in each
//! turn, and the shorter it is the fewer lines of the cache it takes.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// An empty one, to be looked at where there is none.
pub(crate) trait Empty: Default + 'static {
    /// Equal to the default.
    fn empty() -> &'static Self;
}

/// A value with room of its own, once it is asked for to be changed; empty before. So ask whether there is
/// anything to change first, where that is done often.
pub(crate) struct Seldom<T>(Option<Box<T>>);

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Empty> Deref for Seldom<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            None => T::empty(),
        }
    }
}

impl<T: Empty> DerefMut for Seldom<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Empty + fmt::Debug> fmt::Debug for Seldom<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Numbers(Vec<u32>);

    impl Empty for Numbers {
        fn empty() -> &'static Self {
            static EMPTY: Numbers = Numbers(Vec::new());
            &EMPTY
        }
    }

    #[test]
    fn it_has_room_once_it_is_changed_and_is_empty_before() {
        let mut seldom = Seldom::<Numbers>::default();
        assert!(*seldom == Numbers::default() && seldom.0.is_none());
        (*seldom).0.push(7);
        assert!(*seldom == Numbers(vec![7]) && *Numbers::empty() == Numbers::default());
    }
}
