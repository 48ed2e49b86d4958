//! What is written is read, in each format, and what cannot be is said.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    note: Option<String>,
    lines: Vec<Line>,
    ways: BTreeMap<String, Way>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line(String, f64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Way {
    Post,
    Courier { name: String },
    Own(uuid::Bytes),
}

fn order() -> Order {
    let ways = [("a", Way::Post), ("b", Way::Courier { name: "é\"\n".to_owned() }), ("c", Way::Own([200; 16]))];
    Order {
        id: u64::MAX,
        note: None,
        lines: vec![Line("lamp".to_owned(), 0.5), Line(String::new(), -1e300)],
        ways: ways.into_iter().map(|(name, way)| (name.to_owned(), way)).collect(),
    }
}

fn encoder(codec: Codec) -> Encoder {
    Encoder { codec, ..Encoder::default() }
}

/// All that this build has.
fn codecs() -> Vec<Codec> {
    vec![
        Codec::Json,
        #[cfg(feature = "msgpack")]
        Codec::MessagePack,
    ]
}

#[test]
fn a_value_is_the_same_bytes_whether_it_is_small_or_not() {
    for length in [0, 1, 44, 45, 46, 47, 253, 300, SHORT, SHORT + 1] {
        let text = "x".repeat(length);
        let payload = Encoder::default().encode(&text).unwrap();
        let copy = payload.clone();
        drop(payload.clone());
        assert_eq!(copy.inline().unwrap().as_ref(), serde_json::to_vec(&text).unwrap(), "{length}");
        assert_eq!(decode::<String>(&payload), Ok(text));
    }
}

#[test]
fn what_is_written_is_read() {
    for codec in codecs() {
        let payload = encoder(codec).encode(&order()).unwrap();
        assert_eq!(decode::<Order>(&payload).unwrap(), order(), "{codec}");
        assert_eq!(text(&payload).unwrap(), serde_json::to_string(&order()).unwrap(), "{codec}");
    }
}

#[test]
fn a_field_that_was_added_later_is_missed_and_one_that_is_gone_is_not_minded() {
    #[derive(Serialize, Deserialize)]
    struct Before {
        gone: u8,
        id: u64,
    }
    #[derive(Serialize, Deserialize)]
    struct After {
        id: u64,
        #[serde(default)]
        added: Vec<u8>,
    }
    for codec in codecs() {
        let payload = encoder(codec).encode(&Before { gone: 1, id: 2 }).unwrap();
        let After { id, added } = decode(&payload).unwrap();
        assert_eq!((id, added), (2, vec![]), "{codec}");
    }
}

#[test]
fn a_value_over_the_limit_is_an_error_that_says_what_to_do() {
    for codec in codecs() {
        let small = Encoder { codec, limit: 10 };
        assert!(small.encode("12345678").is_ok(), "{codec}");
        let error = small.encode("1234567890").unwrap_err();
        assert!(error.is_too_large());
        let error = error.to_string();
        assert!(error.contains("`str` has 1") && error.contains("the limit is 10"), "{error}");
        assert!(error.contains("raise `payload_limit`"), "{error}");
        assert!(small.without_limit().encode("1234567890").is_ok());
    }
}

#[test]
fn what_is_not_of_the_type_is_shown() {
    for codec in codecs() {
        let payload = encoder(codec).encode(&order()).unwrap();
        let error = decode::<u8>(&payload).unwrap_err();
        assert!(!error.is_too_large());
        assert!(error.to_string().contains(r#"in {"id":18446744073709551615,"#), "{codec}: {error}");
    }
}

#[test]
fn a_format_that_this_build_lacks_is_named() {
    let payload = |encoding| Payload { encoding, data: PayloadData::Inline(Bytes::from_static(&[1])) };
    let error = decode::<u8>(&payload(Encoding(77))).unwrap_err().to_string();
    assert!(error.contains("encoding 77, which this build lacks"), "{error}");
    let read = decode::<u8>(&payload(Encoding::MESSAGE_PACK));
    if cfg!(feature = "msgpack") {
        assert_eq!(read, Ok(1));
    } else {
        let error = read.unwrap_err().to_string();
        assert!(error.contains("enable the feature `msgpack` of saga-runtime"), "{error}");
    }
}

#[test]
fn nothing_is_nothing_in_each_format() {
    for codec in codecs() {
        assert!(is_null(&encoder(codec).encode(&()).unwrap()));
        assert!(is_null(&encoder(codec).encode(&None::<u8>).unwrap()));
        assert!(!is_null(&encoder(codec).encode(&0).unwrap()));
        assert!(!is_null(&encoder(codec).encode("null").unwrap()));
    }
}

#[test]
fn a_refusal_is_no_value() {
    let payload = refusal("too large");
    assert_eq!(refused(&payload).as_deref(), Some("too large"));
    assert_eq!(refused(&Payload::json("\"too large\"")), None);
    assert!(decode::<String>(&payload).unwrap_err().to_string().contains("lacks"));
}

#[cfg(feature = "msgpack")]
mod message_pack {
    use super::*;

    fn packed(bytes: &'static [u8]) -> Payload {
        Payload { encoding: Encoding::MESSAGE_PACK, data: PayloadData::Inline(Bytes::from_static(bytes)) }
    }

    /// What runs have recorded must be read by all later builds.
    #[test]
    fn the_bytes_stay_as_they_are() {
        let way = Way::Courier { name: "ann".to_owned() };
        let payload = encoder(Codec::MessagePack).encode(&(way, Way::Post, -1, 1.5)).unwrap();
        assert_eq!(
            payload.inline().unwrap().as_ref(),
            b"\x94\x81\xa7Courier\x81\xa4name\xa3ann\xa4Post\xff\xcb\x3f\xf8\0\0\0\0\0\0"
        );
    }

    #[test]
    fn types_are_in_their_form_for_people() {
        let id = std::net::Ipv4Addr::LOCALHOST;
        let payload = encoder(Codec::MessagePack).encode(&id).unwrap();
        assert_eq!(text(&payload).unwrap(), "\"127.0.0.1\"");
        assert_eq!(decode::<std::net::Ipv4Addr>(&payload).unwrap(), id);
    }

    #[test]
    fn what_json_does_not_have_is_shown_all_the_same() {
        assert_eq!(text(&packed(b"\xc4\x02\x00\xff")).unwrap(), "[0,255]");
        assert_eq!(text(&packed(b"\x82\x01\xc0\xa1b\xc3")).unwrap(), r#"{"1":null,"b":true}"#);
        assert_eq!(text(&packed(b"\xcb\x7f\xf8\0\0\0\0\0\0")).unwrap(), "null", "not a number");
    }

    #[test]
    fn what_is_broken_is_said() {
        assert!(text(&packed(b"\x92\x01")).unwrap_err().to_string().starts_with("not MessagePack: "));
        assert!(text(&packed(b"")).is_err());
        let error = decode::<u8>(&packed(b"\x01\x02")).unwrap_err().to_string();
        assert!(error.contains("1 bytes follow the value"), "{error}");
        assert!(text(&packed(b"\x01\x02")).is_err());
    }

    #[test]
    fn a_workflow_that_panics_leaves_its_format_to_nobody() {
        let written = || encode_here(&1).unwrap().encoding;
        let panicked = std::panic::catch_unwind(|| within(Codec::MessagePack, || panic!("planned")));
        assert!(panicked.is_err());
        assert_eq!(within(Codec::MessagePack, written), Encoding::MESSAGE_PACK);
        assert_eq!(written(), Encoding::JSON);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_shown_as_json_or_refused(bytes: Vec<u8>) {
            let payload = Payload { encoding: Encoding::MESSAGE_PACK, data: PayloadData::Inline(bytes.into()) };
            if let Ok(text) = text(&payload) {
                serde_json::from_str::<serde::de::IgnoredAny>(&text).unwrap();
            }
        }
    }
}
