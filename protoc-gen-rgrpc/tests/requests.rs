//! Requests as protoc writes them, which the embedded compiler could not make, and requests that no
//! compiler writes.

use prost::Message as _;
use prost_types::compiler::{CodeGeneratorRequest, CodeGeneratorResponse};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::source_code_info::Location;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, MessageOptions, SourceCodeInfo,
};
use protoc_gen_rgrpc::plugin;

fn respond(files: Vec<FileDescriptorProto>, to_generate: &str) -> CodeGeneratorResponse {
    respond_encoded(&request(files, to_generate).encode_to_vec())
}

fn respond_encoded(request: &[u8]) -> CodeGeneratorResponse {
    CodeGeneratorResponse::decode(plugin::respond(request).as_slice()).expect("a response")
}

fn request(files: Vec<FileDescriptorProto>, to_generate: &str) -> CodeGeneratorRequest {
    CodeGeneratorRequest {
        file_to_generate: vec![to_generate.to_owned()],
        proto_file: files,
        ..CodeGeneratorRequest::default()
    }
}

fn file(name: &str, syntax: &str, messages: Vec<DescriptorProto>) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(format!("{name}.proto")),
        package: Some(name.to_owned()),
        syntax: Some(syntax.to_owned()),
        message_type: messages,
        ..FileDescriptorProto::default()
    }
}

fn message(name: &str, fields: Vec<FieldDescriptorProto>) -> DescriptorProto {
    DescriptorProto {
        name: Some(name.to_owned()),
        field: fields,
        ..DescriptorProto::default()
    }
}

fn field(name: &str, number: i32, json_name: &str) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(Type::Int32.into()),
        json_name: Some(json_name.to_owned()),
        ..FieldDescriptorProto::default()
    }
}

fn field_of(name: &str, number: i32, message: &str) -> FieldDescriptorProto {
    FieldDescriptorProto {
        r#type: Some(Type::Message.into()),
        type_name: Some(message.to_owned()),
        ..field(name, number, name)
    }
}

fn with_imports(mut file: FileDescriptorProto, imports: &[&str]) -> FileDescriptorProto {
    file.dependency = imports.iter().map(|import| (*import).to_owned()).collect();
    file
}

#[test]
fn a_schema_that_protoc_accepts_is_accepted() {
    let public = |file: FileDescriptorProto, import| FileDescriptorProto {
        public_dependency: vec![0],
        ..with_imports(file, &[import])
    };
    let chain = vec![
        file("c", "proto3", vec![message("C", vec![])]),
        public(file("b", "proto3", vec![]), "c.proto"),
        public(file("a", "proto3", vec![]), "b.proto"),
        with_imports(
            file(
                "m",
                "proto3",
                vec![message("M", vec![field_of("c", 1, ".c.C")])],
            ),
            &["a.proto"],
        ),
    ];
    let same_json = |syntax| {
        vec![file(
            "m",
            syntax,
            vec![
                message("M", vec![field("a_1", 1, "a1"), field("a1", 2, "a1")]),
                message("N", vec![field("a1b", 1, "a1b"), field("a1B", 2, "a1B")]),
            ],
        )]
    };
    let mut legacy = same_json("proto3");
    for message in &mut legacy[0].message_type {
        message.options = Some(MessageOptions::default());
    }
    let custom_json = vec![file(
        "m",
        "proto2",
        vec![message("M", vec![field("a", 1, "x"), field("x", 2, "x")])],
    )];
    let editions_for_an_option = vec![
        file(
            "o",
            "editions",
            vec![message("O", vec![field("a", 1, "a")])],
        ),
        with_imports(
            file("m", "proto3", vec![message("M", vec![])]),
            &["o.proto"],
        ),
    ];
    for (what, files) in [
        ("a chain of public imports", chain),
        ("JSON names that coincide", same_json("proto2")),
        ("JSON names that coincide by option", legacy),
        ("a JSON name that is another field's name", custom_json),
        (
            "an import of editions for an option only",
            editions_for_an_option,
        ),
    ] {
        let response = respond(files, "m.proto");
        assert_eq!(response.error(), "", "{what}");
        assert!(
            response
                .file
                .iter()
                .any(|file| file.content().contains("pub struct M ")),
            "{what}"
        );
    }
}

#[test]
fn a_type_of_editions_is_an_error_when_its_code_is_needed() {
    let files = vec![
        file("o", "editions", vec![message("O", vec![])]),
        with_imports(
            file(
                "m",
                "proto3",
                vec![message("M", vec![field_of("o", 1, ".o.O")])],
            ),
            &["o.proto"],
        ),
    ];
    assert_eq!(
        respond(files, "m.proto").error(),
        "o.proto: editions are not supported yet, except in files imported for their options only; proto2 and proto3 are"
    );
}

#[test]
fn a_comment_need_not_be_utf_8() {
    let mut commented = file("m", "proto3", vec![message("M", vec![])]);
    commented.source_code_info = Some(SourceCodeInfo {
        location: vec![Location {
            path: vec![4, 0],
            leading_comments: Some(" caf# au lait\n".to_owned()),
            ..Location::default()
        }],
    });
    let latin1: Vec<u8> = request(vec![commented], "m.proto")
        .encode_to_vec()
        .into_iter()
        .map(|octet| if octet == b'#' { 0xe9 } else { octet })
        .collect();
    let response = respond_encoded(&latin1);
    assert_eq!(response.error(), "");
    assert!(
        response
            .file
            .iter()
            .any(|file| file.content().contains("/// caf\u{fffd} au lait\n"))
    );
}
