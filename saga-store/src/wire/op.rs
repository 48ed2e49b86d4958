//! Where in a workflow's code an operation stands.

use std::cmp::Ordering;
use std::fmt;

use minicbor::data::Type;
use minicbor::{Decode, Decoder, Encode, Encoder};
use smallvec::SmallVec;

/// The place of an operation: its number within its scope, after the numbers of the scopes
/// around it. `4` is the fifth operation of the body; `4.1.0` the first one of the second branch
/// of a `join!` that is the fifth operation.
///
/// It depends on the code's path alone, never on timing, so that a replay finds the same ids.
#[derive(PartialEq, Eq, Hash, Default)]
pub struct OpId(SmallVec<[u32; 4]>);

/// A step is looked up by its place a dozen times, and most places have one number.
impl Ord for OpId {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.path(), other.path()) {
            ([one], [other]) => one.cmp(other),
            (one, other) => one.cmp(other),
        }
    }
}

impl PartialOrd for OpId {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A step copies its place fifteen times, and most places have one number.
impl Clone for OpId {
    #[inline]
    fn clone(&self) -> Self {
        match self.path() {
            [only] => Self(SmallVec::from_buf_and_len([*only, 0, 0, 0], 1)),
            path => Self(SmallVec::from_slice(path)),
        }
    }
}

impl OpId {
    /// The place with this number directly below the scope `self`.
    #[must_use]
    pub fn child(&self, number: u32) -> Self {
        let mut child = match self.path() {
            // Most are directly in the body.
            [] => return Self(SmallVec::from_buf_and_len([number, 0, 0, 0], 1)),
            _ => self.clone(),
        };
        child.0.push(number);
        child
    }

    /// The scope of the body itself, which has no number.
    pub fn root() -> Self {
        Self::default()
    }

    /// The numbers, outermost first.
    pub fn path(&self) -> &[u32] {
        &self.0
    }

    /// Whether `self` is `scope` or lies within it.
    pub fn is_within(&self, scope: &Self) -> bool {
        self.0.starts_with(&scope.0)
    }
}

impl From<&[u32]> for OpId {
    fn from(path: &[u32]) -> Self {
        Self(SmallVec::from_slice(path))
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, number) in self.0.iter().enumerate() {
            if depth > 0 {
                f.write_str(".")?;
            }
            fmt::Display::fmt(number, f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{self}")
    }
}

/// One number stands for a path of one, which most are; an array for the others.
impl<C> Encode<C> for OpId {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        if let [only] = self.0.as_slice() {
            e.u32(*only)?;
            return Ok(());
        }
        e.array(self.0.len() as u64)?;
        for number in &self.0 {
            e.u32(*number)?;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for OpId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        if d.datatype()? != Type::Array {
            return Ok(Self(SmallVec::from_slice(&[d.u32()?])));
        }
        d.array_iter::<u32>()?.collect::<Result<_, _>>().map(Self)
    }
}
