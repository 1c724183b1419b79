//! HPACK: hostile blocks are bounded, and what the encoder writes the decoder reads.

use crate::choices::Choices;
use rgrpc_http2::hpack::{DEFAULT_TABLE_SIZE, Decoder, Encoder, Field, FieldRef, Limits};

/// Names of each of the encoder's policies, with and without an entry in the static table.
const NAMES: &[&str] = &[
    ":authority",
    ":path",
    ":status",
    "authorization",
    "content-type",
    "cookie",
    "grpc-status",
    "grpc-timeout",
    "te",
    "x-a",
    "x-b",
];

/// Decodes blocks one after another, or encodes lists and decodes them, while the table is resized.
pub fn hpack(data: &[u8]) {
    let mut choices = Choices::new(data);
    if choices.flag() {
        decode(choices);
    } else {
        round_trip(choices);
    }
}

fn decode(mut choices: Choices<'_>) {
    let mut decoder = Decoder::new(usize::from(choices.short()));
    let mut fields = Vec::new();
    while !choices.is_empty() {
        if choices.octet() == 0 {
            decoder.settings_acknowledged(usize::from(choices.short()));
        }
        let limits = Limits {
            list_size: usize::from(choices.short()),
            fields: usize::from(choices.octet()),
        };
        let block = choices.string();
        let before = decoder.generation();
        let Ok(decoded) = decoder.decode(block, limits, &mut fields) else {
            // The connection ends here.
            return;
        };
        let size: usize = fields.iter().map(|field| field.as_ref().size()).sum();
        assert!(size <= limits.list_size, "a list of {size} octets was kept");
        assert!(fields.len() <= limits.fields);
        assert_eq!(decoded.table_untouched, decoder.generation() == before);
        if decoded.table_untouched {
            let mut again = Vec::new();
            let decoded_again = decoder.decode(block, limits, &mut again);
            assert!(decoded_again.is_ok_and(|again| {
                again.table_untouched && again.over_limit == decoded.over_limit
            }));
            assert_eq!(again, fields, "a block changed its meaning");
        }
    }
}

fn round_trip(mut choices: Choices<'_>) {
    let no_limits = Limits {
        list_size: usize::MAX,
        fields: usize::MAX,
    };
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let (mut block, mut decoded) = (Vec::new(), Vec::new());
    while !choices.is_empty() {
        // The decoder's side announces a size, the encoder's side obeys and acknowledges.
        for _ in 0..choices.octet() & 3 {
            let limit = usize::from(choices.short() >> (choices.octet() % 16));
            encoder.set_size_limit(limit);
            decoder.settings_acknowledged(limit);
        }
        let list: Vec<Field> = (0..choices.octet() % 16)
            .map(|_| field(&mut choices).to_field())
            .collect();
        block.clear();
        encoder.begin(&mut block);
        for field in &list {
            encoder.encode(field.as_ref(), &mut block);
        }
        decoded.clear();
        let outcome = decoder.decode(&block, no_limits, &mut decoded);
        assert!(outcome.is_ok(), "{outcome:?} for a block of ours");
        assert_eq!(decoded.len(), list.len());
        for (sent, received) in list.iter().zip(&decoded) {
            assert_eq!((&sent.name, &sent.value), (&received.name, &received.value));
        }
    }
}

fn field<'a>(choices: &mut Choices<'a>) -> FieldRef<'a> {
    let choice = usize::from(choices.octet());
    let name = match NAMES.get(choice % (NAMES.len() + 1)) {
        Some(name) => name.as_bytes(),
        None => choices.string(),
    };
    // The same few values again and again fill the table and are found in it.
    let value = match choices.octet() {
        few @ 0..0x40 => {
            &b"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqr"[..few.into()]
        }
        _ => choices.string(),
    };
    FieldRef {
        name,
        value,
        never_indexed: choice >= 0xf0,
    }
}
