//! `MessagePack`, and how it is shown.

use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// With the names of fields, and types in their form for people, so that what is compatible as JSON
/// is so here.
pub(super) fn write<T: Serialize + ?Sized>(room: &mut Vec<u8>, value: &T) -> Result<(), String> {
    let mut serializer = rmp_serde::Serializer::new(room).with_struct_map().with_human_readable();
    value.serialize(&mut serializer).map_err(|error| error.to_string())
}

pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut rest = bytes;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest).with_human_readable();
    let value = T::deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    ended(rest)?;
    Ok(value)
}

pub(super) fn text(bytes: &[u8]) -> Result<String, String> {
    let (mut rest, mut text) = (bytes, String::new());
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    Json(&mut text).deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    ended(rest)?;
    Ok(text)
}

fn ended(rest: &[u8]) -> Result<(), String> {
    if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes follow the value", rest.len())) }
}

/// Writes what it reads as JSON, in its order.
struct Json<'t>(&'t mut String);

impl Json<'_> {
    fn put(&mut self, value: impl Serialize) {
        // Scalars are always JSON.
        self.0.push_str(&serde_json::to_string(&value).unwrap_or_default());
    }

    fn items<E>(&mut self, ends: [char; 2], mut next: impl FnMut(&mut Self) -> Result<bool, E>) -> Result<(), E> {
        self.0.push(ends[0]);
        let mut first = true;
        loop {
            let before = self.0.len();
            if !first {
                self.0.push(',');
            }
            if !next(self)? {
                self.0.truncate(before);
                break;
            }
            first = false;
        }
        self.0.push(ends[1]);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(mut self) -> Result<(), E> {
        self.put(());
        Ok(())
    }

    fn visit_none<E>(mut self) -> Result<(), E> {
        self.put(());
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(mut self, value: bool) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    fn visit_i64<E>(mut self, value: i64) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    fn visit_u64<E>(mut self, value: u64) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    fn visit_f32<E>(mut self, value: f32) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    fn visit_f64<E>(mut self, value: f64) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    fn visit_bytes<E>(mut self, value: &[u8]) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    /// An extension: its number and its bytes.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.items(['[', ']'], |json| Ok(items.next_element_seed(Json(json.0))?.is_some()))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.items(['{', '}'], |json| {
            let mut key = String::new();
            if items.next_key_seed(Json(&mut key))?.is_none() {
                return Ok(false);
            }
            if key.starts_with('"') {
                json.0.push_str(&key);
            } else {
                json.put(key);
            }
            json.0.push(':');
            items.next_value_seed(Json(json.0))?;
            Ok(true)
        })
    }
}
