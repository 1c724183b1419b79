//! The embedded compiler accepts what protoc accepts, and refuses what protoc refuses with a place.
//! protoc 35 judged each of these schemas.

mod support;

use std::fs;
use std::path::Path;

use protoc_gen_rgrpc::{Builder, Error};

/// Compiles `main.proto` and, if they exist, the other files as well.
fn compile(name: &str, files: &[(&str, &[u8])], protos: &[&str]) -> Result<String, Error> {
    let folder = support::folder(&format!("compiler-{name}"));
    for (file, text) in files {
        fs::write(folder.join(file), text).expect("writable");
    }
    let out = folder.join("out");
    Builder::new()
        .out_dir(&out)
        .compile_protos(protos, &[folder])?;
    let messages = Path::new("main.pb.rs");
    Ok(fs::read_to_string(out.join(messages)).unwrap_or_default())
}

#[test]
fn a_schema_that_protoc_accepts_is_accepted() {
    let descriptor = "import \"google/protobuf/descriptor.proto\";";
    let extend = "extend google.protobuf.FieldOptions";
    let cases: &[(&str, &[(&str, &str)])] = &[
        (
            "public-chain",
            &[
                ("main.proto", "syntax = \"proto3\"; import \"a.proto\"; message M { c.C c = 1; }"),
                ("a.proto", "syntax = \"proto3\"; import public \"b.proto\";"),
                ("b.proto", "syntax = \"proto3\"; import public \"c.proto\";"),
                ("c.proto", "syntax = \"proto3\"; package c; message C {}"),
            ],
        ),
        (
            "json-proto2",
            &[(
                "main.proto",
                "message M { optional int32 a_1 = 1; optional int32 a1 = 2; }
                 message N { optional int32 a = 1 [json_name = \"x\"]; optional int32 x = 2; }",
            )],
        ),
        (
            "json-case",
            &[("main.proto", "syntax = \"proto3\"; message M { int32 a1b = 1; int32 a1B = 2; }")],
        ),
        (
            "json-legacy",
            &[(
                "main.proto",
                "syntax = \"proto3\"; message M { option deprecated_legacy_json_field_conflicts = true;
                 int32 a_1 = 1; int32 a1 = 2; }",
            )],
        ),
        (
            "editions-for-an-option",
            &[
                (
                    "main.proto",
                    "syntax = \"proto3\"; import \"o.proto\"; message M { int32 a = 1 [(o.o) = \"x\"]; }",
                ),
                (
                    "o.proto",
                    &format!(
                        "edition = \"2023\"; package o; {descriptor}
                         option features.field_presence = IMPLICIT;
                         {extend} {{ string o = 50001; }}
                         message T {{ string a = 1 [features.field_presence = EXPLICIT]; reserved foo, bar;
                         double d = 2 [default = -inf]; int32 n = 3 [features.field_presence = EXPLICIT,
                         default = 5]; extensions 9 [verification = UNVERIFIED]; }}
                         enum E {{ option features.enum_type = CLOSED; A = 1; }}"
                    ),
                ),
            ],
        ),
        (
            "visibility-in-editions",
            &[
                ("main.proto", "syntax = \"proto3\"; import \"o.proto\"; message M {}"),
                (
                    "o.proto",
                    "edition = \"2024\"; package o; import \"old.proto\"; import option \"main2.proto\"; export message A {
                     B b = 1; local enum E { Z = 0; } } local message B { old.export e = 1; }",
                ),
                ("main2.proto", "syntax = \"proto3\";"),
                (
                    "old.proto",
                    "edition = \"2023\"; package old; message local { export export = 1; export.E e = 2; }
                     message export { enum E { Z = 0; } local local = 1; }",
                ),
            ],
        ),
        (
            "shadowed-elsewhere",
            &[
                (
                    "main.proto",
                    "syntax = \"proto3\"; package a.b; import \"google/protobuf/duration.proto\";
                     message M { google.protobuf.Duration d = 1; }",
                ),
                ("other.proto", "syntax = \"proto3\"; package a.google.protobuf; message X {}"),
            ],
        ),
        (
            "extension-declarations",
            &[(
                "main.proto",
                "message M { extensions 4 to 9 [verification = DECLARATION, declaration = {
                 number: 4, full_name: \".x\", type: \"int32\" }]; } extend M { optional int32 x = 4; }",
            )],
        ),
        (
            "extension-declaration-of-a-number",
            &[(
                "main.proto",
                "message M { extensions 4 [declaration = { number: 4, full_name: \".x\", type: \"int32\" }];
                 extensions 5, 6 [verification = UNVERIFIED]; } extend M { optional int32 x = 4; }",
            )],
        ),
        (
            "list-without-a-colon",
            &[(
                "main.proto",
                &format!(
                    "{descriptor} {extend} {{ optional O o = 50001; }}
                     message O {{ repeated O o = 1; repeated int32 i = 2; }}
                     message M {{ optional int32 a = 1 [(o) = {{ o [{{ i [1, 2] }}, {{}}] o {{ o [] }} }}]; }}"
                ),
            )],
        ),
        (
            "default-above-64-bits",
            &[("main.proto", "message M { optional double a = 1 [default = 18446744073709551616]; }")],
        ),
        (
            "newer-options",
            &[(
                "main.proto",
                "syntax = \"proto3\"; message M { string a = 1 [debug_redact = true,
                 retention = RETENTION_SOURCE, targets = TARGET_TYPE_FIELD]; }",
            )],
        ),
        (
            "infinities",
            &[(
                "main.proto",
                &format!(
                    "{descriptor} {extend} {{ optional double o = 50001; optional S s = 50002;
                     optional E e = 50003; repeated float r = 50004; }}
                     message S {{ optional double d = 1; }} enum E {{ inf = 0; nan = 1; }}
                     message M {{ optional double a = 1 [(o) = -inf, (s).d = -inf, (e) = inf, (r) = nan,
                     (r) = -nan, default = -inf]; }}"
                ),
            )],
        ),
    ];
    for (name, files) in cases {
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(file, text)| (*file, text.as_bytes()))
            .collect();
        let protos: Vec<&str> = files
            .iter()
            .map(|(file, _)| *file)
            .filter(|file| *file == "main.proto" || *file == "other.proto")
            .collect();
        for protos in [protos.clone(), protos.iter().rev().copied().collect()] {
            let code = compile(name, &files, &protos).expect(name);
            assert!(code.contains("pub struct M "), "{name}: {code}");
        }
    }
}

#[test]
fn a_text_need_not_be_plain_utf_8() {
    for (name, text) in [
        (
            "mark",
            &b"\xef\xbb\xbfsyntax = \"proto3\"; message M {}"[..],
        ),
        ("latin-1", b"syntax = \"proto3\";\n// caf\xe9\nmessage M {}"),
        ("return", b"syntax = \"proto3\";\n// a\rb\nmessage M {}"),
    ] {
        let code = compile(name, &[("main.proto", text)], &["main.proto"]).expect(name);
        assert!(code.contains("pub struct M "), "{name}: {code}");
    }
}

#[test]
fn fields_keep_their_names_in_the_descriptors() {
    let text =
        b"package p; message M { optional int32 a_1 = 1; optional int32 a1 = 2; } service S {}";
    let folder = support::folder("compiler-names");
    fs::write(folder.join("main.proto"), text).expect("writable");
    Builder::new()
        .out_dir(&folder)
        .file_descriptor_set_path("set.binpb")
        .compile_protos(&["main.proto"], &[&folder])
        .expect("valid");
    let set = fs::read(folder.join("set.binpb")).expect("written");
    let set: prost_types::FileDescriptorSet =
        prost::Message::decode(set.as_slice()).expect("a set");
    let fields: Vec<(&str, &str)> = set.file[0].message_type[0]
        .field
        .iter()
        .map(|field| (field.name(), field.json_name()))
        .collect();
    assert_eq!(fields, [("a_1", "a1"), ("a1", "a1")]);
}

#[test]
fn a_schema_that_protoc_refuses_is_refused_with_its_place() {
    for (name, text, expected) in [
        (
            "json-custom",
            "message M { optional int32 a = 1 [json_name = \"x\"];\n optional int32 b = 2 [json_name = \"x\"]; }",
            "main.proto:2:17: a field with JSON name 'x' is already defined",
        ),
        (
            "json-proto3",
            "syntax = \"proto3\"; message M { int32 a_1 = 1;\n int32 a1 = 2; }",
            "main.proto:2:8: camel-case name of field 'a_1' conflicts with field 'a1'",
        ),
        (
            "not-imported",
            "syntax = \"proto3\"; import \"b.proto\"; message M {\n c.C c = 1; }",
            "main.proto:2:2: name 'c.C' is not defined",
        ),
        (
            "unknown-after-a-change",
            "message M { optional int32 a_1 = 1; optional int32 a1 = 2;\n optional None n = 3; }",
            "main.proto:2:11: name 'None' is not defined",
        ),
        (
            "unknown-option",
            "message M { optional int32 a = 1 [none = true]; }",
            "main.proto:1:35: option field 'none' is not defined",
        ),
        (
            "missing-import",
            "\u{feff}\nimport \"none.proto\";",
            "main.proto:2:1: import 'none.proto' not found",
        ),
        (
            "editions-that-do-not-link",
            "edition = \"2023\"; message M { Missing m = 1; }",
            "main.proto: editions are not supported yet, except in files imported for their options only; \
             proto2 and proto3 are",
        ),
        (
            "editions",
            "edition = \"2023\"; message M {}",
            "main.proto: editions are not supported yet, except in files imported for their options only; proto2 and proto3 are",
        ),
    ] {
        let files: [(&str, &[u8]); 3] = [
            ("main.proto", text.as_bytes()),
            ("b.proto", b"syntax = \"proto3\"; import \"c.proto\";"),
            ("c.proto", b"syntax = \"proto3\"; package c; message C {}"),
        ];
        let error = compile(name, &files, &["main.proto"]).expect_err(name);
        assert_eq!(error.to_string(), expected, "{name}");
    }
}
