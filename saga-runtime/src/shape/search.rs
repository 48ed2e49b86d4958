//! Passes of the probe over a type, until all of it is seen.
//!
//! One pass sees one way through a type. Further passes leave out one field each, and take each
//! variant once; and a pass that fails is made again with another answer where it failed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use super::probe::{Asked, Failed, Path, Probe, Script, Session, TEXTS};
use super::{Field, Shape};

/// So many passes are made at most.
const PASSES: usize = 4_000;

/// The shape of a type, or why it is not found.
pub(super) fn search<T: DeserializeOwned>() -> Result<Shape, String> {
    let mut session = Session { script: Script::default(), notes: RefCell::default() };
    let mut passes = 0;
    read::<T>(&mut session, &mut passes)?;
    let mut required: BTreeSet<(Path, usize)> = BTreeSet::new();
    let (mut seen, mut omitted) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let asked = session.notes.borrow().asked.clone();
        let variant = asked.iter().find_map(|(path, asked)| match asked {
            Asked::Enum(names) => (0..names.len())
                .find(|index| !seen.contains(&(path.clone(), *index)))
                .map(|index| (path.clone(), index)),
            _ => None,
        });
        if let Some((path, index)) = variant {
            seen.insert((path.clone(), index));
            session.script.choose(&asked, &path, Some(index));
            session.script.pinned = Some(path.clone());
            if let Err(why) = read::<T>(&mut session, &mut passes) {
                if session.notes.get_mut().endless.is_none() {
                    return Err(why);
                }
                // What this variant holds stands further out.
                session.script.variants.remove(&path);
            }
            session.script.pinned = None;
            continue;
        }
        // One more than there are fields stands for a field that is not known.
        let field = asked.iter().find_map(|(path, asked)| match asked {
            Asked::Struct(names) => (0..=names.len())
                .find(|index| !omitted.contains(&(path.clone(), *index)))
                .map(|index| (path.clone(), index, index == names.len())),
            _ => None,
        });
        let Some((path, index, is_stranger)) = field else {
            let found = Found { asked: &asked, required: &required, aliases: &session.script.aliases };
            return Ok(found.shape(&mut Path::new()));
        };
        let field = (path.clone(), index);
        omitted.insert(field.clone());
        session.script.choose(&asked, &path, None);
        if is_stranger {
            session.script.stranger = Some(path);
        } else {
            session.script.omitted = Some(field.clone());
        }
        passes += 1;
        if pass::<T>(&session).is_err() {
            required.insert(field);
        }
        (session.script.omitted, session.script.stranger) = (None, None);
        if passes > PASSES {
            return Err("it has too many fields and variants".to_owned());
        }
    }
}

impl Script {
    /// Takes the variants that lead to a place, and there the one of this index.
    fn choose(&mut self, asked: &BTreeMap<Path, Asked>, path: &Path, index: Option<usize>) {
        for length in 0..path.len() {
            if matches!(asked.get(&path[..length]), Some(Asked::Enum(_))) {
                self.variants.insert(path[..length].to_vec(), usize::from(path[length]));
            }
        }
        if let Some(index) = index {
            self.variants.insert(path.clone(), index);
        }
    }
}

impl Script {
    /// Lets a type that does not end at this place end further out: by something empty, else by
    /// another variant. Whether there is such a place.
    fn end(&mut self, endless: &Path, asked: &BTreeMap<Path, Asked>) -> bool {
        let around = || (0..=endless.len()).rev().map(|length| endless[..length].to_vec());
        let can_be_empty = |path: &Path| matches!(asked.get(path), Some(Asked::Optional | Asked::List | Asked::Map));
        if let Some(path) = around().find(|path| can_be_empty(path) && !self.empty.contains(path)) {
            return self.empty.insert(path);
        }
        for path in around().filter(|path| self.pinned.as_ref() != Some(path)) {
            let taken = self.variants.get(&path).copied().unwrap_or(0);
            if let Some(Asked::Enum(names)) = asked.get(&path)
                && taken + 1 < names.len()
            {
                self.variants.insert(path, taken + 1);
                return true;
            }
        }
        false
    }
}

/// Reads once, with other answers where that fails.
fn read<T: DeserializeOwned>(session: &mut Session, passes: &mut usize) -> Result<(), String> {
    loop {
        *passes += 1;
        let Err(Failed(why, twice)) = pass::<T>(session) else { return Ok(()) };
        let notes = session.notes.get_mut();
        if let (Some(field), Some((path, index))) = (twice, notes.named.clone())
            && *passes < PASSES
        {
            // A field has several names: its own is given, and the others are not.
            let own = matches!(notes.asked.get(&path), Some(Asked::Struct(names)) if names.get(index) == Some(&field));
            if own && session.script.first.insert((path.clone(), index)) {
                continue;
            }
            if !own && session.script.aliases.insert((path, index), field.to_owned()).is_none() {
                continue;
            }
        }
        if let Some(endless) = notes.endless.clone() {
            if *passes < PASSES && session.script.end(&endless, &notes.asked) {
                continue;
            }
            return Err("it holds itself without end".to_owned());
        }
        let Some(leaf) = notes.last_leaf.clone() else { return Err(why) };
        let answer = session.script.answers.entry(leaf.clone()).or_default();
        *answer += 1;
        if *answer >= TEXTS.len() || *passes > PASSES {
            return Err(why);
        }
    }
}

fn pass<T: DeserializeOwned>(session: &Session) -> Result<(), Failed> {
    let mut notes = session.notes.borrow_mut();
    (notes.around, notes.last_leaf, notes.endless) = (Vec::new(), None, None);
    drop(notes);
    T::deserialize(Probe { session, path: Path::new() }).map(drop)
}

/// All that the passes have found.
struct Found<'a> {
    asked: &'a BTreeMap<Path, Asked>,
    required: &'a BTreeSet<(Path, usize)>,
    aliases: &'a BTreeMap<(Path, usize), String>,
}

impl Found<'_> {
    /// Puts together what was asked at a place.
    fn shape(&self, path: &mut Path) -> Shape {
        match self.asked.get(path.as_slice()) {
            None => Shape::Again,
            Some(Asked::Leaf(leaf)) => leaf.clone(),
            Some(Asked::Optional) => Shape::Optional(Box::new(self.inner(path, 0))),
            Some(Asked::List) => Shape::List(Box::new(self.inner(path, 0))),
            Some(Asked::Map) => Shape::Map(Box::new(self.inner(path, 1))),
            Some(Asked::Newtype) => self.inner(path, 0),
            Some(Asked::Tuple(length)) => Shape::Tuple((0..*length).map(|index| self.inner(path, index)).collect()),
            Some(Asked::Struct(names)) => {
                let fields = self.fields(path, names);
                if self.required.contains(&(path.clone(), names.len())) {
                    Shape::Closed(fields)
                } else {
                    Shape::Struct(fields)
                }
            }
            Some(Asked::Enum(names)) => {
                let variants = names.iter().enumerate();
                Shape::Enum(variants.map(|(index, name)| ((*name).to_owned(), self.inner(path, index))).collect())
            }
        }
    }

    fn inner(&self, path: &mut Path, index: usize) -> Shape {
        path.push(u16::try_from(index).unwrap_or(u16::MAX));
        let inner = self.shape(path);
        path.pop();
        inner
    }

    fn fields(&self, path: &mut Path, names: &[&str]) -> BTreeMap<String, Field> {
        let here = path.clone();
        let alias_of = |index: usize| self.aliases.get(&(here.clone(), index));
        let mut fields = BTreeMap::new();
        for (index, name) in names.iter().enumerate().filter(|(index, _)| alias_of(*index).is_none()) {
            let others = names.iter().enumerate().filter(|(index, _)| alias_of(*index).is_some_and(|own| own == name));
            let aliases = others.map(|(_, alias)| (*alias).to_owned()).collect();
            let required = self.required.contains(&(here.clone(), index));
            fields.insert((*name).to_owned(), Field { required, aliases, shape: self.inner(path, index) });
        }
        fields
    }
}
