//! Messages of difficult schemas: they compile, and they encode.

use std::fmt::Debug;

use rgrpc_codegen_tests::difficult::torture::{self, two};
use rgrpc_codegen_tests::options;

fn round_trip<M: prost::Message + Debug + Default + PartialEq>(message: &M) {
    assert_eq!(
        M::decode(message.encode_to_vec().as_slice()).as_ref(),
        Ok(message)
    );
}

#[test]
fn a_map_of_enums_may_have_a_keyword_for_a_name() {
    use torture::r#type::Struct;
    use torture::r#type::r#struct::Kind;
    let mut message = Struct::default();
    assert_eq!(message.insert_fn_("a".to_owned(), Kind::Type), None);
    assert_eq!(message.get_fn_("a"), Some(Kind::Type));
    assert_eq!(message.fn_.len(), 1);
    round_trip(&message);
}

#[test]
fn messages_encode_and_decode() {
    round_trip(&torture::FooClient {
        r#type: "a".to_owned(),
        self_: "b".to_owned(),
        r#async: "c".to_owned(),
        crate_: "d".to_owned(),
        maybe: Some(String::new()),
        choice: Some(torture::foo_client::Choice::Right(7)),
        bars: [("x".to_owned(), torture::foo::Bar::default())].into(),
    });
    round_trip(&torture::Tree {
        left: Some(Box::default()),
        branches: vec![torture::Tree::default()],
        fruit: Some(torture::tree::Fruit::Apple(Box::default())),
    });
    round_trip(&two::Everything {
        id: 1,
        inner: Some(two::everything::Inner { value: Some(2) }),
        entry: vec![two::everything::Entry {
            key: "k".to_owned(),
        }],
        either: Some(two::everything::Either::Side(two::everything::Side {
            edge: Some(3),
        })),
        ..two::Everything::default()
    });
    round_trip(&options::torture::Pair::default());
}

#[test]
fn proto2_defaults_are_those_of_the_schema() {
    let defaults = two::Everything::default();
    assert_eq!(defaults.name(), "a \"quoted\" \n\tname \u{e9}");
    assert_eq!(defaults.raw(), b"\x00\x01\xfe\xff\"\\'");
    assert_eq!(defaults.ratio(), 1e10);
    assert_eq!(defaults.small(), -0.5);
    assert_eq!(defaults.huge(), f64::INFINITY);
    assert!(defaults.none().is_nan());
    assert_eq!(defaults.third(), 0.333_333_34);
    assert_eq!(defaults.precise(), f64::MAX);
    assert_eq!(defaults.low(), i64::MIN);
    assert_eq!(defaults.high(), u64::MAX);
    assert!(defaults.yes());
    assert_eq!(defaults.mood(), two::Mood::Good);
}

#[test]
fn messages_with_type_names_are_packed_into_any_and_unpacked() {
    use prost::Name as _;

    let baz = options::torture::foo::bar::Baz { depth: 3 };
    let any = prost_types::Any::from_msg(&baz).expect("encodable");
    assert_eq!(any.type_url, "type.googleapis.com/torture.Foo.Bar.Baz");
    assert_eq!(any.to_msg(), Ok(baz));
    assert_eq!(options::torture::Pair::full_name(), "torture.Pair");
}
