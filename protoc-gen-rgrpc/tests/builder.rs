//! Tests of the library, as a build script uses it.

mod support;

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use protoc_gen_rgrpc::{Builder, Error};

/// Compiles one text as `dir/a.proto`.
fn compile(name: &str, text: &str, builder: Builder) -> Result<(), Error> {
    let folder = support::folder(name);
    fs::write(folder.join("a.proto"), text).expect("writable");
    builder
        .out_dir(folder.join("out"))
        .compile_protos(&["a.proto"], &[folder])
}

#[test]
fn an_error_of_a_proto_file_has_its_file_line_and_column() {
    for (name, text, expected) in [
        (
            "syntax",
            "syntax = \"proto3\";\nmessage {}\n",
            "a.proto:2:9: ",
        ),
        (
            "type",
            "syntax = \"proto3\";\nmessage M {\n  Missing m = 1;\n}\n",
            "a.proto:3:3: ",
        ),
        (
            "number",
            "syntax = \"proto3\";\nmessage M {\n  int32 a = 1;\n  int32 b = 1;\n}\n",
            "a.proto:4:",
        ),
        (
            "import",
            "syntax = \"proto3\";\nimport \"none.proto\";\n",
            "a.proto:2:1: ",
        ),
    ] {
        let error = compile(&format!("place-{name}"), text, Builder::new())
            .expect_err(name)
            .to_string();
        assert!(error.starts_with(expected), "{name}: {error}");
    }
}

#[test]
fn a_file_that_is_not_below_an_include_folder_is_named() {
    let folder = support::folder("not-found");
    let error = Builder::new()
        .out_dir(&folder)
        .compile_protos(&["none.proto"], &[&folder]);
    assert!(
        error
            .expect_err("no such file")
            .to_string()
            .contains("none.proto")
    );
}

#[test]
fn an_invalid_option_is_reported_when_code_is_generated() {
    let builder = Builder::new().bytes("a b").extern_path("also", "wrong");
    let error = compile("option", "syntax = \"proto3\";", builder).expect_err("two wrong options");
    assert_eq!(
        format!("{error:?}"),
        "option `bytes`: `a b` is not a path of Protobuf names; `.` alone matches everything"
    );
}

#[test]
fn a_builders_methods_set_the_options_of_their_names() {
    let text = r#"
        syntax = "proto3";
        package p;
        message M { bytes data = 1; N n = 2; E e = 3; }
        message N { string name = 1; }
        message E {}
        service S { rpc Call(M) returns (N); }
    "#;
    let builder = Builder::new()
        .messages(true)
        .client(true)
        .server(true)
        .require_methods(true)
        .file_descriptor_set(false)
        .type_names(true)
        .runtime_path("crate::runtime")
        .extern_path(".p.E", "::elsewhere::E")
        .bytes("data")
        .boxed(".p.M.n")
        .type_attribute(".p.N", "#[derive(Ord)]")
        .field_attribute("name", "#[doc(alias = \"label\")]");
    compile("methods", text, builder).expect("valid");
    let files = support::files(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("methods/out"));
    let code = &(files["a.pb.rs"].clone() + &files["a.grpc.rs"]);
    for (part, present) in [
        ("pub data: crate::runtime::prost::bytes::Bytes,", true),
        ("Box<N>", true),
        ("pub e: ::core::option::Option<::elsewhere::E>,", true),
        ("#[derive(Ord)]", true),
        ("#[doc(alias = \"label\")]", true),
        ("impl crate::runtime::prost::Name for M {", true),
        ("pub trait S: ", true),
        ("pub struct SClient<", true),
        ("not implemented", false),
        ("_DESCRIPTOR_SET", false),
        ("::rgrpc", false),
        ("struct E ", false),
    ] {
        assert_eq!(code.contains(part), present, "{part}\n{code}");
    }
}

#[test]
fn a_schema_without_services_or_package_is_generated_too() {
    compile("plain", "syntax = \"proto3\"; message M {}", Builder::new()).expect("valid");
    let files = support::files(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("plain/out"));
    assert_eq!(Vec::from_iter(files.keys()), ["a.pb.rs", "mod.rs"]);
    let code = &files["a.pb.rs"];
    assert!(code.contains("pub struct M {}"), "{code}");
    assert!(
        files["mod.rs"].ends_with("::rgrpc::codegen::include_generated!();\n"),
        "{}",
        files["mod.rs"]
    );
}

#[test]
fn the_file_that_includes_the_others_can_be_renamed_or_omitted() {
    for (name, expected) in [
        ("proto.rs", &["a.pb.rs", "proto.rs"][..]),
        ("", &["a.pb.rs"]),
    ] {
        let test = format!("mod-file-{name}");
        let builder = Builder::new().mod_file(name);
        compile(&test, "syntax = \"proto3\"; message M {}", builder).expect("valid");
        let files = support::files(
            &Path::new(env!("CARGO_TARGET_TMPDIR"))
                .join(test)
                .join("out"),
        );
        assert_eq!(Vec::from_iter(files.keys()), expected);
    }
}

#[test]
fn several_calls_for_one_folder_write_what_one_call_writes() {
    let include = support::root().join("tests/codegen/proto");
    let files = [
        "spread/orders/v1/orders.proto",
        "spread/stock/v1/stock.proto",
        "spread/more/orders_admin.proto",
        "spread/more/audit.proto",
    ];
    let (once, often) = (support::folder("once"), support::folder("often"));
    let generate = |out: &Path, files: &[&str]| {
        Builder::new()
            .out_dir(out)
            .compile_protos(files, &[&include])
            .expect("valid");
    };
    generate(&once, &files);
    for file in files {
        generate(&often, &[file]);
    }
    assert_eq!(support::files(&often), support::files(&once));
}

#[test]
fn a_file_is_written_only_when_its_text_changed() {
    let folder = support::folder("unchanged");
    fs::write(
        folder.join("a.proto"),
        "syntax = \"proto3\"; package p; message M {}",
    )
    .expect("writable");
    let out = folder.join("out");
    let generate = || -> Result<(), Error> {
        Builder::new()
            .out_dir(&out)
            .compile_protos(&["a.proto"], &[&folder])
    };
    generate().expect("valid");
    let file = fs::File::options()
        .write(true)
        .open(out.join("a.pb.rs"))
        .expect("there");
    file.set_modified(UNIX_EPOCH).expect("ours");
    fs::write(out.join("mod.rs"), "changed").expect("ours");

    generate().expect("valid");
    let written = |name: &str| {
        fs::metadata(out.join(name))
            .and_then(|meta| meta.modified())
            .expect("there")
    };
    assert_eq!(written("a.pb.rs"), UNIX_EPOCH);
    assert_ne!(support::files(&out)["mod.rs"], "changed");
}

#[test]
fn the_descriptor_set_of_all_files_is_written_on_request() {
    let folder = support::folder("descriptors");
    fs::write(
        folder.join("a.proto"),
        "syntax = \"proto3\"; import \"google/protobuf/any.proto\"; message M { google.protobuf.Any a = 1; }",
    )
    .expect("writable");
    Builder::new()
        .out_dir(&folder)
        .file_descriptor_set_path("set.binpb")
        .compile_protos(&["a.proto"], &[&folder])
        .expect("valid");
    let bytes = fs::read(folder.join("set.binpb")).expect("written below the output folder");
    let set = FileDescriptorSet::decode(bytes.as_slice()).expect("a descriptor set");
    let names: Vec<_> = set.file.iter().map(FileDescriptorProto::name).collect();
    assert_eq!(names, ["google/protobuf/any.proto", "a.proto"]);
}

#[test]
fn a_descriptor_set_gives_the_code_of_its_proto_files() {
    for (at, (include, files)) in support::schemas().into_iter().enumerate() {
        let folder = support::folder(&format!("set-{at}"));
        let (from_files, from_set) = (folder.join("files"), folder.join("set"));
        Builder::new()
            .out_dir(&from_files)
            .compile_protos(&files, &[&include])
            .expect("valid");
        let mut compiler = protox::Compiler::new([&include]).expect("there");
        compiler.include_imports(true).include_source_info(true);
        compiler.open_files(&files).expect("valid");
        Builder::new()
            .out_dir(&from_set)
            .compile_fds(&compiler.encode_file_descriptor_set(), &files)
            .expect("valid");
        assert_eq!(support::files(&from_set), support::files(&from_files));
    }
}

#[test]
fn a_descriptor_set_without_names_gives_all_its_files_and_must_be_complete() {
    let file = |name: &str, import: Option<&str>| FileDescriptorProto {
        name: Some(name.to_owned()),
        dependency: import.map(str::to_owned).into_iter().collect(),
        message_type: vec![prost_types::DescriptorProto {
            name: Some(format!("M{}", name.len())),
            ..Default::default()
        }],
        ..FileDescriptorProto::default()
    };
    let set = |file: Vec<FileDescriptorProto>| FileDescriptorSet { file }.encode_to_vec();
    let out = support::folder("all-of-a-set");
    let generate =
        |set: &[u8], names: &[&str]| Builder::new().out_dir(&out).compile_fds(set, names);

    let both = set(vec![
        file("a.proto", None),
        file("bb.proto", Some("a.proto")),
    ]);
    generate(&both, &[]).expect("complete");
    let files = support::files(&out);
    assert_eq!(
        Vec::from_iter(files.keys()),
        ["a.pb.rs", "bb.pb.rs", "mod.rs"]
    );

    for (set, names, expected) in [
        (both, &["c.proto"][..], "c.proto"),
        (b"no set".to_vec(), &[], "the file descriptor set: "),
        (set(vec![file("a.proto", Some("b.proto"))]), &[], "b.proto"),
    ] {
        let error = generate(&set, names).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_compiler_that_cannot_be_started_or_fails_is_named() {
    let missing = Builder::new().protoc("/no/such/protoc");
    let error = compile("no-protoc", "syntax = \"proto3\";", missing).expect_err("missing");
    assert!(error.to_string().contains("/no/such/protoc"), "{error}");

    let out = support::folder("two-inputs");
    let error = Builder::new()
        .buf("buf")
        .out_dir(&out)
        .compile_protos(&["a.proto"], &["a", "b"])
        .expect_err("two inputs");
    assert!(error.to_string().starts_with("option `buf`: "), "{error}");
}
