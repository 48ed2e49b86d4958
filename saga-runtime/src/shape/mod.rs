//! What a type looks like when it is read: found out by letting it read from a probe.
//!
//! `Deserialize` says which fields it knows, and what it asks for each. Which of them are required
//! is found by leaving each out once. What cannot be found out so (a flattened struct, an untagged
//! enum, a type with checks of its own) is taken from a sample value.

mod probe;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a type looks like when it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shape {
    /// `()`, a unit struct, `null`.
    Unit,
    /// `bool`
    Bool,
    /// An integer, by its type's name.
    Integer(String),
    /// `f32` and `f64`
    Float,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// What may be absent.
    Optional(Box<Shape>),
    /// Any number of the same.
    List(Box<Shape>),
    /// So many things in order.
    Tuple(Vec<Shape>),
    /// Keys and values.
    Map(Box<Shape>),
    /// Fields by name.
    Struct(BTreeMap<String, Field>),
    /// Fields by name, of a type that denies others.
    Closed(BTreeMap<String, Field>),
    /// Variants by name.
    Enum(BTreeMap<String, Shape>),
    /// A type that holds itself: what it looks like stands further out.
    Again,
    /// What was not looked into.
    Unknown,
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Field {
    /// Whether a value without it cannot be read.
    pub(crate) required: bool,
    /// Its other names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) aliases: Vec<String>,
    /// What it holds.
    pub(crate) shape: Shape,
}

/// Why a type's shape is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoShape(String);

impl fmt::Display for NoShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says why a value cannot be read as a type.
pub(crate) type Reader = fn(&serde_json::Value) -> Result<(), String>;

/// A type's name, and its shape if that is found.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) type_name: &'static str,
    pub(crate) shape: Result<Shape, NoShape>,
    /// Whether it can be read from this value.
    pub(crate) read: Reader,
}

impl Described {
    /// That of a type.
    pub(crate) fn of<T: DeserializeOwned>() -> Self {
        Self { type_name: std::any::type_name::<T>(), shape: Shape::of::<T>(), read: read::<T> }
    }
}

fn read<T: DeserializeOwned>(value: &serde_json::Value) -> Result<(), String> {
    T::deserialize(value).map(drop).map_err(|error| error.to_string())
}

impl Shape {
    /// The shape of a type.
    pub(crate) fn of<T: DeserializeOwned>() -> Result<Self, NoShape> {
        search::search::<T>()
            .map_err(|why| NoShape(format!("`{}` cannot be probed: {why}", std::any::type_name::<T>())))
    }

    /// The shape of a value, for a type that cannot be probed: all that it has counts as required.
    pub(crate) fn of_value(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Unknown,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_f64() => Self::Float,
            Value::Number(number) if number.is_u64() => Self::Integer("u64".to_owned()),
            Value::Number(_) => Self::Integer("i64".to_owned()),
            Value::String(_) => Self::Text,
            Value::Array(items) => Self::List(Box::new(items.first().map_or(Self::Unknown, Self::of_value))),
            Value::Object(fields) => Self::Struct(
                fields
                    .iter()
                    .map(|(name, value)| {
                        (name.clone(), Field { required: true, aliases: Vec::new(), shape: Self::of_value(value) })
                    })
                    .collect(),
            ),
        }
    }

    /// What keeps values that were written in this shape from being read in another; each with
    /// its place.
    pub(crate) fn unreadable_as(&self, new: &Self, place: &str, found: &mut Vec<String>) {
        match (self, new) {
            (Self::Unknown | Self::Again, _)
            | (_, Self::Unknown | Self::Again)
            | (Self::Unit, Self::Optional(_))
            | (Self::Integer(_), Self::Float) => {}
            (Self::Optional(old), Self::Optional(new))
            | (Self::List(old), Self::List(new))
            | (Self::Map(old), Self::Map(new)) => old.unreadable_as(new, place, found),
            (old, Self::Optional(new)) => old.unreadable_as(new, place, found),
            (Self::Tuple(old), Self::Tuple(new)) if old.len() == new.len() => {
                for (number, (old, new)) in old.iter().zip(new).enumerate() {
                    old.unreadable_as(new, &format!("{place}.{number}"), found);
                }
            }
            (Self::Struct(old) | Self::Closed(old), Self::Struct(new)) => fields(old, new, place, found),
            (Self::Struct(old) | Self::Closed(old), Self::Closed(new)) => {
                fields(old, new, place, found);
                let is_known =
                    |name: &String| new.contains_key(name) || new.values().any(|field| field.aliases.contains(name));
                for name in old.keys().filter(|name| !is_known(name)) {
                    found.push(format!(
                        "{place}.{name}: is gone, and unknown fields are denied; keep it, or drop `#[serde(deny_unknown_fields)]`"
                    ));
                }
            }
            (Self::Enum(old), Self::Enum(new)) => {
                for (name, shape) in old {
                    match new.get(name) {
                        Some(new) => shape.unreadable_as(new, &format!("{place}::{name}"), found),
                        None => found.push(format!("{place}: the variant `{name}` is gone")),
                    }
                }
            }
            (Self::Integer(old), Self::Integer(new)) if fits(old, new) => {}
            (old, new) if old == new => {}
            (old, new) => found.push(format!("{place}: was {old}, is {new}")),
        }
    }
}

fn fields(old: &BTreeMap<String, Field>, new: &BTreeMap<String, Field>, place: &str, found: &mut Vec<String>) {
    for (name, field) in new {
        let place = format!("{place}.{name}");
        match old.get(name).or_else(|| field.aliases.iter().find_map(|alias| old.get(alias))) {
            Some(before) => {
                if field.required && !before.required {
                    found.push(format!("{place}: may be absent in what is recorded, and is required now"));
                }
                before.shape.unreadable_as(&field.shape, &place, found);
            }
            None if field.required => {
                found.push(format!("{place}: is new and required; give it `#[serde(default)]`"));
            }
            None => {}
        }
    }
}

/// Whether each value of one integer type is one of the other.
fn fits(old: &str, new: &str) -> bool {
    let bits = |name: &str| name[1..].parse::<u32>().unwrap_or(64);
    match (&old[..1], &new[..1]) {
        ("u", "u") | ("i", "i") => bits(old) <= bits(new),
        ("u", "i") => bits(old) < bits(new),
        _ => false,
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit => f.write_str("nothing"),
            Self::Bool => f.write_str("a truth value"),
            Self::Integer(name) => f.write_str(name),
            Self::Float => f.write_str("a float"),
            Self::Text => f.write_str("text"),
            Self::Bytes => f.write_str("bytes"),
            Self::Optional(shape) => write!(f, "optional {shape}"),
            Self::List(shape) => write!(f, "a list of {shape}"),
            Self::Tuple(shapes) => write!(f, "a tuple of {}", shapes.len()),
            Self::Map(shape) => write!(f, "a map to {shape}"),
            Self::Struct(_) | Self::Closed(_) => f.write_str("a struct"),
            Self::Enum(_) => f.write_str("an enum"),
            Self::Again | Self::Unknown => f.write_str("something"),
        }
    }
}
