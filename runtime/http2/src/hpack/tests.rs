//! The examples of RFC 7541 appendix C, and tests of an encoder together with a decoder.

use super::*;
use crate::static_block::StaticBlock;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

const NO_LIMITS: Limits = Limits {
    list_size: usize::MAX,
    fields: usize::MAX,
};

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, &'static str> {
    let mut fields = Vec::new();
    let decoded = decoder.decode(block, NO_LIMITS, &mut fields);
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let pair = |field: &Field| (text(&field.name), text(&field.value));
    decoded
        .map(|_| fields.iter().map(pair).collect())
        .map_err(|error| error.0)
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    fields.iter().map(pair).collect()
}

#[test]
fn appendix_c2_representations_are_decoded() {
    let table = [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            ("custom-key", "custom-header"),
        ),
        (
            "040c 2f73 616d 706c 652f 7061 7468",
            (":path", "/sample/path"),
        ),
        (
            "1008 7061 7373 776f 7264 0673 6563 7265 74",
            ("password", "secret"),
        ),
        ("82", (":method", "GET")),
    ];
    for (block, field) in table {
        let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
        assert_eq!(decode(&mut decoder, &hex(block)), Ok(pairs(&[field])));
    }
}

#[test]
fn a_never_indexed_field_is_marked() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let mut fields = Vec::new();
    let block = hex("1008 7061 7373 776f 7264 0673 6563 7265 74 82");
    assert!(decoder.decode(&block, NO_LIMITS, &mut fields).is_ok());
    let never: Vec<_> = fields.iter().map(|field| field.never_indexed).collect();
    assert_eq!(never, [true, false]);
}

/// The requests of C.3 and C.4, which differ only in the encoding of strings.
const REQUESTS: [&[(&str, &str)]; 3] = [
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
        ("cache-control", "no-cache"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
];

#[test]
fn appendix_c3_requests_without_huffman_are_decoded() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let blocks = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    for (block, fields) in blocks.iter().zip(REQUESTS) {
        assert_eq!(decode(&mut decoder, &hex(block)), Ok(pairs(fields)));
    }
}

#[test]
fn appendix_c4_requests_with_huffman_are_decoded() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let blocks = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for (block, fields) in blocks.iter().zip(REQUESTS) {
        assert_eq!(decode(&mut decoder, &hex(block)), Ok(pairs(fields)));
    }
}

const DATE: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
const LATER: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
const LOCATION: (&str, &str) = ("location", "https://www.example.com");
const COOKIE: (&str, &str) = (
    "set-cookie",
    "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
);

/// The responses of C.5 and C.6. Their table of 256 octets causes evictions.
const RESPONSES: [&[(&str, &str)]; 3] = [
    &[
        (":status", "302"),
        ("cache-control", "private"),
        DATE,
        LOCATION,
    ],
    &[
        (":status", "307"),
        ("cache-control", "private"),
        DATE,
        LOCATION,
    ],
    &[
        (":status", "200"),
        ("cache-control", "private"),
        LATER,
        LOCATION,
        ("content-encoding", "gzip"),
        COOKIE,
    ],
];

fn decode_with_a_table_of_256(blocks: [&str; 3]) {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    // The examples assume the table size. On the wire, a size update like this one precedes them.
    assert_eq!(decode(&mut decoder, &[0x3f, 0xe1, 0x01]), Ok(Vec::new()));
    for (block, fields) in blocks.iter().zip(RESPONSES) {
        assert_eq!(decode(&mut decoder, &hex(block)), Ok(pairs(fields)));
    }
}

#[test]
fn appendix_c5_responses_without_huffman_are_decoded() {
    decode_with_a_table_of_256([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a
         3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04
         677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49
         553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ]);
}

#[test]
fn appendix_c6_responses_with_huffman_are_decoded() {
    decode_with_a_table_of_256([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e
         919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7
         821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed
         4ee5 b106 3d50 07",
    ]);
}

#[test]
fn invalid_blocks_are_refused() {
    let table = [
        ("80", "invalid index in a header block"),
        ("be", "invalid index in a header block"),
        ("ff", "header block ends within a field"),
        ("ffffffffff7f", "integer in a header block is too large"),
        ("40", "header block ends within a field"),
        ("400161", "header block ends within a field"),
        ("4001610262", "header block ends within a field"),
        ("7f01 0162", "invalid index in a header block"),
        ("8220", "table size update within a header block"),
        ("3fe2 1f", "table size update above the announced limit"),
        ("0001 6181 00", "invalid Huffman code in a header block"),
        (
            "0001 6184 ffff ffff",
            "invalid Huffman code in a header block",
        ),
    ];
    for (block, reason) in table {
        let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
        assert_eq!(decode(&mut decoder, &hex(block)), Err(reason), "{block}");
    }
}

#[test]
fn limits_bound_the_list_without_damage_to_the_table() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let mut fields = Vec::new();
    let limits = Limits {
        list_size: 100,
        fields: 10,
    };
    // a=b enters the table and is repeated four times. Each field counts 34 octets.
    let decoded = decoder.decode(&hex("4001 6101 62be bebe be"), limits, &mut fields);
    assert_eq!(decoded.map(|decoded| decoded.over_limit), Ok(true));
    assert_eq!(fields.len(), 2);
    assert_eq!(decode(&mut decoder, &hex("be")), Ok(pairs(&[("a", "b")])));
    let limits = Limits {
        list_size: 1_000,
        fields: 3,
    };
    fields.clear();
    let decoded = decoder.decode(&hex("bebe bebe"), limits, &mut fields);
    assert_eq!(decoded.map(|decoded| decoded.over_limit), Ok(true));
    assert_eq!(fields.len(), 3);
}

#[test]
fn a_list_is_compared_with_the_list_that_it_overwrites() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let mut fields = Vec::new();
    for (block, list, difference) in [
        // Both enter the table.
        (
            "4001 6101 62 4001 7401 31",
            &[("a", "b"), ("t", "1")][..],
            Difference::More,
        ),
        ("bf be", &[("a", "b"), ("t", "1")], Difference::None),
        // Another value enters the table, which changes the index of the first field.
        (
            "bf 7e01 32",
            &[("a", "b"), ("t", "2")],
            Difference::Value(1),
        ),
        ("c0 be", &[("a", "b"), ("t", "2")], Difference::None),
        // A value that enters no table.
        (
            "c0 0f2f01 33",
            &[("a", "b"), ("t", "3")],
            Difference::Value(1),
        ),
        ("be be", &[("t", "2"), ("t", "2")], Difference::More),
        ("be", &[("t", "2")], Difference::More),
        ("be c0", &[("t", "2"), ("a", "b")], Difference::More),
        (
            "be 1001 6101 62",
            &[("t", "2"), ("a", "b")],
            Difference::Value(1),
        ),
        ("", &[], Difference::More),
        ("", &[], Difference::None),
    ] {
        let decoded = decoder.decode(&hex(block), NO_LIMITS, &mut fields);
        let decoded = decoded.expect("a valid block");
        assert_eq!(decoded.difference, difference, "{block}");
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let pair = |field: &Field| (text(&field.name), text(&field.value));
        assert_eq!(fields.iter().map(pair).collect::<Vec<_>>(), pairs(list));
    }
}

#[test]
fn an_entry_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    assert!(decode(&mut decoder, &hex("3f09 4001 6101 62be")).is_ok());
    // A table of 40 octets holds a=b. An entry of 41 octets evicts it and is not inserted.
    let large = hex("4001 6308 3132 3334 3536 3738");
    assert_eq!(
        decode(&mut decoder, &large),
        Ok(pairs(&[("c", "12345678")]))
    );
    assert!(decode(&mut decoder, &hex("be")).is_err());
}

fn encode(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(&mut out);
    for (name, value) in fields {
        encoder.encode(FieldRef::new(name.as_bytes(), value.as_bytes()), &mut out);
    }
    out
}

const GRPC: [(&str, &str); 8] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/grpc.testing.TestService/UnaryCall"),
    (":authority", "localhost:50051"),
    ("content-type", "application/grpc"),
    ("user-agent", "rgrpc/0.1"),
    ("te", "trailers"),
    ("grpc-accept-encoding", "gzip"),
];

#[test]
fn repeated_fields_take_one_octet_each() {
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let first = encode(&mut encoder, &GRPC);
    assert_eq!(decode(&mut decoder, &first), Ok(pairs(&GRPC)));
    for _ in 0..3 {
        let block = encode(&mut encoder, &GRPC);
        assert_eq!(block.len(), GRPC.len());
        assert_eq!(decode(&mut decoder, &block), Ok(pairs(&GRPC)));
    }
}

#[test]
fn a_field_of_the_application_enters_the_table_at_its_second_use() {
    let mut encoder = Encoder::new();
    let field = [("x-tenant", "one")];
    let lengths: Vec<_> = (0..3).map(|_| encode(&mut encoder, &field).len()).collect();
    assert!(lengths[0] == lengths[1] && lengths[2] == 1, "{lengths:?}");
}

#[test]
fn values_that_change_with_every_call_evict_nothing() {
    let mut encoder = Encoder::new();
    encode(&mut encoder, &GRPC);
    for call in 0..1_000 {
        let (timeout, id) = (format!("{call}m"), format!("request-{call}"));
        let fields = [
            &GRPC[..],
            &[("grpc-timeout", &timeout), ("x-request-id", &id)],
        ]
        .concat();
        let block = encode(&mut encoder, &fields);
        assert_eq!(
            block[..GRPC.len()]
                .iter()
                .filter(|octet| **octet < 0x80)
                .count(),
            0
        );
    }
}

#[test]
fn secrets_enter_no_table() {
    let mut encoder = Encoder::new();
    let mut fields = Vec::new();
    for _ in 0..3 {
        let block = encode(&mut encoder, &[("authorization", "Bearer x")]);
        // The name is in the static table, and the pattern is that of a never-indexed field.
        assert_eq!(block[..2], [0x1f, 23 - 15]);
        let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
        fields.clear();
        assert!(decoder.decode(&block, NO_LIMITS, &mut fields).is_ok());
        assert!(fields[0].never_indexed);
    }
    let mut out = Vec::new();
    let secret = FieldRef {
        never_indexed: true,
        ..FieldRef::new(b"x-key", b"secret")
    };
    encoder.encode(secret, &mut out);
    assert_eq!(out[0], 0x10);
}

#[test]
fn an_encoder_and_a_decoder_agree_after_evictions_and_resizes() {
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let mut random = 1_u32;
    let mut next = |bound: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % bound
    };
    for round in 0..5_000 {
        if round % 97 == 0 {
            encoder.set_size_limit(next(5_000) as usize);
            encoder.set_size_limit(next(5_000) as usize);
        }
        let mut list = Vec::new();
        for _ in 0..next(12) {
            let name = match next(4) {
                0 => ":path".to_owned(),
                1 => "user-agent".to_owned(),
                _ => format!("x-{}", next(30)),
            };
            let value = "v".repeat(next(60) as usize) + &next(20).to_string();
            list.push((name, value));
        }
        let refs: Vec<_> = list.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let block = encode(&mut encoder, &refs);
        assert_eq!(decode(&mut decoder, &block), Ok(list), "round {round}");
    }
}

#[test]
fn a_static_block_is_valid_on_any_connection() {
    let block = StaticBlock::new([
        FieldRef::new(b":status", b"200"),
        FieldRef::new(b"content-type", b"application/grpc"),
        FieldRef::new(b"grpc-status", b"0"),
    ]);
    assert_eq!(block.list_size(), 10 + 28 + 12 + 3 * 32);
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let expected = pairs(&[
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "0"),
    ]);
    for _ in 0..2 {
        let generation = decoder.generation();
        assert_eq!(decode(&mut decoder, block.octets()), Ok(expected.clone()));
        assert_eq!(decoder.generation(), generation);
    }
}
