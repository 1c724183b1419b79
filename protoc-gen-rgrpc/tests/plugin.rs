//! Tests of the plugin's process: a request on its standard input, a response on its output.

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use prost::Message as _;
use prost_types::compiler::{CodeGeneratorRequest, CodeGeneratorResponse};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto,
};
use protoc_gen_rgrpc::Builder;

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut plugin = Command::new(env!("CARGO_BIN_EXE_protoc-gen-rgrpc"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the plugin starts");
    // With an argument, the plugin does not read its input.
    let _ = plugin.stdin.take().expect("piped").write_all(input);
    plugin.wait_with_output().expect("the plugin ends")
}

fn respond(request: &CodeGeneratorRequest) -> CodeGeneratorResponse {
    let output = run(&[], &request.encode_to_vec());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    CodeGeneratorResponse::decode(output.stdout.as_slice()).expect("a response")
}

/// Returns the request of a compiler for `files`.
fn request(include: &Path, files: &[String], parameter: &str) -> CodeGeneratorRequest {
    let mut compiler = protox::Compiler::new([include]).expect("the include folder exists");
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files).expect("the schema compiles");
    CodeGeneratorRequest {
        file_to_generate: files.to_vec(),
        parameter: Some(parameter.to_owned()),
        proto_file: compiler.file_descriptor_set().file,
        ..CodeGeneratorRequest::default()
    }
}

fn route_guide(parameter: &str) -> CodeGeneratorRequest {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    request(&include, &["route_guide.proto".to_owned()], parameter)
}

fn generated(response: CodeGeneratorResponse) -> BTreeMap<String, String> {
    assert_eq!(response.error, None);
    response
        .file
        .into_iter()
        .map(|file| (file.name().to_owned(), file.content().to_owned()))
        .collect()
}

#[test]
fn the_plugin_generates_what_the_library_generates() {
    for (at, (include, files)) in support::schemas().into_iter().enumerate() {
        let folder = support::folder(&format!("library-{at}"));
        Builder::new()
            .out_dir(&folder)
            .compile_protos(&files, &[&include])
            .expect("the schema compiles");
        // A compiler may list the files in another order.
        let mut reversed = request(&include, &files, "");
        reversed.file_to_generate.reverse();
        assert_eq!(
            generated(respond(&reversed)),
            support::files(&folder),
            "{}",
            include.display()
        );
    }
}

#[test]
fn a_run_for_each_folder_gives_the_same_files_as_one_run_for_all() {
    for (include, files) in support::schemas() {
        let mut folders: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for file in &files {
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
            folders.entry(folder).or_default().push(file.clone());
        }
        let mut merged = BTreeMap::new();
        for files in folders.values() {
            for (name, text) in generated(respond(&request(&include, files, ""))) {
                // buf and protoc keep only one of two files of the same name, so both must be
                // equal.
                let earlier = merged.insert(name.clone(), text.clone());
                assert_eq!(earlier.unwrap_or(text.clone()), text, "{name}");
            }
        }
        let at_once = generated(respond(&request(&include, &files, "")));
        assert_eq!(
            Vec::from_iter(merged.keys()),
            Vec::from_iter(at_once.keys())
        );
        for (name, text) in at_once {
            assert!(merged[&name] == text, "{name}");
        }
    }
}

#[test]
fn the_generated_code_equals_the_golden_files() {
    let files = generated(respond(&route_guide("")));
    let names = ["mod.rs", "route_guide.grpc.rs", "route_guide.pb.rs"];
    assert_eq!(Vec::from_iter(files.keys()), names);
    for (name, text) in files {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(&name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &text).expect("the golden file is writable");
        }
        let expected = std::fs::read_to_string(&golden).expect("the golden file");
        let difference = (1..)
            .zip(text.lines().zip(expected.lines()))
            .find(|(_, (now, golden))| now != golden);
        assert!(
            text == expected,
            "{name}: run with UPDATE_GOLDEN=1 and review the difference; the first: {difference:?}"
        );
    }
}

#[test]
fn an_option_removes_or_changes_its_part_of_the_code() {
    const MESSAGE: &str = "pub struct Point";
    const SERVER: &str = "pub trait RouteGuide";
    const CLIENT: &str = "pub struct RouteGuideClient";
    const DEFAULT_BODY: &str = "method GetFeature not implemented";
    const INFO: &str = "static ROUTE_GUIDE_INFO: ";
    const DESCRIPTORS: &str = "pub const ROUTE_GUIDE_DESCRIPTOR_SET";
    const RUNTIME: &str = "::rgrpc::";
    const NAME: &str = "impl ::rgrpc::prost::Name for Point";
    let named = generated(respond(&route_guide("type_names")));
    assert!(named["route_guide.pb.rs"].contains(NAME));
    assert!(!generated(respond(&route_guide("")))["route_guide.pb.rs"].contains("prost::Name"));
    for (parameter, absent) in [
        ("messages=false", &[MESSAGE][..]),
        ("client=false", &[CLIENT, INFO]),
        ("server=false", &[SERVER, DEFAULT_BODY]),
        ("require_methods=true", &[DEFAULT_BODY]),
        ("file_descriptor_set=false", &[DESCRIPTORS]),
        ("runtime_path=crate", &[RUNTIME]),
        ("extern_path=.routeguide.Point=::geo::Point", &[MESSAGE]),
    ] {
        let files = generated(respond(&route_guide(parameter)));
        let text: String = files.into_values().collect();
        for part in [
            MESSAGE,
            SERVER,
            CLIENT,
            INFO,
            DEFAULT_BODY,
            DESCRIPTORS,
            RUNTIME,
        ] {
            assert_eq!(
                text.contains(part),
                !absent.contains(&part),
                "{parameter}: {part}"
            );
        }
    }
}

#[test]
fn an_element_deprecated_in_the_schema_is_deprecated_in_rust() {
    let include = support::root().join("tests/codegen/proto");
    let files = generated(respond(&request(
        &include,
        &["torture/deprecated.proto".to_owned()],
        "",
    )));
    // Without the attributes of the same item, whose order does not matter.
    let text = files["torture/deprecated.pb.rs"].clone() + &files["torture/deprecated.grpc.rs"];
    let text: Vec<&str> = text.lines().map(str::trim).collect();
    for item in [
        "pub struct Old {",
        "pub enum Kind {",
        "Worse = 1,",
        "pub olds: ::std::collections::HashMap<",
        "pub was: ::rgrpc::prost::alloc::string::String,",
        "Chosen(super::Old),",
        "pub trait OldService: ::core::marker::Send + ::core::marker::Sync + 'static {",
        "pub struct OldServiceClient<C = ::rgrpc::ClientConn> {",
        "pub const fn old_service_desc<",
        "pub fn register_old_service<",
        "fn elder(",
        "pub fn elder(",
    ] {
        let at = text
            .iter()
            .position(|line| line.starts_with(item))
            .expect(item);
        let attributes = text[..at]
            .iter()
            .rev()
            .take_while(|line| line.starts_with('#') || line.starts_with("//"));
        assert!(
            attributes.copied().any(|line| line == "#[deprecated]"),
            "{item}"
        );
    }
    for item in [
        "pub struct Nested {",
        "pub struct Uses {",
        "pub trait NewService:",
        "Other(super::old::Nested),",
    ] {
        let at = text
            .iter()
            .position(|line| line.starts_with(item))
            .expect(item);
        let attributes = text[..at]
            .iter()
            .rev()
            .take_while(|line| line.starts_with('#') || line.starts_with("//"));
        assert!(
            !attributes.copied().any(|line| line == "#[deprecated]"),
            "{item}"
        );
    }
}

#[test]
fn proto3_optional_is_declared_and_editions_are_not() {
    assert_eq!(respond(&route_guide("")).supported_features, Some(1));
}

#[test]
fn a_problem_becomes_the_responses_error_with_its_place() {
    let mut editions = route_guide("");
    for file in &mut editions.proto_file {
        file.syntax = Some("editions".to_owned());
    }
    let mut missing = route_guide("");
    missing.proto_file.clear();
    let value = |name: &str, number| EnumValueDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        ..EnumValueDescriptorProto::default()
    };
    let overlap = CodeGeneratorRequest {
        file_to_generate: vec!["a.proto".to_owned()],
        proto_file: vec![FileDescriptorProto {
            name: Some("a.proto".to_owned()),
            package: Some("a".to_owned()),
            enum_type: vec![EnumDescriptorProto {
                name: Some("Color".to_owned()),
                value: vec![value("COLOR_RED", 0), value("red", 1)],
                ..EnumDescriptorProto::default()
            }],
            ..FileDescriptorProto::default()
        }],
        ..CodeGeneratorRequest::default()
    };
    for (request, expected) in [
        (
            route_guide("clients=false"),
            "option `clients`: unknown; the options are messages, client,",
        ),
        (
            route_guide("client=2"),
            "option `client`: `2` is neither true nor false",
        ),
        (
            route_guide("type_attribute=.=#[derive(,)]extra"),
            "option `type_attribute`:",
        ),
        (
            editions,
            "route_guide.proto: editions are not supported yet, except in files imported for their options only; proto2 and proto3 are",
        ),
        (
            missing,
            "code generator request: route_guide.proto is listed to be generated, but its descriptor is missing",
        ),
        (
            overlap,
            "a.proto: enum a.Color: `COLOR_RED` and `red` would both be variant `Red`",
        ),
    ] {
        let response = respond(&request);
        let error = response.error();
        assert!(error.starts_with(expected), "{error}");
        assert!(response.file.is_empty());
    }
}

#[test]
fn a_malformed_request_is_an_error_and_not_a_panic() {
    let file = |change: &dyn Fn(&mut FileDescriptorProto)| {
        let mut file = FileDescriptorProto {
            name: Some("a.proto".to_owned()),
            message_type: vec![DescriptorProto {
                name: Some("M".to_owned()),
                field: vec![FieldDescriptorProto {
                    name: Some("f".to_owned()),
                    number: Some(1),
                    r#type: Some(11),
                    type_name: Some(".M".to_owned()),
                    ..FieldDescriptorProto::default()
                }],
                ..DescriptorProto::default()
            }],
            ..FileDescriptorProto::default()
        };
        change(&mut file);
        CodeGeneratorRequest {
            file_to_generate: vec!["a.proto".to_owned()],
            proto_file: vec![file],
            ..CodeGeneratorRequest::default()
        }
        .encode_to_vec()
    };
    for (what, request) in [
        ("garbage", b"\xff\xff\xff".to_vec()),
        (
            "no field name",
            file(&|file| file.message_type[0].field[0].name = None),
        ),
        (
            "an unknown type",
            file(&|file| file.message_type[0].field[0].type_name = Some(".N".to_owned())),
        ),
        (
            "no type",
            file(&|file| file.message_type[0].field[0].type_name = None),
        ),
        (
            "no such oneof",
            file(&|file| file.message_type[0].field[0].oneof_index = Some(7)),
        ),
        (
            "no message name",
            file(&|file| file.message_type[0].name = None),
        ),
        ("no file name", file(&|file| file.name = None)),
        (
            "a file outside the folder",
            file(&|file| file.name = Some("../a.proto".to_owned())),
        ),
        (
            "an unknown import",
            file(&|file| file.dependency.push("b.proto".to_owned())),
        ),
        (
            "a bad default",
            file(&|file| {
                let field = &mut file.message_type[0].field[0];
                field.r#type = Some(12);
                field.type_name = None;
                field.default_value = Some("\\".to_owned());
            }),
        ),
        (
            "a service without types",
            file(&|file| {
                file.service.push(prost_types::ServiceDescriptorProto {
                    name: Some("S".to_owned()),
                    method: vec![prost_types::MethodDescriptorProto {
                        name: Some("C".to_owned()),
                        ..Default::default()
                    }],
                    ..Default::default()
                });
            }),
        ),
    ] {
        let output = run(&[], &request);
        assert!(
            output.stderr.is_empty(),
            "{what}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{what}");
        let response = CodeGeneratorResponse::decode(output.stdout.as_slice()).expect(what);
        assert!(
            !response.error().is_empty() && response.file.is_empty(),
            "{what}"
        );
    }
}

#[test]
fn flags_print_the_version_and_every_option() {
    let version = run(&["--version"], b"");
    assert!(version.status.success());
    let expected = format!("protoc-gen-rgrpc {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);

    let help = run(&["--help"], b"");
    let text = String::from_utf8_lossy(&help.stdout);
    for option in [
        "messages",
        "extern_path",
        "field_attribute",
        "file_descriptor_set",
        "--rgrpc_out",
    ] {
        assert!(text.contains(option), "{option}");
    }

    let unknown = run(&["--frobnicate"], b"");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("`--frobnicate`"));
}
