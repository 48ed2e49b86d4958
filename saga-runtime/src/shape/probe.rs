//! The probe: a deserializer that answers whatever it is asked, and remembers what that was.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, U32Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer as _, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::Shape;

/// Texts that types with checks of their own may take, the first that is taken.
pub(super) const TEXTS: &[&str] = &[
    "",
    "a",
    "1",
    "00000000-0000-0000-0000-000000000000",
    "1970-01-01T00:00:00Z",
    "1970-01-01",
    "00:00:00",
    "127.0.0.1",
    "127.0.0.1:80",
    "http://example.com/",
    "a@example.com",
];

/// So deep may a type nest.
const DEPTH: usize = 48;

pub(super) type Path = Vec<u16>;

/// What one place asks for.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Leaf(Shape),
    Optional,
    List,
    Map,
    Tuple(usize),
    Newtype,
    Struct(&'static [&'static str]),
    Enum(&'static [&'static str]),
}

#[derive(Default)]
pub(super) struct Script {
    /// The variant to take at a place.
    pub(super) variants: BTreeMap<Path, usize>,
    /// Where the variant is what the pass is about.
    pub(super) pinned: Option<Path>,
    /// The field to leave out.
    pub(super) omitted: Option<(Path, usize)>,
    /// Other names of fields, and the fields' own.
    pub(super) aliases: BTreeMap<(Path, usize), String>,
    /// Names that are given before the others, since others are aliases of them.
    pub(super) first: BTreeSet<(Path, usize)>,
    /// The struct that is given a field which it does not know.
    pub(super) stranger: Option<Path>,
    /// Places that are left empty, since what they hold does not end.
    pub(super) empty: BTreeSet<Path>,
    /// Which of [`TEXTS`], or which number, a leaf gives.
    pub(super) answers: BTreeMap<Path, usize>,
}

#[derive(Default)]
pub(super) struct Notes {
    pub(super) asked: BTreeMap<Path, Asked>,
    /// The names of the types around the place that is read.
    pub(super) around: Vec<&'static str>,
    pub(super) last_leaf: Option<Path>,
    /// The place that does not end.
    pub(super) endless: Option<Path>,
    /// The name that was given last.
    pub(super) named: Option<(Path, usize)>,
}

pub(super) struct Session {
    pub(super) script: Script,
    pub(super) notes: RefCell<Notes>,
}

/// Why a pass ended, and which field was given twice if that is why.
#[derive(Debug)]
pub(super) struct Failed(pub(super) String, pub(super) Option<&'static str>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl serde::de::Error for Failed {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string(), None)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self(format!("duplicate field `{field}`"), Some(field))
    }
}

#[derive(Clone)]
pub(super) struct Probe<'a> {
    pub(super) session: &'a Session,
    pub(super) path: Path,
}

impl Probe<'_> {
    fn at(&self, index: usize) -> Self {
        let mut path = self.path.clone();
        path.push(u16::try_from(index).unwrap_or(u16::MAX));
        Self { session: self.session, path }
    }

    fn ask(&self, asked: Asked) {
        self.session.notes.borrow_mut().asked.insert(self.path.clone(), asked);
    }

    fn leaf(&self, shape: Shape) -> usize {
        self.ask(Asked::Leaf(shape));
        self.session.notes.borrow_mut().last_leaf = Some(self.path.clone());
        self.session.script.answers.get(&self.path).copied().unwrap_or(0)
    }

    /// Which of so many fields are given here: each once, under one name.
    fn given(&self, count: usize) -> Vec<usize> {
        let script = &self.session.script;
        let here = |index: usize| (self.path.clone(), index);
        let is_given = |index: &usize| {
            script.omitted.as_ref() != Some(&here(*index)) && !script.aliases.contains_key(&here(*index))
        };
        let mut given: Vec<usize> = (0..count).filter(is_given).collect();
        given.sort_by_key(|index| !script.first.contains(&here(*index)));
        if script.stranger.as_ref() == Some(&self.path) {
            given.push(count);
        }
        given
    }

    fn is_empty(&self) -> bool {
        self.session.script.empty.contains(&self.path)
    }

    /// Reads a type that has a name; one that is around itself goes on without end.
    fn named<R>(&self, name: &'static str, read: impl FnOnce() -> Result<R, Failed>) -> Result<R, Failed> {
        let mut notes = self.session.notes.borrow_mut();
        let again = notes.around.iter().filter(|around| **around == name).count() > 1;
        if again || self.path.len() > DEPTH {
            notes.endless = Some(self.path.clone());
            return Err(Failed(format!("`{name}` holds itself"), None));
        }
        notes.around.push(name);
        drop(notes);
        let result = read();
        self.session.notes.borrow_mut().around.pop();
        result
    }
}

macro_rules! integers {
    ($($method:ident, $visit:ident, $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
            let answer = self.leaf(Shape::Integer(stringify!($type).to_owned()));
            visitor.$visit(<$type>::try_from(answer).unwrap_or_default())
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Failed;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Failed> {
        Err(Failed("it takes anything, or is flattened or untagged".to_owned(), None))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_unit()
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_any(visitor)
    }

    integers! {
        deserialize_i8, visit_i8, i8;
        deserialize_i16, visit_i16, i16;
        deserialize_i32, visit_i32, i32;
        deserialize_i64, visit_i64, i64;
        deserialize_i128, visit_i128, i128;
        deserialize_u8, visit_u8, u8;
        deserialize_u16, visit_u16, u16;
        deserialize_u32, visit_u32, u32;
        deserialize_u64, visit_u64, u64;
        deserialize_u128, visit_u128, u128;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let answer = self.leaf(Shape::Bool);
        visitor.visit_bool(answer % 2 == 1)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let answer = self.leaf(Shape::Float);
        visitor.visit_f64(f64::from(u32::try_from(answer).unwrap_or_default()))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.leaf(Shape::Text);
        visitor.visit_char('a')
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let answer = self.leaf(Shape::Text);
        visitor.visit_str(TEXTS.get(answer).copied().unwrap_or_default())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.leaf(Shape::Bytes);
        visitor.visit_bytes(&[])
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.ask(Asked::Leaf(Shape::Unit));
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.ask(Asked::Optional);
        if self.is_empty() { visitor.visit_none() } else { visitor.visit_some(self.at(0)) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failed> {
        self.ask(Asked::Newtype);
        self.named(name, || visitor.visit_newtype_struct(self.at(0)))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.ask(Asked::List);
        let left = usize::from(!self.is_empty());
        visitor.visit_seq(Items { probe: self, next: 0, left, same: true })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failed> {
        self.ask(Asked::Tuple(length));
        visitor.visit_seq(Items { probe: self, next: 0, left: length, same: false })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let probe = self.clone();
        self.named(name, || probe.deserialize_tuple(length, visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.ask(Asked::Map);
        let left = usize::from(!self.is_empty());
        visitor.visit_map(Entries { probe: self, names: None, given: (0..left).collect(), at: 0 })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        self.ask(Asked::Struct(fields));
        let entries = Entries { given: self.given(fields.len()), at: 0, names: Some(fields), probe: self.clone() };
        self.named(name, || visitor.visit_map(entries))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        self.ask(Asked::Enum(variants));
        let index = self.session.script.variants.get(&self.path).copied().unwrap_or(0);
        let probe = self.clone();
        self.named(name, || visitor.visit_enum(Variant { probe, index }))
    }
}

/// The things of a list, or of a tuple.
struct Items<'a> {
    probe: Probe<'a>,
    next: usize,
    left: usize,
    same: bool,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Failed;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failed> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let at = self.probe.at(if self.same { 0 } else { self.next });
        self.next += 1;
        seed.deserialize(at).map(Some)
    }
}

/// The fields of a struct, or an entry of a map.
struct Entries<'a> {
    probe: Probe<'a>,
    names: Option<&'static [&'static str]>,
    /// Which of the names are given, in this order.
    given: Vec<usize>,
    /// How many were.
    at: usize,
}

/// No field is called so.
const STRANGER: &str = "\u{1}";

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Failed;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failed> {
        let Some(index) = self.given.get(self.at).copied() else { return Ok(None) };
        self.at += 1;
        let Some(names) = self.names else { return seed.deserialize(self.probe.at(0)).map(Some) };
        self.probe.session.notes.borrow_mut().named = Some((self.probe.path.clone(), index));
        let name = names.get(index).copied().unwrap_or(STRANGER);
        seed.deserialize(BorrowedStrDeserializer::<Failed>::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Failed> {
        let index = self.given.get(self.at.saturating_sub(1)).copied().unwrap_or_default();
        seed.deserialize(self.probe.at(if self.names.is_some() { index } else { 1 }))
    }
}

/// One variant of an enum.
struct Variant<'a> {
    probe: Probe<'a>,
    index: usize,
}

impl<'a, 'de> EnumAccess<'de> for Variant<'a> {
    type Error = Failed;
    type Variant = Probe<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Probe<'a>), Failed> {
        let number: U32Deserializer<Failed> = u32::try_from(self.index).unwrap_or_default().into_deserializer();
        Ok((seed.deserialize(number)?, self.probe.at(self.index)))
    }
}

impl<'de> VariantAccess<'de> for Probe<'_> {
    type Error = Failed;

    fn unit_variant(self) -> Result<(), Failed> {
        self.ask(Asked::Leaf(Shape::Unit));
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Failed> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_struct("", fields, visitor)
    }
}
